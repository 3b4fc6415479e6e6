#include "node/oci_runtime.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include <asio.hpp>

#include "common/log.hpp"
#include "common/readable.hpp"
#include "common/spawn.hpp"
#include "common/sync.hpp"
#include "common/uncancelled.hpp"
#include "node/cgroup_tree.hpp"
#include "node/container_id.hpp"
#include "node/container_input.hpp"
#include "node/exec_session.hpp"
#include "node/host_image.hpp"
#include "node/oci_config.hpp"
#include "node/pid_namespaces.hpp"
#include "node/runtime_program.hpp"
#include "node/seccomp_filters.hpp"
#include "node/shim_client.hpp"
#include "node/shim_state.hpp"

namespace podlab::node {
namespace {

/// More at once only compete for the processors.
constexpr std::size_t kMaxStarts = 8;

struct Container {
  ContainerStatus status;
  RunningRecord record;
  std::unique_ptr<asio::posix::stream_descriptor> shim;  ///< pidfd, while the container runs
};

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::any_io_executor executor, Clock& clock, Filesystem& files, ProcessRunner& processes,
       BlockingPool& pool, OciRuntimeOptions options)
      : executor_(std::move(executor)),
        clock_(clock),
        files_(files),
        pool_(pool),
        options_(std::move(options)),
        runtime_(processes, files_, options_.runtime, options_.stateFolder + "/runtime",
                 options_.timeout),
        filters_(files_, options_.seccompFolder, runtime_.isCrun()),
        cgroups_(host_.cgroups, clock_, files_),
        shim_(executor_, options_.shimProgram, options_.stateFolder + "/shim.lock"),
        pidNamespaces_(files_, shim_, options_.stateFolder + "/pidns") {}

  Co<Status> open() {
    ::signal(SIGPIPE, SIG_IGN);
    for (const char* name : {"/containers", "/pidns", "/runtime"}) {
      Status made = files_.createDirectories(options_.stateFolder + name, 0700);
      if (!made) co_return made;
    }
    if (Status made = makeFolderOfUnrelated(files_, diskFolder()); !made) co_return made;
    host_ = hostFacts(options_.cgroups);
    if (host_.cgroups.any()) {
      Status cgroup = makeNodeCgroup(host_.cgroups, options_.nodeLimits);
      if (!cgroup) co_return cgroup;
    }
    runtime_.seal();
    Status started = co_await shim_.start(runtime_.sealed());
    if (!started) co_return started;
    auto ids = files_.listDirectory(options_.stateFolder + "/containers");
    if (!ids) co_return ids.status();
    for (const auto& id : *ids) {
      auto ran = recover(id);
      if (!ran) co_return ran.status();
      if (*ran) continue;
      Status removed = co_await removeFolder(id);
      if (!removed) logWarning("container_not_removed", {{"container", id}, {"error", removed}});
    }
    cgroups_.removeUnknown([this](const std::string& id) { return containers_.contains(id); });
    co_return removeStrayDiskFolders();
  }

  /// Goes on when its caller is cancelled: a container must not run unknown.
  Co<Status> start(ContainerSpec spec) {
    co_return co_await uncancelled(executor_, runStart(shared_from_this(), std::move(spec)));
  }

  Status kill(const std::string& id, int signal) {
    const Container* container = find(id);
    if (container == nullptr || container->status.state != ContainerState::kRunning)
      return Status(Code::kNotFound, "container " + id + " does not run");
    return signalProcess(container->record.init, signal);
  }

  Co<Status> remove(std::string id) {
    for (Container* container = find(id);
         container != nullptr && container->status.state == ContainerState::kRunning;
         container = find(id)) {
      (void)signalProcess(container->record.init, SIGKILL);
      co_await changed_.wait();
    }
    const std::string podUid = podOf(id);
    Status removed = co_await removeFolder(id);
    if (removed) removed = co_await cgroups_.removeContainer(podUid, id);
    if (removed && isLast(podUid, id)) removed = cgroups_.removePod(podUid);
    if (removed) containers_.erase(id);
    co_return removed;
  }

  std::vector<ContainerStatus> list() const {
    std::vector<ContainerStatus> all;
    all.reserve(containers_.size());
    for (const auto& [id, container] : containers_) all.push_back(container.status);
    return all;
  }

  Result<ContainerStatus> status(const std::string& id) {
    if (const Container* container = find(id)) return container->status;
    return Status(Code::kNotFound, "container " + id + " not found");
  }

