#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <asio.hpp>

#include "api/conditions.hpp"
#include "node/agent.hpp"
#include "node/shared_limits.hpp"
#include "node/simulated_dataplane.hpp"
#include "node/simulated_filesystem.hpp"
#include "node/simulated_host.hpp"
#include "node/simulated_runtime.hpp"
#include "sim/sim_clock.hpp"
#include "tests/fakes/fake_api.hpp"
#include "tests/fakes/quiet.hpp"

namespace podlab::node {

inline NodeNetworkInfo underlay(const std::string& address, const std::string& mac) {
  NodeNetworkInfo info;
  info.underlay = {*net::IpAddress::parse(address)};
  info.vxlanMac = *net::MacAddress::parse(mac);
  info.mtu = 1450;
  return info;
}

/// A pod bound to node-1, as the server would have defaulted it.
inline corev1::Pod makePod(const std::string& name,
                           const std::vector<std::string>& containers = {"main"}) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("default");
  auto& spec = *pod.mutable_spec();
  spec.set_nodename("node-1");
  spec.set_restartpolicy("Always");
  spec.set_terminationgraceperiodseconds(30);
  for (const auto& container : containers) {
    auto& added = *spec.add_containers();
    added.set_name(container);
    added.set_image("app:1");
  }
  pod.mutable_status()->set_phase("Pending");
  return pod;
}

inline void addInit(corev1::Pod& pod, const std::string& name) {
  auto& added = *pod.mutable_spec()->add_initcontainers();
  added.set_name(name);
  added.set_image("app:1");
}

/// A host with a server beside it: what survives the death of an agent.
class NodeTest : public ::testing::Test {
 protected:
  asio::io_context io_;
  sim::SimClock clock_{io_};
  SeededRng rng_{1};
  fakes::FakeApi api_;
  SimulatedRuntime runtime_{clock_};
  SimulatedDataplane dataplane_{clock_, underlay("192.0.2.1", "02:00:00:00:00:01")};
  SimulatedImages images_;
  SimulatedVolumes volumes_;
  SimulatedPodDialer dialer_;
  SimulatedFilesystem files_;
  std::unique_ptr<BlockingPool> blocking_ = makeInlinePool();
  std::string range_ = "10.244.1.0/24";
  std::string stateFolder_ = "/state";
  bool parksPods_ = false;
  std::unique_ptr<Agent> agent_;
  bool running_ = false;

  AgentDependencies dependencies() {
    return {.executor = io_.get_executor(),
            .clock = clock_,
            .rng = rng_,
            .api = api_,
            .dataplane = dataplane_,
            .runtime = runtime_,
            .images = images_,
            .volumes = volumes_,
            .dialer = dialer_,
            .files = files_,
            .blocking = *blocking_};
  }
  AgentOptions options() const {
    AgentOptions options;
    options.nodeName = "node-1";
    options.capacity = {{"cpu", "4"}, {"memory", "8Gi"}, {"pods", "110"}};
    options.stateFolder = stateFolder_;
    options.parksPods = parksPods_;
    if (parksPods_) options.limits = std::make_shared<SharedLimits>();
    options.clusterRanges = {*net::Cidr::parse("10.244.0.0/16")};
    return options;
  }

  /// What the server's controllers would do: gives the node its range.
  void giveRange() {
    auto node = api_.find<corev1::Node>("node-1");
    corev1::Node copy;
    if (node != nullptr) copy = *node;
    copy.mutable_metadata()->set_name("node-1");
    copy.mutable_spec()->clear_podcidrs();
    copy.mutable_spec()->add_podcidrs(range_);
    api_.put(copy);
  }

  static Co<void> runAgent(Agent& agent, bool& running) {
    running = true;
    Status status = co_await agent.run();
    EXPECT_TRUE(status.ok()) << status.toString();
    running = false;
  }
  void launch(AgentDependencies dependencies) {
    agent_ = std::make_unique<Agent>(dependencies, options());
    asio::co_spawn(io_, runAgent(*agent_, running_), asio::detached);
    clock_.runUntilIdle();
  }
  void launch() { launch(dependencies()); }
  /// With a range, and ready.
  void boot() {
    giveRange();
    launch();
    ASSERT_TRUE(agent_->ready());
  }
  void stop() {
    if (agent_ == nullptr) return;
    agent_->requestStop();
    clock_.runUntilIdle();
    EXPECT_FALSE(running_);
    agent_.reset();
    clock_.runUntilIdle();
  }
  void TearDown() override { stop(); }

  std::string uidOf(const std::string& name) const {
    return api_.find<corev1::Pod>("default/" + name)->metadata().uid();
  }
  std::string add(const corev1::Pod& pod) {
    api_.put(pod);
    clock_.runUntilIdle();
    return uidOf(pod.metadata().name());
  }
  bool exists(const std::string& name) const {
    return api_.find<corev1::Pod>("default/" + name) != nullptr;
  }
  corev1::PodStatus status(const std::string& name) const {
    auto pod = api_.find<corev1::Pod>("default/" + name);
    return pod == nullptr ? corev1::PodStatus() : pod->status();
  }
  corev1::ContainerStatus container(const std::string& pod, int index = 0) const {
    auto all = status(pod);
    return index < all.containerstatuses_size() ? all.containerstatuses(index)
                                                : corev1::ContainerStatus();
  }
  bool ready(const std::string& pod) const { return api::isTrue(status(pod), "Ready"); }
  void remove(const std::string& name, std::optional<int> grace = std::nullopt) {
    api::ResourceId id{&api::kindFor<corev1::Pod>(), "default", name, ""};
    api::DeleteOptions deletion;
    if (grace) deletion.set_graceperiodseconds(*grace);
    Status status;
    // Failures may be in store for the agent.
    do {
      status = sim::runInSim(clock_, api_.remove(id, deletion)).status();
    } while (status.is(Code::kUnavailable));
    ASSERT_TRUE(status.ok()) << status.toString();
    clock_.runUntilIdle();
  }
  int eventCount(const std::string& reason) {
    api::ResourceId id{&api::kindFor<corev1::Event>(), "", "", ""};
    api::ListOptions all;
    auto events = sim::runInSim(clock_, api_.list(id, all));
    int count = 0;
    for (const auto& event : events->items) {
      if (api::as<corev1::Event>(event).reason() == reason)
        count += api::as<corev1::Event>(event).count();
    }
    return count;
  }
  std::string eventMessage(const std::string& reason) {
    api::ResourceId id{&api::kindFor<corev1::Event>(), "", "", ""};
    api::ListOptions all;
    auto events = sim::runInSim(clock_, api_.list(id, all));
    for (const auto& event : events->items) {
      if (api::as<corev1::Event>(event).reason() == reason)
        return api::as<corev1::Event>(event).message();
    }
    return "";
  }
};

/// With workers that stay, and as on hollow nodes with pods that are parked whenever they have
/// nothing to do, and wait for their turn: nothing else may tell the difference.
class PodTest : public NodeTest, public ::testing::WithParamInterface<bool> {
 protected:
  PodTest() { parksPods_ = GetParam(); }
};

inline auto workersStayAndGo() {
  return ::testing::Values(false, true);
}
inline std::string workerName(const ::testing::TestParamInfo<bool>& parks) {
  return parks.param ? "Parked" : "Kept";
}

}  // namespace podlab::node
