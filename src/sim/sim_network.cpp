#include "sim/sim_network.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "common/sync.hpp"

namespace podlab::sim {
namespace {

/// As Linux's: the first wait before a packet is sent again, the longest, and how often.
constexpr Duration kRetransmit = std::chrono::milliseconds(200);
constexpr Duration kLongestRetransmit = std::chrono::seconds(120);
constexpr int kRetransmits = 15;
constexpr Duration kDialTimeout = std::chrono::seconds(10);
/// Of one direction, sent and not read.
constexpr std::size_t kWindow = 64 << 10;

/// One direction of a stream.
struct Channel {
  std::uint64_t wire = 0;
  std::string from;
  std::string to;
  struct Packet {
    std::string data;  ///< empty: the end of the stream
    MonoTime at;       ///< of its arrival
  };
  std::deque<Packet> underWay;
  std::size_t bytesUnderWay = 0;
  std::string arrived;
  std::size_t taken = 0;  ///< of `arrived`
  bool ended = false;     ///< the writer's end has arrived
  bool finished = false;  ///< the writer writes no more
  bool readerClosed = false;
  Status broken;        ///< why nothing passes any more; OK: it does
  bool silent = false;  ///< the writer's host has lost its power
  bool held = false;    ///< by a partition
  Clock::TimerId timer = 0;
  WaitQueue readable;
  WaitQueue writable;

  std::size_t unread() const { return arrived.size() - taken; }
};

/// Both directions; of the dialling side, and of the accepting side.
struct Wire {
  std::shared_ptr<Channel> there;
  std::shared_ptr<Channel> back;
};

}  // namespace

struct SimNetwork::State : std::enable_shared_from_this<SimNetwork::State> {
  State(Clock& c, Rng& r) : clock(c), rng(r) {}

  using Backlog = AsyncQueue<std::unique_ptr<ByteStream>>;
  struct Partition {
    std::set<std::string> one, other;
    bool oneWay = false;
  };

  Clock& clock;
  Rng& rng;
  LinkConditions conditions;
  std::map<std::string, LinkConditions> conditionsOf;
  std::map<PartitionId, Partition> partitions;
  PartitionId lastPartition = 0;
  std::set<std::string> off;  ///< hosts without power
  std::map<std::string, std::shared_ptr<Backlog>> listeners;
  std::map<std::uint64_t, Wire> wires;
  std::uint64_t lastWire = 0;
  WaitQueue changed;  ///< a partition has healed, a host is on again
  Counters counters;

  class Stream;
  class HostListener;
  class HostDialer;

  void closeListener(const std::string& host) {
    const auto it = listeners.find(host);
    if (it == listeners.end()) return;
    const auto backlog = it->second;
    listeners.erase(it);
    backlog->close();
  }

  bool passes(const std::string& from, const std::string& to) const {
    if (off.contains(from) || off.contains(to)) return false;
    return std::ranges::none_of(partitions, [&](const auto& entry) {
      const Partition& cut = entry.second;
      return (cut.one.contains(from) && cut.other.contains(to)) ||
             (!cut.oneWay && cut.one.contains(to) && cut.other.contains(from));
    });
  }

  const LinkConditions& conditionsFor(const std::string& from, const std::string& to) const {
    if (conditionsOf.empty()) return conditions;
    if (const auto it = conditionsOf.find(from); it != conditionsOf.end()) return it->second;
    if (const auto it = conditionsOf.find(to); it != conditionsOf.end()) return it->second;
    return conditions;
  }

  /// How long a packet takes that is sent now; nullopt when it was sent again in vain.
  std::optional<Duration> travel(const std::string& from, const std::string& to) {
    const LinkConditions& link = conditionsFor(from, to);
    Duration time = link.delay;
    if (link.jitter > Duration(0))
      time += Duration(rng.below(static_cast<std::uint64_t>(link.jitter.count()) + 1));
    if (link.loss <= 0) return time;
    Duration wait = kRetransmit;
    for (int i = 0; rng.chance(link.loss); ++i) {
      ++counters.lost;
      if (i == kRetransmits) return std::nullopt;
      time += wait;
      wait = std::min(2 * wait, kLongestRetransmit);
    }
    return time;
  }

