#include "sim/hollow_node.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/log.hpp"
#include "sim/crashing_host.hpp"

namespace podlab::sim {
namespace {

constexpr int kPodMtu = 1450;

/// What a pod answers to probes: whatever it is asked, HTTP's 200.
class ProbeAnswer final : public ByteStream {
 public:
  Co<Result<std::size_t>> read(MutableBytes out) override {
    if (answer_.empty()) co_return Status(Code::kEndOfStream, "the end");
    const std::size_t size = std::min(out.size(), answer_.size());
    std::memcpy(out.data(), answer_.data(), size);
    answer_.remove_prefix(size);
    co_return size;
  }
  Co<Status> write(Bytes) override { co_return Status(); }
  void close() override { answer_ = {}; }
  std::string peer() const override { return "simulated"; }

 private:
  std::string_view answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
};

/// Of `sleep SECONDS`.
std::optional<Duration> sleepOf(const std::vector<std::string>& argv) {
  if (argv.size() != 2 || argv[0] != "sleep") return std::nullopt;
  double seconds = 0;
  const auto end = argv[1].data() + argv[1].size();
  const auto [parsed, error] = std::from_chars(argv[1].data(), end, seconds);
  if (error != std::errc() || parsed != end || !(seconds >= 0 && seconds < 1e9))
    return std::nullopt;
  return Duration(std::llround(seconds * 1e9));
}

node::NodeNetworkInfo networkOf(const HollowNodeOptions& options) {
  node::NodeNetworkInfo network;
  network.underlay = options.addresses;
  network.mtu = kPodMtu;
  return network;
}

}  // namespace

/// From an agent's start to its end.
struct HollowNode::Life {
  Life(node::AgentDependencies host, node::AgentOptions options)
      : world(std::move(host), -1, false), agent(world.dependencies(), std::move(options)) {}

  CrashingWorld world;
  node::Agent agent;
  bool ended = false;
};

HollowNode::HollowNode(HollowNodeDependencies dependencies, HollowNodeOptions options)
    : dependencies_(std::move(dependencies)),
      options_(std::move(options)),
      bootId_(options_.bootId.empty() ? dependencies_.rng.uuid() : options_.bootId),
      runtime_(dependencies_.clock),
      dataplane_(dependencies_.clock, networkOf(options_)),
      tasks_(dependencies_.executor) {
  runtime_.forgetSpecs();
  volumes_.forgetContents();
  if (!options_.agentsComeBack) files_.forgetWrites();
  runtime_.setScript([this](const node::ContainerSpec& container) { return script(container); });
  dialer_.setAnswer(
      [](const net::IpAddress&, std::uint16_t) -> Result<std::unique_ptr<ByteStream>> {
        return std::unique_ptr<ByteStream>(std::make_unique<ProbeAnswer>());
      });
}

HollowNode::~HollowNode() = default;

node::ContainerScript HollowNode::script(const node::ContainerSpec& container) {
  const HollowBehaviour& behaviour = options_.behaviour;
  Rng& rng = dependencies_.rng;
  node::ContainerScript script;
  script.startTakes = behaviour.startDelay.sampleDuration(rng);
  script.stopTakes = behaviour.stopDelay.sampleDuration(rng);
  if (rng.chance(behaviour.startFailures))
    script.startFails = Status(Code::kInternal, "the hollow node's behaviour lets this start fail");
  if (behaviour.lifetime) script.runsFor = behaviour.lifetime->sampleDuration(rng);
  if (const auto sleep = sleepOf(container.argv)) script.runsFor = sleep;
  if (rng.chance(behaviour.crashes)) {
    const Duration crash = behaviour.crashAfter.sampleDuration(rng);
    if (!script.runsFor || crash < *script.runsFor) {
      script.runsFor = crash;
      script.exitCode = 1;
    }
  }
  return script;
}

node::AgentOptions HollowNode::agentOptions() const {
  node::AgentOptions agent;
  agent.nodeName = options_.name;
  agent.labels = options_.labels;
  agent.taints = options_.taints;
  agent.capacity = options_.capacity;
  agent.system.set_operatingsystem("linux");
  agent.system.set_architecture("amd64");
  agent.system.set_osimage("hollow");
  agent.system.set_kernelversion("simulated");
  agent.system.set_bootid(bootId_);
  agent.system.set_kubeletversion(options_.version);
  agent.intervals = options_.intervals;
  // Of 100,000 pods the others would be 300,000 objects, which say of timers that they were
  // started.
  agent.warningsOnly = true;
  agent.keepsRecords = options_.agentsComeBack;
  agent.parksPods = true;
  agent.limits = options_.limits;
  agent.stateFolder = "/state";
  agent.clusterRanges = options_.clusterRanges;
  return agent;
}

const node::Agent* HollowNode::agent() const {
  return life_ == nullptr ? nullptr : &life_->agent;
}

void HollowNode::start() {
  const node::AgentDependencies host{.executor = dependencies_.executor,
                                     .clock = dependencies_.clock,
                                     .rng = dependencies_.rng,
                                     .api = dependencies_.api,
                                     .dataplane = dataplane_,
                                     .runtime = runtime_,
                                     .images = images_,
                                     .volumes = volumes_,
                                     .dialer = dialer_,
                                     .files = files_,
                                     .blocking = *blocking_};
  life_ = std::make_unique<Life>(host, agentOptions());
  tasks_.spawn("hollow agent", live(*life_));
}

Co<void> HollowNode::live(Life& life) {
  const Status status = co_await life.agent.run();
  if (!status.ok()) logError("hollow_agent_failed", {{"node", options_.name}, {"error", status}});
  life.ended = true;
  ended_.notifyAll();
}

Co<void> HollowNode::stop() {
  if (life_ == nullptr) co_return;
  life_->agent.requestStop();
  while (!life_->ended) co_await ended_.wait();
  co_await tasks_.join();
  life_.reset();
}

Co<void> HollowNode::crash() {
  if (life_ != nullptr) life_->world.point.kill();
  co_await stop();
}

Co<void> HollowNode::powerOff() {
  co_await crash();
  runtime_.reboot();
  dataplane_.reboot();
  bootId_ = dependencies_.rng.uuid();
}

}  // namespace podlab::sim
