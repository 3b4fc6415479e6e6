#include "node/local_volumes.hpp"

#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "node/atomic_writer.hpp"
#include "node/volume_files.hpp"
#include "node/volume_ownership.hpp"

namespace podlab::node {
namespace {

/// Docker's default of a container's /dev/shm.
constexpr const char* kSharedMemoryOptions = "mode=1777,size=64m";
constexpr unsigned long kSharedMemoryFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

class LocalVolumes final : public PodVolumes {
 public:
  LocalVolumes(Filesystem& files, BlockingPool& pool, Clock& clock, std::string stateFolder,
               std::string runFolder)
      : files_(files),
        pool_(pool),
        clock_(clock),
        stateFolder_(std::move(stateFolder)),
        runFolder_(std::move(runFolder)) {}

  Co<Result<Folders>> setUp(std::string podUid, std::vector<VolumeSpec> volumes,
                            EtcFiles etc) override {
    // The job owns what it reads: the caller may be cancelled while it runs.
    auto job = [this, now = clock_.wallNow(), uid = std::move(podUid), specs = std::move(volumes),
                etcFiles = std::move(etc)] { return makeAll(uid, specs, etcFiles, now); };
    co_return co_await pool_.run(std::move(job));
  }

  Co<Result<std::string>> openSubPath(SubPath part) override {
    auto job = [this, part = std::move(part)] { return bindSubPath(part); };
    co_return co_await pool_.run(std::move(job));
  }

  Co<Result<std::vector<std::int64_t>>> usage(std::vector<std::string> folders) override {
    auto job = [folders = std::move(folders)]() -> Result<std::vector<std::int64_t>> {
      std::vector<std::int64_t> sizes;
      for (const auto& folder : folders) {
        auto size = diskUsage(folder);
        if (!size.ok()) return size.status();
        sizes.push_back(*size);
      }
      return sizes;
    };
    co_return co_await pool_.run(std::move(job));
  }

  Co<Status> tearDown(std::string podUid) override {
    auto job = [this, uid = std::move(podUid)] { return removeAll(uid); };
    co_return co_await pool_.run(std::move(job));
  }

  Co<Status> removeFolder(std::string path) override {
    auto job = [this, path = std::move(path)] { return files_.removeTree(path); };
    co_return co_await pool_.run(std::move(job));
  }

 private:
  std::string runPod(const std::string& uid) const { return runFolder_ + "/pods/" + uid; }
  std::string diskVolumes(const std::string& uid) const {
    return stateFolder_ + "/pods/" + uid + "/volumes";
  }

  Result<Folders> makeAll(const std::string& uid, const std::vector<VolumeSpec>& volumes,
                          const EtcFiles& etc, WallTime now) {
    Folders folders;
    folders.sharedMemory = runPod(uid) + "/shm";
    if (Status status = makeTmpfs(folders.sharedMemory, kSharedMemoryOptions, kSharedMemoryFlags);
        !status.ok())
      return status;
    folders.etc = runPod(uid) + "/etc";
    if (Status status = writeEtc(folders.etc, etc); !status.ok()) return status;
    for (const auto& volume : volumes) {
      auto path = makeVolume(uid, volume, now);
      if (!path.ok()) {
        return path.status().withContext("MountVolume.SetUp failed for volume \"" + volume.name +
                                         "\" ");
      }
      if (Status given = giveToPod(uid, volume, *path); !given.ok())
        return given.withContext("MountVolume.SetUp failed for volume \"" + volume.name + "\" ");
      folders.byName[volume.name] = *std::move(path);
    }
    return folders;
  }

