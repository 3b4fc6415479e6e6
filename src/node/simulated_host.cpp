#include "node/simulated_host.hpp"

#include <utility>

#include "image/reference.hpp"

namespace podlab::node {

void SimulatedImages::setMissing(const std::string& reference, bool missing) {
  if (missing) {
    missing_.insert(reference);
  } else {
    missing_.erase(reference);
  }
}

Co<Result<Image>> SimulatedImages::resolve(std::string reference) {
  if (missing_.contains(reference)) {
    co_return Status(Code::kNotFound, "image \"" + reference + "\" is not on this host");
  }
  if (const auto parsed = image::parseReference(reference); !parsed) co_return parsed.status();
  if (const auto found = images_.find(reference); found != images_.end()) co_return found->second;
  Image image;
  image.id = "simulated:" + reference;
  image.reference = std::move(reference);
  image.command = {"/pause"};
  co_return image;
}

Co<Result<PodVolumes::Folders>> SimulatedVolumes::setUp(std::string podUid,
                                                        std::vector<VolumeSpec> volumes,
                                                        EtcFiles etc) {
  if (!setUpFails_.ok()) co_return setUpFails_;
  Folders folders;
  const std::string root = "simulated/" + podUid + "/";
  Pod forgotten;
  Pod& pod = keepsContents_ ? pods_[podUid] : forgotten;
  for (auto& volume : volumes) {
    const bool host = volume.type == VolumeSpec::Type::kHostPath;
    folders.byName[volume.name] = host ? volume.path : root + volume.name;
    pod.volumes[volume.name] = std::move(volume);
  }
  folders.sharedMemory = root + "shm";
  folders.etc = root + "etc";
  pod.etc.merge(etc);
  co_return folders;
}

Co<Result<std::string>> SimulatedVolumes::openSubPath(SubPath part) {
  co_return part.folder + "/" + part.path;
}

Co<Result<std::vector<std::int64_t>>> SimulatedVolumes::usage(std::vector<std::string> folders) {
  co_return std::vector<std::int64_t>(folders.size(), usage_);
}

Co<Status> SimulatedVolumes::tearDown(std::string podUid) {
  pods_.erase(podUid);
  co_return Status();
}

Co<Status> SimulatedVolumes::removeFolder(std::string path) {
  removedFolders_.push_back(std::move(path));
  co_return Status();
}

Co<Result<std::unique_ptr<ByteStream>>> SimulatedPodDialer::dial(SandboxNamespaces,
                                                                 net::IpAddress address,
                                                                 std::uint16_t port) {
  if (!answer_) {
    co_return Status(Code::kUnavailable, "connect to " + address.toString() + ":" +
                                             std::to_string(port) + ": connection refused");
  }
  co_return answer_(address, port);
}

}  // namespace podlab::node