  void onChange(std::function<void(std::string id)> listener) { listener_ = std::move(listener); }

  Co<Result<std::unique_ptr<ExecSession>>> exec(std::string id, ExecSpec spec) {
    const Container* container = find(id);
    if (container == nullptr || container->status.state != ContainerState::kRunning)
      co_return Status(Code::kNotFound, "container " + id + " does not run");
    auto command = runtime_.command("exec");
    const std::string folder = folderOf(id);
    auto config = files_.readFile(folder + "/" + kConfigFile);
    if (!config) co_return config.status();
    const auto cgroups = runtime_.entersCgroups()
                             ? cgroups_.processFiles(container->status.podUid, id)
                             : std::vector<std::string>();
    co_return co_await startExec(executor_, pool_, std::move(command), runtime_.sealed(),
                                 std::move(id), std::move(spec), folder, cgroups,
                                 std::move(*config));
  }

  Result<std::unique_ptr<ContainerInput>> openInput(const std::string& id) {
    const Container* container = find(id);
    if (container == nullptr || container->status.state != ContainerState::kRunning)
      return Status(Code::kNotFound, "container " + id + " does not run");
    return openContainerInput(executor_, container->record.shim);
  }

  PidNamespaces& pidNamespaces() { return pidNamespaces_; }

  RuntimeProgram& runtime() { return runtime_; }

 private:
  std::string folderOf(const std::string& id) const {
    return options_.stateFolder + "/containers/" + id;
  }
  std::string diskFolderOf(const std::string& id) const { return diskFolder() + "/" + id; }
  std::string diskFolder() const {
    return options_.diskFolder.empty() ? options_.stateFolder + "/rootfs" : options_.diskFolder;
  }
  /// What containers wrote that are gone, as after a restart of the node.
  Status removeStrayDiskFolders() {
    auto ids = files_.listDirectory(diskFolder());
    if (!ids) return ids.status();
    for (const auto& id : *ids) {
      if (containers_.contains(id)) continue;
      Status removed = files_.removeTree(diskFolderOf(id));
      if (!removed) logWarning("container_not_removed", {{"container", id}, {"error", removed}});
    }
    return {};
  }
  Container* find(const std::string& id) {
    auto it = containers_.find(id);
    return it == containers_.end() ? nullptr : &it->second;
  }

  std::string podOf(const std::string& id) {
    if (const Container* container = find(id)) return container->status.podUid;
    const auto parsed = ContainerId::parse(id);
    return parsed ? parsed->podUid : id;
  }

  /// Whether the pod has no other container than this one.
  bool isLast(const std::string& podUid, const std::string& id) const {
    return !starting_.contains(podUid) && std::ranges::none_of(containers_, [&](const auto& entry) {
      return entry.second.status.podUid == podUid && entry.first != id;
    });
  }

  ShimRequest startRequest(const ContainerSpec& spec) const {
    ShimRequest request;
    request.folder = folderOf(spec.id);
    request.logPath = spec.logPath;
    request.logLimits = options_.logLimits;
    request.tty = spec.tty;
    request.stdin = spec.stdin;
    request.sharedPids = spec.hostPid || !spec.pidNamespace.empty();
    request.startTimeoutMs = static_cast<int>(options_.timeout / std::chrono::milliseconds(1));
    if (host_.cgroups.any()) request.cgroup = planCgroup(host_.cgroups, spec);
    if (!runtime_.entersCgroups()) request.cgroup.processFiles.clear();
    if (!spec.image.layers.empty()) {
      request.rootfs = {spec.image.layers, spec.image.lockFile, diskFolderOf(spec.id)};
    }
    request.command = runtime_.command("run");
    for (const std::string& part :
         {std::string("--detach"), std::string("--bundle"), request.folder,
          std::string("--pid-file"), request.folder + "/" + kPidFile}) {
      request.command.push_back(part);
    }
    // In a user namespace all keyrings count against one ordinary user's small quota.
    if (!host_.uids.isInitial()) request.command.emplace_back("--no-new-keyring");
    if (spec.tty) request.command.push_back(std::string("--console-socket=") + kConsoleSocket);
    request.command.push_back(spec.id);
    return request;
  }

  static Co<Status> runStart(std::shared_ptr<Core> self, ContainerSpec spec) {
    while (self->starting_.size() >= kMaxStarts) co_await self->startSlot_.wait();
    const auto slot = self->starting_.insert(spec.podUid);
    Status started = co_await self->startNow(spec);
    self->starting_.erase(slot);
    self->startSlot_.notifyOne();
    co_return started;
  }