  Result<std::string> makeVolume(const std::string& uid, const VolumeSpec& volume, WallTime now) {
    using Type = VolumeSpec::Type;
    if (volume.type == Type::kHostPath) {
      if (Status status = prepareHostPath(volume.path, volume.pathType, volume.mode); !status.ok())
        return status;
      return volume.path;
    }
    const bool inMemory = volume.type == Type::kMemory || volume.type == Type::kSecret;
    const std::string path =
        (inMemory ? runPod(uid) + "/volumes" : diskVolumes(uid)) + "/" + volume.name;
    Status status = files_.createDirectories(path);
    if (status.ok() && volume.type == Type::kMemory) {
      std::string options = "mode=0777";
      if (volume.sizeLimit) options += ",size=" + std::to_string(*volume.sizeLimit);
      status = makeTmpfs(path, options);
    }
    // The node's folder for what does not outlive it is in memory already, as a rule.
    if (status.ok() && volume.type == Type::kSecret && !isInTmpfs(path))
      status = makeTmpfs(path, "mode=0777");
    // kubelet's volumes are open to every user of the pod, whatever the umask.
    if (status.ok() && ::chmod(path.c_str(), volume.mode) < 0)
      status = errnoStatus(errno, "chmod " + path);
    if (!status.ok()) return status;
    if (volume.type != Type::kFiles && volume.type != Type::kSecret) return path;
    if (volume.files) {
      status = writePayload(files_, path, *volume.files, now);
    } else if (!holdsPayload(files_, path)) {
      status = {Code::kUnavailable, "the server has not yet told what the volume holds"};
    }
    if (!status.ok()) return status;
    return path;
  }

  /// Containers may change owners later, and another agent must not change them back: a mark says
  /// that the volume was given. Files that the node writes are new each time.
  Status giveToPod(const std::string& uid, const VolumeSpec& volume, const std::string& path) {
    if (!volume.group) return {};
    const bool files =
        volume.type == VolumeSpec::Type::kFiles || volume.type == VolumeSpec::Type::kSecret;
    const std::string mark = runPod(uid) + "/given/" + volume.name;
    if (!files && files_.exists(mark)) return {};
    Status given = giveToGroup(path, *volume.group, files, volume.groupOnRootMismatch);
    if (!given.ok() || files) return given;
    given = files_.createDirectories(runPod(uid) + "/given");
    return given.ok() ? files_.writeFileAtomic(mark, "", 0600, /*durable=*/false) : given;
  }

  Status writeEtc(const std::string& folder, const EtcFiles& etc) {
    Status status = files_.createDirectories(folder);
    for (const auto& [name, content] : etc) {
      const std::string path = folder + "/" + name;
      // A file is bind-mounted by inode: one that containers already see stays.
      if (!status.ok() || files_.exists(path)) continue;
      status = files_.writeFileAtomic(path, content, 0644, /*durable=*/false);
    }
    return status;
  }

  Status makeTmpfs(const std::string& path, const std::string& options, unsigned long flags = 0) {
    if (Status status = files_.createDirectories(path); !status.ok()) return status;
    if (isTmpfsMount(path)) return {};
    if (::mount("tmpfs", path.c_str(), "tmpfs", flags, options.c_str()) < 0)
      return errnoStatus(errno, "mount a tmpfs on " + path);
    return {};
  }

  Result<std::string> bindSubPath(const SubPath& part) {
    const std::string target =
        runPod(part.podUid) + "/subpaths/" + part.container + "/" + std::to_string(part.index);
    // An earlier instance's, or that of an agent that died.
    unmount(target);
    if (Status status = files_.removeTree(target); !status.ok()) return status;
    if (Status status = bindBeneath(part.folder, part.path, target); !status.ok()) return status;
    return target;
  }

  Status removeAll(const std::string& uid) {
    const std::string run = runPod(uid);
    unmount(run + "/shm");
    unmountIn(run + "/volumes");
    const std::string subPaths = run + "/subpaths";
    for (const auto& container : files_.listDirectory(subPaths).valueOr({}))
      unmountIn(subPaths + "/" + container);
    if (Status status = files_.removeTree(run); !status.ok()) return status;
    Status removed = files_.removeTree(diskVolumes(uid));
    if (removed.ok()) return removed;
    // Containers may have mounted something there (mountPropagation: Bidirectional).
    unmountBelow(diskVolumes(uid));
    return files_.removeTree(diskVolumes(uid));
  }

  void unmountIn(const std::string& folder) {
    for (const auto& name : files_.listDirectory(folder).valueOr({})) unmount(folder + "/" + name);
  }

  Filesystem& files_;
  BlockingPool& pool_;
  Clock& clock_;
  const std::string stateFolder_;
  const std::string runFolder_;
};

}  // namespace

std::unique_ptr<PodVolumes> makeLocalVolumes(Filesystem& files, BlockingPool& pool, Clock& clock,
                                             std::string stateFolder, std::string runFolder) {
  return std::make_unique<LocalVolumes>(files, pool, clock, std::move(stateFolder),
                                        std::move(runFolder));
}

}  // namespace podlab::node
