#include "node/local_volumes.hpp"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "node/volume_ownership.hpp"

namespace podlab::node {
namespace {

/// Docker's default size of a container's /dev/shm.
constexpr const char* kSharedMemoryOptions = "mode=1777,size=64m";

bool isTmpfs(const std::string& path) {
  struct statfs info{};
  struct stat own{}, parent{};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC &&
         ::stat(path.c_str(), &own) == 0 && ::stat((path + "/..").c_str(), &parent) == 0 &&
         own.st_dev != parent.st_dev;
}

class LocalVolumes final : public PodVolumes {
 public:
  LocalVolumes(Filesystem& files, BlockingPool& pool, std::string stateFolder,
               std::string runFolder)
      : files_(files),
        pool_(pool),
        stateFolder_(std::move(stateFolder)),
        runFolder_(std::move(runFolder)) {}

  Co<Result<Folders>> setUp(const corev1::Pod& pod, EtcFiles etc) override {
    // The job owns what it reads: the caller may be cancelled while it runs.
    auto job = [this, spec = pod.spec(), uid = pod.metadata().uid(), etc = std::move(etc)] {
      return makeAll(spec, uid, etc);
    };
    co_return co_await pool_.run(std::move(job));
  }

  Co<Status> tearDown(std::string podUid) override {
    auto job = [this, uid = std::move(podUid)] { return removeAll(uid); };
    co_return co_await pool_.run(std::move(job));
  }

 private:
  std::string runPod(const std::string& uid) const { return runFolder_ + "/pods/" + uid; }
  std::string diskVolumes(const std::string& uid) const {
    return stateFolder_ + "/pods/" + uid + "/volumes";
  }

  Result<Folders> makeAll(const corev1::PodSpec& spec, const std::string& uid,
                          const EtcFiles& etc) {
    Folders folders;
    folders.sharedMemory = runPod(uid) + "/shm";
    if (Status status = makeTmpfs(folders.sharedMemory, kSharedMemoryOptions); !status.ok())
      return status;
    folders.etc = runPod(uid) + "/etc";
    if (Status status = writeEtc(folders.etc, etc); !status.ok()) return status;
    for (const auto& volume : spec.volumes()) {
      if (!volume.volumesource().has_emptydir()) continue;
      const bool inMemory = volume.volumesource().emptydir().medium() == "Memory";
      const std::string path =
          (inMemory ? runPod(uid) + "/volumes" : diskVolumes(uid)) + "/" + volume.name();
      Status status = inMemory ? makeTmpfs(path, "mode=0777") : files_.createDirectories(path);
      // kubelet's emptyDir is open to every user of the pod, whatever the umask.
      if (status.ok() && ::chmod(path.c_str(), 0777) < 0)
        status = errnoStatus(errno, "chmod " + path);
      const auto& security = spec.securitycontext();
      if (status.ok() && security.has_fsgroup()) {
        status = giveToGroup(path, static_cast<std::uint32_t>(security.fsgroup()), false,
                             security.fsgroupchangepolicy() == "OnRootMismatch");
      }
      if (!status.ok()) return status.withContext("volume \"" + volume.name() + "\"");
      folders.byName[volume.name()] = path;
    }
    return folders;
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

  Status makeTmpfs(const std::string& path, const char* options) {
    if (Status status = files_.createDirectories(path); !status.ok()) return status;
    if (isTmpfs(path)) return {};
    if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
      return errnoStatus(errno, "mount a tmpfs on " + path);
    return {};
  }

  Status removeAll(const std::string& uid) {
    const std::string run = runPod(uid);
    ::umount2((run + "/shm").c_str(), MNT_DETACH);
    if (auto names = files_.listDirectory(run + "/volumes")) {
      for (const auto& name : *names) ::umount2((run + "/volumes/" + name).c_str(), MNT_DETACH);
    }
    if (Status status = files_.removeTree(run); !status.ok()) return status;
    return files_.removeTree(diskVolumes(uid));
  }

  Filesystem& files_;
  BlockingPool& pool_;
  const std::string stateFolder_;
  const std::string runFolder_;
};

}  // namespace

std::unique_ptr<PodVolumes> makeLocalVolumes(Filesystem& files, BlockingPool& pool,
                                             std::string stateFolder, std::string runFolder) {
  return std::make_unique<LocalVolumes>(files, pool, std::move(stateFolder), std::move(runFolder));
}

}  // namespace podlab::node