  void send(const std::shared_ptr<Channel>& channel, std::string data) {
    ++counters.packets;
    counters.bytes += data.size();
    const auto time = travel(channel->from, channel->to);
    if (!time) return breakBoth(channel, "no answer");
    MonoTime at = clock.now() + *time;
    if (!channel->underWay.empty()) at = std::max(at, channel->underWay.back().at);
    channel->bytesUnderWay += data.size();
    channel->underWay.push_back({std::move(data), at});
    if (channel->underWay.size() == 1) arm(channel);
  }

  void arm(const std::shared_ptr<Channel>& channel) {
    auto arrive = [self = weak_from_this(), channel] {
      if (const auto state = self.lock()) state->deliver(channel);
    };
    channel->timer = clock.schedule(channel->underWay.front().at, std::move(arrive));
  }

  void deliver(const std::shared_ptr<Channel>& channel) {
    channel->timer = 0;
    if (!passes(channel->from, channel->to)) {
      channel->held = true;
      return;
    }
    const MonoTime now = clock.now();
    while (!channel->underWay.empty() && channel->underWay.front().at <= now) {
      auto packet = std::move(channel->underWay.front());
      channel->underWay.pop_front();
      channel->bytesUnderWay -= packet.data.size();
      if (packet.data.empty()) {
        channel->ended = true;
      } else if (channel->readerClosed) {
        return breakBoth(channel, "closed by peer");
      } else {
        channel->arrived += packet.data;
      }
    }
    channel->readable.notifyAll();
    if (!channel->underWay.empty()) arm(channel);
    forgetEnded(*channel);
  }

  /// Nothing can pass any more.
  static bool isOver(const Channel& channel) {
    return !channel.broken.ok() || channel.silent || (channel.ended && channel.underWay.empty());
  }
  void forgetEnded(const Channel& channel) {
    if (!isOver(channel)) return;
    const auto it = wires.find(channel.wire);
    if (it != wires.end() && isOver(*it->second.there) && isOver(*it->second.back)) wires.erase(it);
  }

  void breakChannel(Channel& channel, const Status& why) {
    if (channel.timer != 0) clock.cancel(std::exchange(channel.timer, 0));
    channel.underWay.clear();
    channel.bytesUnderWay = 0;
    if (channel.broken.ok()) channel.broken = why;
    channel.readable.notifyAll();
    channel.writable.notifyAll();
  }
  void breakWire(const Wire& wire, const std::string& why) {
    ++counters.broken;
    breakChannel(*wire.there, Status(Code::kUnavailable, wire.there->to + ": " + why));
    breakChannel(*wire.back, Status(Code::kUnavailable, wire.back->to + ": " + why));
  }
  void breakBoth(const std::shared_ptr<Channel>& channel, const std::string& why) {
    auto wire = wires.extract(channel->wire);
    if (!wire.empty()) breakWire(wire.mapped(), why);
  }

  std::vector<Wire> wiresOf(const std::string& host) const {
    std::vector<Wire> found;
    for (const auto& [id, wire] : wires) {
      if (wire.there->from == host || wire.there->to == host) found.push_back(wire);
    }
    return found;
  }

  /// What was held up is sent again, each stream when its own timer says.
  void release() {
    for (auto& [id, wire] : wires) {
      for (const auto& channel : {wire.there, wire.back}) {
        if (!channel->held || !passes(channel->from, channel->to)) continue;
        channel->held = false;
        const Duration wait(rng.below(static_cast<std::uint64_t>(kRetransmit.count())));
        const MonoTime at = clock.now() + wait;
        for (auto& packet : channel->underWay) packet.at = std::max(packet.at, at);
        arm(channel);
      }
    }
    changed.notifyAll();
  }

  /// What the host's side of the wire reads and writes.
  static std::pair<Channel&, Channel&> sideOf(const Wire& wire, const std::string& host) {
    const bool dialled = wire.there->from == host;
    return {dialled ? *wire.back : *wire.there, dialled ? *wire.there : *wire.back};
  }
};

class SimNetwork::State::Stream final : public ByteStream {
 public:
  Stream(std::weak_ptr<State> network, std::shared_ptr<Channel> in, std::shared_ptr<Channel> out)
      : network_(std::move(network)), in_(std::move(in)), out_(std::move(out)) {}
  ~Stream() override { Stream::close(); }

