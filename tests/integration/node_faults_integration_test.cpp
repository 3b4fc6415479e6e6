// Each step of a pod's start and end fails once, on the real kernel: the pod comes up and goes all
// the same, or says why it cannot, and nothing stays behind.
#include <gmock/gmock.h>
#include <net/if.h>
#include <sys/mount.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "api/conditions.hpp"
#include "common/blocking.hpp"
#include "common/rng.hpp"
#include "node/agent.hpp"
#include "node/kernel_dataplane.hpp"
#include "node/kernel_pod_dialer.hpp"
#include "node/local_volumes.hpp"
#include "tests/fakes/fake_api.hpp"
#include "tests/integration/faults.hpp"
#include "tests/integration/runtime_world.hpp"
#include "tests/integration/sanitizer.hpp"

namespace podlab::node {
namespace {

/// How much faster than the machine's clock the agent's runs: its retries wait for seconds.
constexpr int kSpeed = 200;

class FastClock final : public Clock {
 public:
  explicit FastClock(asio::any_io_executor executor)
      : real_(makeRealClock(std::move(executor))), start_(real_->now()), wall_(real_->wallNow()) {}
  MonoTime now() const override { return start_ + (real_->now() - start_) * kSpeed; }
  WallTime wallNow() const override { return wall_ + (real_->now() - start_) * kSpeed; }
  TimerId schedule(MonoTime at, std::function<void()> fn) override {
    return real_->schedule(start_ + (at - start_) / kSpeed, std::move(fn));
  }
  void cancel(TimerId id) override { real_->cancel(id); }

 private:
  std::unique_ptr<Clock> real_;
  MonoTime start_;
  WallTime wall_;
};

/// A node's agent with all that is real but the server.
class RealNode {
 public:
  RealNode(std::string folder, NodeCgroups cgroups)
      : folder_(std::move(folder)), cgroups_(std::move(cgroups)) {
    // The underlay.
    EXPECT_EQ(std::system("ip link set lo up && ip link add eth0 type veth peer eth0-peer && ip "
                          "link set eth0-peer up && "
                          "ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up"),
              0);
    EXPECT_EQ(files_->createDirectories(folder_ + "/state/pods"), Status());
    KernelDataplaneOptions network;
    network.pinFolder = folder_ + "/run/pins";
    network.nodeIp = *net::IpAddress::parse("192.0.2.1");
    dataplane_ = std::make_unique<KernelDataplane>(network, *pool_, clock_, io_.get_executor());
    EXPECT_EQ(run(dataplane_->start()), Status());
    OciRuntimeOptions runtime;
    runtime.stateFolder = folder_ + "/run/containers";
    runtime.cgroups = cgroups_;
    runtime_ = makeOciRuntime(io_.get_executor(), clock_, *files_, *processes_, *pool_, runtime);
    EXPECT_EQ(run(runtime_->open()), Status());
    volumes_ = makeLocalVolumes(*files_, *pool_, clock_, folder_ + "/state", folder_ + "/run");
    AgentOptions options;
    options.nodeName = "node-1";
    options.capacity = {{"cpu", "4"}, {"memory", "8Gi"}, {"pods", "110"}};
    options.stateFolder = folder_ + "/state";
    options.clusterRanges = {*net::Cidr::parse("10.244.0.0/16")};
    corev1::Node node;
    node.mutable_metadata()->set_name("node-1");
    node.mutable_spec()->add_podcidrs("10.244.1.0/24");
    api_.put(node);
    corev1::ConfigMap settings;
    settings.mutable_metadata()->set_name("settings");
    settings.mutable_metadata()->set_namespace_("default");
    (*settings.mutable_data())["color"] = "blue";
    api_.put(settings);
    const AgentDependencies dependencies{.executor = io_.get_executor(),
                                         .clock = clock_,
                                         .rng = rng_,
                                         .api = api_,
                                         .dataplane = *dataplane_,
                                         .runtime = *runtime_,
                                         .images = images_,
                                         .volumes = *volumes_,
                                         .dialer = *dialer_,
                                         .files = *files_,
                                         .blocking = *pool_};
    agent_ = std::make_unique<Agent>(dependencies, options);
    asio::co_spawn(io_, serve(), asio::detached);
    EXPECT_TRUE(eventually([this] { return agent_->ready(); }));
  }
  ~RealNode() {
    agent_->requestStop();
    eventually([this] { return !running_; });
    run(dataplane_->stop());
    agent_.reset();
    runtime_.reset();
    io_.restart();
    io_.poll();
  }

