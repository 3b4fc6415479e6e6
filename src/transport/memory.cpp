#include "transport/memory.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include "common/sync.hpp"

namespace podlab::transport {
namespace {

/// One direction of a pipe.
struct Channel {
  explicit Channel(std::size_t limit) : capacity(limit) {}
  std::size_t capacity;
  std::string data;
  std::size_t offset = 0;  ///< bytes of `data` already read
  bool writerGone = false;
  bool readerGone = false;
  WaitQueue readable;
  WaitQueue writable;

  std::size_t size() const { return data.size() - offset; }
};

class MemoryStream final : public ByteStream {
 public:
  MemoryStream(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out, std::string peer)
      : in_(std::move(in)), out_(std::move(out)), peer_(std::move(peer)) {}
  ~MemoryStream() override { MemoryStream::close(); }

  Co<Result<std::size_t>> read(MutableBytes out) override {
    auto channel = in_;
    while (!channel->readerGone && channel->size() == 0) {
      if (channel->writerGone) co_return Status(Code::kEndOfStream, peer_ + ": end of stream");
      co_await channel->readable.wait();
    }
    if (channel->readerGone) co_return Status(Code::kCanceled, "closed by this side");
    std::size_t n = std::min(out.size(), channel->size());
    std::memcpy(out.data(), channel->data.data() + channel->offset, n);
    channel->offset += n;
    if (channel->size() == 0) {
      channel->offset = 0;
      channel->data.clear();
      // Idle pipes of thousands of simulated nodes must not keep the buffer of their last burst.
      if (channel->data.capacity() > 4096) channel->data.shrink_to_fit();
    }
    channel->writable.notifyOne();
    co_return n;
  }

  Co<Status> write(Bytes data) override {
    auto channel = out_;
    while (!data.empty()) {
      if (channel->writerGone) co_return Status(Code::kCanceled, "closed by this side");
      if (channel->readerGone) co_return Status(Code::kUnavailable, peer_ + ": closed by peer");
      std::size_t room = channel->capacity - channel->size();
      if (room == 0) {
        co_await channel->writable.wait();
        continue;
      }
      if (channel->offset > 0) {
        channel->data.erase(0, channel->offset);
        channel->offset = 0;
      }
      std::size_t n = std::min(room, data.size());
      channel->data.append(reinterpret_cast<const char*>(data.data()), n);
      data = data.subspan(n);
      channel->readable.notifyOne();
    }
    co_return Status();
  }

  void close() override {
    in_->readerGone = true;
    out_->writerGone = true;
    for (auto* channel : {in_.get(), out_.get()}) {
      channel->readable.notifyAll();
      channel->writable.notifyAll();
    }
  }

  bool finishWriting() override {
    out_->writerGone = true;
    out_->readable.notifyAll();
    return true;
  }

  std::string peer() const override { return peer_; }

 private:
  std::shared_ptr<Channel> in_;
  std::shared_ptr<Channel> out_;
  std::string peer_;
};

using Backlog = AsyncQueue<std::unique_ptr<ByteStream>>;

}  // namespace

struct MemoryNetwork::State {
  std::size_t capacity = 0;
  std::map<std::string, std::shared_ptr<Backlog>> listeners;

  /// Listens until closed or destroyed.
  class Endpoint final : public Listener {
   public:
    Endpoint(std::shared_ptr<State> network, std::string name, std::shared_ptr<Backlog> backlog)
        : network_(std::move(network)), name_(std::move(name)), backlog_(std::move(backlog)) {}
    ~Endpoint() override { Endpoint::close(); }

    Co<Result<std::unique_ptr<ByteStream>>> accept() override {
      auto backlog = backlog_;
      auto stream = co_await backlog->pop();
      if (!stream) co_return Status(Code::kCanceled, "accept: closed by this side");
      co_return std::move(*stream);
    }
    std::string address() const override { return name_; }
    void close() override {
      if (backlog_->closed()) return;
      network_->listeners.erase(name_);
      backlog_->close();
    }

   private:
    std::shared_ptr<State> network_;
    std::string name_;
    std::shared_ptr<Backlog> backlog_;
  };

  class NameDialer final : public Dialer {
   public:
    NameDialer(std::shared_ptr<State> network, std::string from)
        : network_(std::move(network)), from_(std::move(from)) {}

    Co<Result<std::unique_ptr<ByteStream>>> dial(std::string address) override {
      auto it = network_->listeners.find(address);
      if (it == network_->listeners.end()) {
        co_return Status(Code::kUnavailable, "cannot connect to " + address + ": nobody listens");
      }
      auto [mine, theirs] = makeMemoryPipe(network_->capacity, address, from_);
      it->second->push(std::move(theirs));
      co_return std::move(mine);
    }

   private:
    std::shared_ptr<State> network_;
    std::string from_;
  };
};

std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> makeMemoryPipe(
    std::size_t capacity, std::string peerOfFirst, std::string peerOfSecond) {
  auto there = std::make_shared<Channel>(capacity);
  auto back = std::make_shared<Channel>(capacity);
  return {std::make_unique<MemoryStream>(back, there, std::move(peerOfFirst)),
          std::make_unique<MemoryStream>(there, back, std::move(peerOfSecond))};
}

MemoryNetwork::MemoryNetwork(std::size_t capacity) : state_(std::make_shared<State>()) {
  state_->capacity = capacity;
}

MemoryNetwork::~MemoryNetwork() = default;

Result<std::unique_ptr<Listener>> MemoryNetwork::listen(std::string name) {
  auto backlog = std::make_shared<Backlog>();
  if (!state_->listeners.emplace(name, backlog).second) {
    return Status(Code::kAlreadyExists, "address \"" + name + "\" is taken");
  }
  return std::unique_ptr<Listener>(
      std::make_unique<State::Endpoint>(state_, std::move(name), std::move(backlog)));
}

std::unique_ptr<Dialer> MemoryNetwork::dialer(std::string from) {
  return std::make_unique<State::NameDialer>(state_, std::move(from));
}

}  // namespace podlab::transport