  Co<Result<std::size_t>> read(MutableBytes out) override {
    auto channel = in_;
    while (!channel->readerClosed && channel->unread() == 0) {
      if (!channel->broken.ok()) co_return channel->broken;
      if (channel->ended) co_return Status(Code::kEndOfStream, channel->from + ": end of stream");
      co_await channel->readable.wait();
    }
    if (channel->readerClosed) co_return Status(Code::kCanceled, "closed by this side");
    const std::size_t count = std::min(out.size(), channel->unread());
    std::memcpy(out.data(), channel->arrived.data() + channel->taken, count);
    channel->taken += count;
    if (channel->unread() == 0) {
      // Idle streams of thousands of nodes must not keep the buffer of their last burst.
      channel->arrived = std::string();
      channel->taken = 0;
    }
    channel->writable.notifyOne();
    co_return count;
  }

  Co<Status> write(Bytes data) override {
    auto channel = out_;
    while (!data.empty()) {
      if (channel->finished) co_return Status(Code::kCanceled, "closed by this side");
      if (!channel->broken.ok()) co_return channel->broken;
      const auto network = network_.lock();
      if (!network) co_return Status(Code::kUnavailable, "the network is gone");
      const std::size_t used = channel->bytesUnderWay + channel->unread();
      if (used >= kWindow) {
        co_await channel->writable.wait();
        continue;
      }
      const std::size_t count = std::min(kWindow - used, data.size());
      network->send(channel, std::string(reinterpret_cast<const char*>(data.data()), count));
      data = data.subspan(count);
    }
    co_return Status();
  }

  void close() override {
    finishWriting();
    in_->readerClosed = true;
    in_->arrived = std::string();
    in_->taken = 0;
    in_->readable.notifyAll();
    in_->writable.notifyAll();
  }

  bool finishWriting() override {
    if (std::exchange(out_->finished, true)) return true;
    out_->writable.notifyAll();
    if (const auto network = network_.lock(); network && out_->broken.ok())
      network->send(out_, std::string());
    return true;
  }

  std::string peer() const override { return in_->from; }

 private:
  std::weak_ptr<State> network_;
  std::shared_ptr<Channel> in_;
  std::shared_ptr<Channel> out_;
};

class SimNetwork::State::HostListener final : public Listener {
 public:
  HostListener(std::weak_ptr<State> network, std::string host, std::shared_ptr<Backlog> backlog)
      : network_(std::move(network)), host_(std::move(host)), backlog_(std::move(backlog)) {}
  ~HostListener() override { HostListener::close(); }

  Co<Result<std::unique_ptr<ByteStream>>> accept() override {
    auto backlog = backlog_;
    auto stream = co_await backlog->pop();
    if (!stream) co_return Status(Code::kCanceled, "accept: closed by this side");
    co_return std::move(*stream);
  }
  std::string address() const override { return host_; }
  void close() override {
    if (backlog_->closed()) return;
    backlog_->close();
    const auto network = network_.lock();
    if (!network) return;
    // Another process of the host may listen by now.
    const auto it = network->listeners.find(host_);
    if (it != network->listeners.end() && it->second == backlog_) network->listeners.erase(it);
  }

 private:
  std::weak_ptr<State> network_;
  std::string host_;
  std::shared_ptr<Backlog> backlog_;
};

class SimNetwork::State::HostDialer final : public Dialer {
 public:
  HostDialer(std::weak_ptr<State> network, std::string host)
      : network_(std::move(network)), host_(std::move(host)) {}