  template <typename T>
  T run(Co<T> task) {
    std::optional<T> result;
    asio::co_spawn(io_, into(std::move(task), result), asio::detached);
    io_.restart();
    while (!result) io_.run_one();
    return std::move(*result);
  }
  void run(Co<void> task) {
    bool done = false;
    asio::co_spawn(io_, std::move(task), [&done](std::exception_ptr) { done = true; });
    io_.restart();
    while (!done) io_.run_one();
  }
  /// The deadline, in the machine's time, is for a test that fails.
  bool eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    io_.restart();
    while (!holds() && std::chrono::steady_clock::now() < deadline)
      io_.run_one_for(std::chrono::milliseconds(20));
    return holds();
  }

  std::shared_ptr<const corev1::Pod> pod(const std::string& name) {
    return api_.find<corev1::Pod>("default/" + name);
  }
  bool ready(const std::string& name) { return api::isTrue(pod(name)->status(), "Ready"); }
  void add(const corev1::Pod& pod) { api_.put(pod); }
  void remove(const std::string& name) {
    api::ResourceId id{&api::kindFor<corev1::Pod>(), "default", name, ""};
    api::DeleteOptions options;
    EXPECT_TRUE(run(api_.remove(id, options)).ok());
  }

  /// All that a pod has on the node: links, mounts, namespaces, files and processes.
  std::multiset<std::string> belongings() {
    const test::Faults::Exempt look;
    std::multiset<std::string> found;
    for (const char* path : {"/run/pins", "/run/containers/containers", "/run/containers/runtime",
                             "/run/containers/pidns", "/run/pods", "/state/pods"}) {
      for (const auto& name : files_->listDirectory(folder_ + path).valueOr({}))
        found.insert(std::string(path) + "/" + name);
    }
    for (const auto& folder : cgroups_.cgroups.folders(cgroups_.path)) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.is_directory()) found.insert("cgroup " + entry.path().string());
      }
    }
    struct if_nameindex* links = ::if_nameindex();
    for (auto* link = links; link->if_index != 0; ++link)
      found.insert(std::string("link ") + link->if_name);
    ::if_freenameindex(links);
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
      std::istringstream fields(line);
      std::string skipped, point;
      fields >> skipped >> skipped >> skipped >> skipped >> point;
      found.insert("mount " + point);
    }
    for (const auto& name : files_->listDirectory("/proc").valueOr({})) {
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream status("/proc/" + name + "/comm");
      std::string program;
      if (std::getline(status, program)) found.insert("process " + program);
    }
    return found;
  }

  std::string events() {
    std::string all;
    api::ResourceId id{&api::kindFor<corev1::Event>(), "", "", ""};
    api::ListOptions options;
    const auto listed = run(api_.list(id, options));
    for (const auto& event : listed->items)
      all += "  " + api::as<corev1::Event>(event).reason() + ": " +
             api::as<corev1::Event>(event).message() + "\n";
    return all;
  }

 private:
  template <typename T>
  static Co<void> into(Co<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }
  Co<void> serve() {
    running_ = true;
    EXPECT_EQ(co_await agent_->run(), Status());
    running_ = false;
  }

  std::string folder_;
  NodeCgroups cgroups_;
  asio::io_context io_;
  FastClock clock_{io_.get_executor()};
  SeededRng rng_{1};
  fakes::FakeApi api_;
  std::unique_ptr<Filesystem> files_ = makeRealFilesystem();
  // One thread: the calls come in about the same order each time.
  std::unique_ptr<BlockingPool> pool_ = makeThreadPool(1);
  std::unique_ptr<ProcessRunner> processes_ = makeProcessRunner(io_.get_executor(), clock_);
  std::unique_ptr<PodDialer> dialer_ = makeKernelPodDialer(io_.get_executor(), *pool_);
  HostImageStore images_;
  std::unique_ptr<KernelDataplane> dataplane_;
  std::unique_ptr<OciRuntime> runtime_;
  std::unique_ptr<PodVolumes> volumes_;
  std::unique_ptr<Agent> agent_;
  bool running_ = false;
};

