#include "cli/agent_cleanup.hpp"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include <asio.hpp>

#include "cli/agent_service.hpp"
#include "cli/context.hpp"
#include "cli/node_membership.hpp"
#include "cli/session.hpp"
#include "common/blocking.hpp"
#include "common/cgroups.hpp"
#include "common/filesystem.hpp"
#include "common/process.hpp"
#include "lab/lab_state.hpp"
#include "net/sysctl_record.hpp"
#include "node/kernel_dataplane.hpp"
#include "node/oci_runtime.hpp"
#include "transport/certificates.hpp"

namespace podlab::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(5);

/// Ends all containers, and the processes that hold pods' PID namespaces.
Co<Status> removeContainers(asio::any_io_executor executor, Clock& clock, Filesystem& files,
                            BlockingPool& pool, const AgentProcessOptions& agent) {
  auto processes = makeProcessRunner(executor, clock);
  node::OciRuntimeOptions options;
  options.stateFolder = agent.containersFolder();
  options.diskFolder = agent.rootfsFolder();
  options.runtime = agent.runtime;
  options.cgroups = {Cgroups::find(), agent.cgroup};
  auto runtime = node::makeOciRuntime(executor, clock, files, *processes, pool, std::move(options));
  if (Status opened = co_await runtime->open(); !opened) co_return opened;
  auto containers = co_await runtime->list();
  if (!containers) co_return containers.status();
  for (const auto& container : *containers) {
    Status removed = co_await runtime->remove(container.id);
    if (!removed) co_return removed.withContext("container " + container.id);
  }
  auto pods = files.listDirectory(agent.containersFolder() + "/pidns");
  if (!pods) co_return pods.status();
  for (const auto& uid : *pods) {
    if (Status removed = co_await runtime->removePidNamespace(uid); !removed) co_return removed;
  }
  co_return Status();
}

/// The cgroups, once the kernel is at the end of the processes in them.
Co<Status> removeCgroups(Clock& clock, std::string path) {
  const Cgroups cgroups = Cgroups::find();
  const MonoTime deadline = clock.now() + kPatience;
  for (const auto& folder : cgroups.folders(path)) {
    Status removed = removeCgroup(folder);
    while (removed.is(Code::kConflict) && clock.now() < deadline) {
      killCgroup(folder);
      co_await clock.sleepFor(std::chrono::milliseconds(10));
      removed = removeCgroup(folder);
    }
    if (!removed) co_return removed;
    ::rmdir(folder.substr(0, folder.rfind('/')).c_str());  // of all of podlab's, when it is empty
  }
  co_return Status();
}

/// What is mounted at or below the folders; the last mounted goes first.
Status unmountBelow(const std::vector<std::string>& folders) {
  std::vector<std::string> points;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, point;
    words >> id >> parent >> device >> root >> point;
    const bool ours = std::ranges::any_of(folders, [&](const std::string& folder) {
      return point == folder || point.starts_with(folder + "/");
    });
    if (ours) points.push_back(point);
  }
  std::ranges::reverse(points);
  for (const auto& point : points) {
    if (::umount2(point.c_str(), MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
      return errnoStatus(errno, "cannot unmount " + point);
  }
  return {};
}

Co<Status> cleanUp(asio::io_context& io, Clock& clock, AgentProcessOptions agent) {
  const auto files = makeRealFilesystem();
  const auto pool = makeThreadPool(1);
  const auto executor = io.get_executor();
  Status status = co_await removeContainers(executor, clock, *files, *pool, agent);
  if (!status) co_return status;
  node::KernelDataplaneOptions network;
  network.pinFolder = agent.pinFolder();
  node::KernelDataplane dataplane(std::move(network), *pool, clock, executor);
  status = co_await dataplane.removeAll();
  if (status) status = net::SysctlRecord(agent.sysctlFile()).restore();
  if (status) status = co_await removeCgroups(clock, agent.cgroup);
  if (status) status = unmountBelow({agent.runDir, agent.stateDir});
  if (status) status = files->removeTree(agent.runDir);
  co_return status;
}

Co<int> cleanUpAndTell(asio::io_context& io, Clock& clock, AgentProcessOptions agent) {
  const Status status = co_await cleanUp(io, clock, std::move(agent));
  co_return status ? kDone : fail(status);
}

}  // namespace

Result<UniqueFd> lockNode(const AgentProcessOptions& options) {
  auto lock = lab::lockLab({options.stateDir});
  if (!lock.status().is(Code::kAlreadyExists)) return lock;
  return Status(Code::kAlreadyExists, "an agent runs on this machine with the state folder " +
                                          options.stateDir +
                                          "; end it first, e.g. by: systemctl stop podlab-agent");
}

Result<bool> isForeignNode(const AgentProcessOptions& options, const std::string& caHash) {
  const auto files = makeRealFilesystem();
  auto membership = readMembership(*files, options.membershipFolder());
  if (!membership) return membership.status();
  if (!*membership) return false;
  const auto hash = transport::publicKeyHash((*membership)->caPem);
  if (!hash) return hash.status();
  return *hash != caHash || (*membership)->nodeName() != options.name;
}

namespace {

/// Ends an agent that runs in the background, and all that does not outlive a boot.
int endNode(const AgentProcessOptions& options, UniqueFd& lock) {
  if (Status ended = endInBackground(options); !ended) return fail(ended);
  auto taken = lockNode(options);
  if (!taken) return fail(taken.status());
  lock = std::move(*taken);
  return runCoroutine(
      [&](asio::io_context& io, Clock& clock) { return cleanUpAndTell(io, clock, options); });
}

}  // namespace

int runStop(const AgentProcessOptions& options) {
  UniqueFd lock;
  return endNode(options, lock);
}

int runCleanup(const AgentProcessOptions& options) {
  UniqueFd lock;
  if (const int code = endNode(options, lock); code != kDone) return code;
  // The last, with the lock in it.
  const Status removed = makeRealFilesystem()->removeTree(options.stateDir);
  return removed.ok() ? kDone : fail(removed);
}

}  // namespace podlab::cli