  Co<Result<std::unique_ptr<ByteStream>>> dial(std::string address) override {
    const auto network = network_.lock();
    if (!network) co_return Status(Code::kUnavailable, "the network is gone");
    ++network->counters.dials;
    const std::string host = host_;
    const MonoTime deadline = network->clock.now() + kDialTimeout;
    const Status timedOut(Code::kUnavailable,
                          "no answer from " + address + " in " + formatDuration(kDialTimeout));
    // The request and its answer.
    for (const bool there : {true, false}) {
      const std::string& from = there ? host : address;
      const std::string& to = there ? address : host;
      const auto time = network->travel(from, to);
      if (!time || network->clock.now() + *time > deadline) {
        co_await network->clock.sleepUntil(deadline);
        co_return timedOut;
      }
      co_await network->clock.sleepFor(*time);
      while (!network->passes(from, to)) {
        if (!co_await network->changed.waitUntil(network->clock, deadline)) co_return timedOut;
      }
    }
    const auto listener = network->listeners.find(address);
    if (listener == network->listeners.end())
      co_return Status(Code::kUnavailable, "cannot connect to " + address + ": connection refused");
    Wire wire{std::make_shared<Channel>(), std::make_shared<Channel>()};
    wire.there->wire = wire.back->wire = ++network->lastWire;
    wire.there->from = wire.back->to = host;
    wire.there->to = wire.back->from = address;
    network->wires.emplace(wire.there->wire, wire);
    listener->second->push(std::make_unique<Stream>(network, wire.there, wire.back));
    std::unique_ptr<ByteStream> mine = std::make_unique<Stream>(network, wire.back, wire.there);
    co_return std::move(mine);
  }

 private:
  std::weak_ptr<State> network_;
  std::string host_;
};

SimNetwork::SimNetwork(Clock& clock, Rng& rng) : state_(std::make_shared<State>(clock, rng)) {}

SimNetwork::~SimNetwork() {
  const auto wires = std::exchange(state_->wires, {});
  for (const auto& [id, wire] : wires) state_->breakWire(wire, "the network is gone");
}

Result<std::unique_ptr<Listener>> SimNetwork::listen(std::string host) {
  auto backlog = std::make_shared<State::Backlog>();
  if (!state_->listeners.emplace(host, backlog).second)
    return Status(Code::kAlreadyExists, "host \"" + host + "\" has a listener");
  return std::unique_ptr<Listener>(
      std::make_unique<State::HostListener>(state_, std::move(host), std::move(backlog)));
}

std::unique_ptr<Dialer> SimNetwork::dialer(std::string host) {
  return std::make_unique<State::HostDialer>(state_, std::move(host));
}

void SimNetwork::setConditions(LinkConditions conditions) {
  state_->conditions = conditions;
}

void SimNetwork::setConditions(const std::string& host, LinkConditions conditions) {
  state_->conditionsOf[host] = conditions;
}

void SimNetwork::clearConditions(const std::string& host) {
  state_->conditionsOf.erase(host);
}

SimNetwork::PartitionId SimNetwork::partition(std::set<std::string> one,
                                              std::set<std::string> other, bool oneWay) {
  state_->partitions[++state_->lastPartition] = {std::move(one), std::move(other), oneWay};
  return state_->lastPartition;
}

void SimNetwork::heal(PartitionId partition) {
  if (state_->partitions.erase(partition) > 0) state_->release();
}

void SimNetwork::crash(const std::string& host) {
  state_->closeListener(host);
  for (const Wire& wire : state_->wiresOf(host)) {
    auto [in, out] = State::sideOf(wire, host);
    in.readerClosed = true;
    in.readable.notifyAll();
    const bool told = std::exchange(out.finished, true);
    out.writable.notifyAll();
    if (!told) state_->send(wire.there->from == host ? wire.there : wire.back, std::string());
  }
}

void SimNetwork::powerOff(const std::string& host) {
  state_->closeListener(host);
  for (const Wire& wire : state_->wiresOf(host)) {
    auto [in, out] = State::sideOf(wire, host);
    // Its own side is dead at once; the other finds out by what it sends.
    in.readerClosed = true;
    in.readable.notifyAll();
    out.finished = true;
    out.writable.notifyAll();
    if (out.timer != 0) state_->clock.cancel(std::exchange(out.timer, 0));
    out.underWay.clear();
    out.bytesUnderWay = 0;
    out.silent = true;
  }
  state_->off.insert(host);
}

void SimNetwork::powerOn(const std::string& host) {
  if (state_->off.erase(host) > 0) state_->release();
}

void SimNetwork::reset(const std::string& host) {
  for (const Wire& wire : state_->wiresOf(host)) {
    state_->breakBoth(wire.there, "connection reset");
  }
}

SimNetwork::Counters SimNetwork::counters() const {
  return state_->counters;
}

}  // namespace podlab::sim