  Co<Status> startNow(const ContainerSpec& spec) {
    if (spec.id.empty() || spec.id.find('/') != std::string::npos || spec.id.starts_with("."))
      co_return Status(Code::kInvalid, "id: \"" + spec.id + "\" cannot name a folder");
    if (spec.argv.empty()) co_return Status(Code::kInvalid, "command: Required value");
    const std::string folder = folderOf(spec.id);
    if (files_.exists(folder))
      co_return Status(Code::kAlreadyExists, "container " + spec.id + " exists");
    Status made = files_.createDirectories(folder, 0700);
    if (made) made = files_.createDirectories(spec.logPath.substr(0, spec.logPath.rfind('/')));
    ContainerSpec own = spec;
    if (made && own.image.isHost) {
      own.image.rootfs = folder + "/rootfs";
      made = makeHostRootfs(files_, own.image.rootfs);
    } else if (made && !own.image.layers.empty()) {
      own.image.rootfs = folder + "/" + kRootfsFolder;
      made = makeOverlayFolders(spec.id);
    }
    if (made) {
      auto seccomp = filters_.of(own.security, capabilitiesOf(own, host_));
      auto config = seccomp ? makeOciConfig(own, host_, *seccomp) : seccomp.status();
      made = config ? files_.writeFileAtomic(folder + "/" + kConfigFile, *config, 0600, false)
                    : config.status();
    }
    if (!made) {
      (void)files_.removeTree(folder);
      (void)files_.removeTree(diskFolderOf(spec.id));
      co_return made;
    }
    auto reply = co_await shim_.request(startRequest(spec));
    // With the shim killed after it had written the record, the container did run.
    auto text = files_.readFile(folder + "/" + kRunningFile);
    const auto record = text ? parseRunning(*text) : std::nullopt;
    Status failed = reply ? Status(Code::kInternal, "the shim left no record") : reply.status();
    if (record) {
      const auto runs = add(spec.id, {spec.podUid, spec.name, spec.stopSignal}, *record);
      if (runs && !*runs) {
        // Not before the caller knows that it ran.
        asio::post(executor_, [weak = weak_from_this(), id = spec.id] {
          if (auto self = weak.lock()) self->ended(id);
        });
      }
      if (runs) co_return Status();
      failed = runs.status();
    }
    (void)co_await removeFolder(spec.id);
    (void)co_await cgroups_.removeContainer(spec.podUid, spec.id);
    co_return runtimeFailure(failed.message(), spec.argv[0]);
  }

  Status makeOverlayFolders(const std::string& id) {
    Status made = files_.createDirectories(folderOf(id) + "/" + kRootfsFolder);
    for (const char* folder : {"/upper", "/work"}) {
      if (made) made = files_.createDirectories(diskFolderOf(id) + folder);
    }
    return made;
  }

  /// True when the folder is of a container that ran. A record that is there and cannot be read is
  /// an error: its container must not be taken for one that never ran.
  Result<bool> recover(const std::string& id) {
    auto config = files_.readFile(folderOf(id) + "/" + kConfigFile);
    auto running = files_.readFile(folderOf(id) + "/" + kRunningFile);
    for (const Status& status : {config.status(), running.status()}) {
      if (status.is(Code::kNotFound)) return false;
      if (!status) return status;
    }
    const auto owner = readConfigOwner(*config);
    const auto record = parseRunning(*running);
    if (!owner || !record) return false;
    const auto runs = add(id, *owner, *record);
    if (!runs) return runs.status();
    if (!*runs) ended(id);
    return true;
  }

  /// Enters a container as running and waits for its shim's end; false when that is past.
  Result<bool> add(const std::string& id, const ConfigOwner& owner, const RunningRecord& record) {
    UniqueFd shim = openPidfd(record.shim.pid);
    if (!shim && errno != ESRCH) return errnoStatus(errno, "cannot wait for container " + id);
    Container& container = containers_[id];
    container.record = record;
    container.status.id = id;
    container.status.podUid = owner.podUid;
    container.status.name = owner.name;
    container.status.stopSignal = owner.stopSignal;
    container.status.state = ContainerState::kRunning;
    container.status.startedAt = record.startedAt;
    container.status.pid = record.init.pid;
    if (!shim) return false;
    container.shim = std::make_unique<asio::posix::stream_descriptor>(executor_, shim.release());
    // Only now: the descriptor stays with the process that it was opened for. When it cannot be
    // told, its end will show.
    if (livenessOf(record.shim) == Liveness::kGone) return false;
    awaitShim(id, *container.shim);
    return true;
  }