corev1::Pod makePod(const std::string& name) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("default");
  auto& spec = *pod.mutable_spec();
  spec.set_nodename("node-1");
  spec.set_restartpolicy("Always");
  spec.set_terminationgraceperiodseconds(30);
  spec.set_shareprocessnamespace(true);
  for (const char* medium : {"", "Memory"}) {
    auto& volume = *spec.add_volumes();
    volume.set_name(std::string("v") + medium);
    volume.mutable_volumesource()->mutable_emptydir()->set_medium(medium);
  }
  auto& settings = *spec.add_volumes();
  settings.set_name("settings");
  settings.mutable_volumesource()->mutable_configmap()->mutable_localobjectreference()->set_name(
      "settings");
  auto& main = *spec.add_containers();
  main.set_name("main");
  main.set_image("host");
  main.add_command("sleep");
  main.add_command("1000");
  (*main.mutable_resources()->mutable_limits())["memory"].set_string("256Mi");
  for (const auto& volume : spec.volumes()) {
    auto& mount = *main.add_volumemounts();
    mount.set_name(volume.name());
    mount.set_mountpath("/tmp/" + volume.name());
  }
  main.mutable_volumemounts(2)->set_subpath("color");
  auto& probe = *main.mutable_readinessprobe();
  probe.mutable_handler()->mutable_exec()->add_command("true");
  probe.set_timeoutseconds(1000);
  return pod;
}

class NodeFaults : public RuntimeTest {};
INSTANTIATE_RUNTIME_TEST(NodeFaults);

TEST_P(NodeFaults, EachCallFailsOnce) {
  if (test::kNoFaults != nullptr) GTEST_SKIP() << test::kNoFaults;
  inWorld([](RuntimeFixture& world) {
    test::Faults::open("/mnt/faults");
    RealNode node("/mnt/node", world.cgroups());
    const auto cycle = [&node](const std::string& name, const std::multiset<std::string>& before) {
      node.add(makePod(name));
      const bool up = node.eventually([&] { return node.ready(name); });
      EXPECT_TRUE(up) << node.pod(name)->status().DebugString();
      node.remove(name);
      const bool gone = node.eventually([&] { return node.pod(name) == nullptr; });
      EXPECT_TRUE(gone);
      const bool clean = node.eventually([&] { return node.belongings() == before; });
      std::vector<std::string> left;
      std::ranges::set_difference(node.belongings(), before, std::back_inserter(left));
      EXPECT_THAT(left, testing::IsEmpty());
      return up && gone && clean;
    };
    const auto before = node.belongings();
    std::set<std::string> kinds;
    for (long at = 0;; ++at) {
      test::Faults::arm(at);
      const bool fine = cycle("pod-" + std::to_string(at), before);
      const long calls = test::Faults::disarm();
      const std::string struck = test::Faults::struck();
      ASSERT_TRUE(fine) << "call " << at << ", " << struck << "\n" << node.events();
      kinds.insert(struck.substr(0, struck.find(':')));
      if (calls <= at) {
        std::printf("%ld calls of %zu kinds failed, one in each life of a pod\n", at, kinds.size());
        break;
      }
    }
  });
}

TEST_P(NodeFaults, AFullDiskIsSaidAndGotOver) {
  inWorld([](RuntimeFixture& world) {
    ASSERT_EQ(world.files().createDirectories("/mnt/small"), Status());
    ASSERT_EQ(::mount("none", "/mnt/small", "tmpfs", 0, "size=2m"), 0);
    RealNode node("/mnt/small", world.cgroups());
    node.add(makePod("before"));
    ASSERT_TRUE(node.eventually([&] { return node.ready("before"); }));
    const std::string filler = "/mnt/small/filler";
    {
      std::ofstream file(filler);
      while (file) file << std::string(4096, 'x') << std::flush;
    }
    node.add(makePod("during"));
    EXPECT_TRUE(node.eventually([&] {
      return node.events().find("No space left on device") != std::string::npos;
    })) << node.events();
    EXPECT_FALSE(node.ready("during"));
    EXPECT_TRUE(node.ready("before"));
    ASSERT_EQ(world.files().removeFile(filler), Status());
    EXPECT_TRUE(node.eventually([&] { return node.ready("during"); })) << node.events();
    for (const char* name : {"before", "during"}) {
      node.remove(name);
      EXPECT_TRUE(node.eventually([&] { return node.pod(name) == nullptr; }));
    }
  });
}

}  // namespace
}  // namespace podlab::node
