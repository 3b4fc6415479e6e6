// The yardstick of pods a second: the namespaces, links and `crun run`s of pods, by one loop a node
// and nothing else: no API, store, scheduler, agent, shim or log. Used by bench/lab_bench.py.
//   podlab_bare_pods_bench PODS NODES CONTAINERS [cgroups]   seconds from the first pod to the last
//                                                            one's containers running
// With `cgroups` each container has cgroups of its own, by crun, as podlab's have. Needs root. All
// happens in namespaces that end with the process.
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "bench/program.hpp"
#include "common/cgroups.hpp"
#include "common/filesystem.hpp"
#include "common/spawn.hpp"
#include "lab/isolate.hpp"
#include "lab/mounts.hpp"
#include "net/namespaces.hpp"
#include "net/node_network.hpp"
#include "net/pod_link.hpp"
#include "node/host_image.hpp"
#include "node/oci_config.hpp"
#include "node/seccomp_filters.hpp"

namespace podlab {
namespace {

const std::string kFolder = "/run/podlab-bare";  // a tmpfs of the process's own
const std::string kCgroup = "podlab-bare";

using bench::must;

Co<void> resolve(node::HostImageStore& store, node::Image& image) {
  image = must(co_await store.resolve("host"));
}

node::Image hostImage(Filesystem& files, const std::string& folder) {
  node::HostImageStore store;
  node::Image image;
  asio::io_context io;
  asio::co_spawn(io, resolve(store, image), asio::detached);
  io.run();
  image.rootfs = folder;
  must(node::makeHostRootfs(files, folder));
  return image;
}

/// One node: a network namespace with the bridge, made before the clock starts.
class Node {
 public:
  Node(int number, bool cgroups) : folder_(kFolder + "/node" + std::to_string(number)) {
    if (cgroups) host_ = node::hostFacts({Cgroups::find(), kCgroup});
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) must(errnoStatus(errno, "unshare"));
    must(lab::makeMountsPrivate());
    must(net::raiseLoopback());
    socket_.emplace(must(net::NetlinkSocket::open()));
    layout_.ranges = {must(net::Cidr::parse("10.244." + std::to_string(number) + ".0/24"))};
    layout_.underlay.mtu = 1500;
    layout_.vxlan = false;
    links_ = must(net::ensureNode(*socket_, layout_));
    pins_.emplace(must(net::NamespacePins::open(folder_ + "/pins")));
    image_ = hostImage(*files_, folder_ + "/image");
  }

  void makePod(int number, int containers) {
    const std::string uid = "pod" + std::to_string(number);
    net::PodLink link{uid, {layout_.ranges[0].at(2 + static_cast<std::uint64_t>(number))}};
    net::NamespacePins::Wanted wanted;
    wanted.hostname = uid;
    const auto connect = [&]() -> Status {
      UniqueFd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      auto inside = must(net::NetlinkSocket::open());
      return net::ensurePodLink(*socket_, inside, own.get(), layout_, links_, link, true).status();
    };
    auto namespaces = must(pins_->create(uid, wanted, connect));
    for (int i = 0; i < containers; ++i) runContainer(uid, i, namespaces);
  }

 private:
  void runContainer(const std::string& uid, int number, const net::NamespacePaths& namespaces) {
    node::ContainerSpec spec;
    spec.id = uid + "-c" + std::to_string(number);
    spec.podUid = uid;
    spec.name = spec.id;
    spec.argv = {"/usr/bin/sleep", "infinity"};
    spec.image = image_;
    spec.namespaces = {namespaces.network, namespaces.ipc, namespaces.uts};
    const std::string bundle = folder_ + "/" + spec.id;
    must(files_->createDirectories(bundle));
    const auto seccomp = must(filters_.of(spec.security, node::capabilitiesOf(spec, host_)));
    must(files_->writeFileAtomic(bundle + "/config.json",
                                 must(node::makeOciConfig(spec, host_, seccomp)), 0600, false));
    SpawnSpec crun;
    const char* cgroups = host_.cgroups.any() ? "cgroupfs" : "disabled";
    crun.argv = {"crun", "--root",   folder_ + "/crun", std::string("--cgroup-manager=") + cgroups,
                 "run",  "--detach", "--bundle",        bundle,
                 spec.id};
    crun.descriptors = {{STDERR_FILENO, STDERR_FILENO}};
    auto child = must(spawn(crun));
    if (reapChild(child.pid) != 0) must(Status(Code::kInternal, "crun run failed"));
  }

  std::string folder_;
  std::unique_ptr<Filesystem> files_ = makeRealFilesystem();
  std::optional<net::NetlinkSocket> socket_;
  net::NodeLayout layout_;
  net::NodeLinks links_;
  std::optional<net::NamespacePins> pins_;
  node::HostFacts host_ = node::hostFacts({});
  node::SeccompFilters filters_{*files_, "", true};
  node::Image image_;
};

/// A pipe whose end of file is a signal to all who read it.
struct Gate {
  Gate() {
    if (::pipe(ends.data()) < 0) must(errnoStatus(errno, "pipe"));
  }
  void wait() {
    ::close(ends[1]);
    char byte;
    while (::read(ends[0], &byte, 1) > 0) {
    }
  }
  std::array<int, 2> ends{};
};

/// In the new namespaces.
int measure(int pods, int nodes, int containers, bool cgroups) {
  must(lab::makeMountsPrivate());
  must(lab::mountProc());
  must(lab::hideHybridCgroups());
  must(lab::mountTmpfs(kFolder));
  Gate start, ready;
  std::vector<pid_t> workers;
  for (int i = 0; i < nodes; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(ready.ends[0]);
      Node node(i, cgroups);
      ::close(ready.ends[1]);
      start.wait();
      for (int pod = i; pod < pods; pod += nodes) node.makePod(pod / nodes, containers);
      std::_Exit(0);
    }
    workers.push_back(pid);
  }
  ready.wait();
  const auto begin = std::chrono::steady_clock::now();
  ::close(start.ends[1]);
  for (pid_t worker : workers) {
    int status = 0;
    if (::waitpid(worker, &status, 0) < 0 || status != 0) return 1;
  }
  std::printf("%.4f\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return 0;
}

/// In each hierarchy: crun makes them also in those that podlab does not use.
void removeCgroups() {
  for (const auto& name : cgroupsIn("/sys/fs/cgroup"))
    must(removeCgroup("/sys/fs/cgroup/" + name + "/" + kCgroup));
  must(removeCgroup("/sys/fs/cgroup/" + kCgroup));
}

}  // namespace
}  // namespace podlab

int main(int argc, char** argv) {
  const bool cgroups = argc == 5 && std::string_view(argv[4]) == "cgroups";
  if (argc != 4 && !cgroups) {
    std::fputs("usage: podlab_bare_pods_bench PODS NODES CONTAINERS [cgroups]\n", stderr);
    return 2;
  }
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0) {
    std::perror("unshare");
    return 1;
  }
  // The first process of the PID namespace: with it, all others end.
  const pid_t first = ::fork();
  if (first == 0) {
    const int code =
        podlab::measure(std::atoi(argv[1]), std::atoi(argv[2]), std::atoi(argv[3]), cgroups);
    std::fflush(stdout);
    std::_Exit(code);
  }
  int status = 0;
  ::waitpid(first, &status, 0);
  if (cgroups) podlab::removeCgroups();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
