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

Co<Result<PodVolumes::Folders>> SimulatedVolumes::setUp(const corev1::Pod& pod, EtcFiles etc) {
  Folders folders;
  std::string root = "simulated/" + pod.metadata().uid() + "/";
  for (const auto& volume : pod.spec().volumes())
    folders.byName[volume.name()] = root + volume.name();
  folders.sharedMemory = root + "shm";
  folders.etc = root + "etc";
  pods_[pod.metadata().uid()] = std::move(etc);
  co_return folders;
}

Co<Status> SimulatedVolumes::tearDown(std::string podUid) {
  pods_.erase(podUid);
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