  void awaitShim(const std::string& id, asio::posix::stream_descriptor& shim) {
    shim.async_wait(asio::posix::stream_descriptor::wait_read,
                    [weak = weak_from_this(), id](const asio::error_code& error) {
                      auto self = weak.lock();
                      Container* container = self && !error ? self->find(id) : nullptr;
                      if (container == nullptr || !container->shim) return;
                      if (!isReadable(container->shim->native_handle()))
                        return self->awaitShim(id, *container->shim);
                      self->ended(id);
                    });
  }

  /// The shim of a running container is gone.
  void ended(const std::string& id) {
    Container* container = find(id);
    if (container == nullptr || container->status.state != ContainerState::kRunning) return;
    const std::string file = folderOf(id) + "/" + kExitFile;
    auto text = files_.readFile(file);
    auto record = text ? parseExit(*text) : std::nullopt;
    if (!record) {
      // It was killed, and nobody reads the container's output any more.
      (void)signalProcess(container->record.init, SIGKILL);
      record = ExitRecord{128 + SIGKILL, SIGKILL, clock_.wallNow()};
      (void)files_.writeFileAtomic(file, formatExit(*record), 0600, false);
      logWarning("container_shim_lost", {{"container", id}});
    }
    container->status.state = ContainerState::kExited;
    container->status.finishedAt = record->finishedAt;
    container->status.exitCode = record->code;
    if (record->signal != 0) container->status.signal = record->signal;
    container->status.oomKilled = record->oomKilled;
    container->status.pid = 0;
    container->shim.reset();
    changed_.notifyAll();
    if (listener_) listener_(id);
  }

  /// Removes the runtime's state and ours.
  Co<Status> removeFolder(std::string id) {
    Status removed = co_await runtime_.removeState(id);
    if (removed) removed = files_.removeTree(diskFolderOf(id));
    if (removed) removed = files_.removeTree(folderOf(id));
    co_return removed;
  }

  asio::any_io_executor executor_;
  Clock& clock_;
  Filesystem& files_;
  BlockingPool& pool_;
  OciRuntimeOptions options_;
  RuntimeProgram runtime_;
  HostFacts host_;
  SeccompFilters filters_;
  CgroupTree cgroups_;
  ShimClient shim_;
  PidNamespaces pidNamespaces_;
  std::map<std::string, Container> containers_;
  std::function<void(std::string)> listener_;
  WaitQueue changed_;
  std::multiset<std::string> starting_;  ///< the pods of containers that are being started
  WaitQueue startSlot_;
};

class OciRuntimeImpl final : public OciRuntime {
 public:
  explicit OciRuntimeImpl(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  Co<Status> open() override { co_return co_await core_->open(); }
  Co<Status> start(ContainerSpec spec) override {
    co_return co_await core_->start(std::move(spec));
  }
  Co<Status> kill(std::string id, int signal) override { co_return core_->kill(id, signal); }
  Co<Status> remove(std::string id) override { co_return co_await core_->remove(std::move(id)); }
  Co<Result<std::vector<ContainerStatus>>> list() override { co_return core_->list(); }
  Co<Result<ContainerStatus>> status(std::string id) override { co_return core_->status(id); }
  void onChange(std::function<void(std::string id)> listener) override {
    core_->onChange(std::move(listener));
  }
  Co<Result<std::unique_ptr<ExecSession>>> exec(std::string id, ExecSpec spec) override {
    co_return co_await core_->exec(std::move(id), std::move(spec));
  }
  Result<std::unique_ptr<ContainerInput>> openInput(const std::string& id) override {
    return core_->openInput(id);
  }
  Co<Result<std::string>> createPidNamespace(std::string podUid) override {
    co_return co_await core_->pidNamespaces().create(std::move(podUid));
  }
  Co<Status> removePidNamespace(std::string podUid) override {
    co_return core_->pidNamespaces().remove(podUid);
  }
  Co<Result<std::string>> version() override { co_return co_await core_->runtime().version(); }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

std::unique_ptr<OciRuntime> makeOciRuntime(asio::any_io_executor executor, Clock& clock,
                                           Filesystem& files, ProcessRunner& processes,
                                           BlockingPool& pool, OciRuntimeOptions options) {
  return std::make_unique<OciRuntimeImpl>(std::make_shared<Core>(
      std::move(executor), clock, files, processes, pool, std::move(options)));
}

}  // namespace podlab::node
