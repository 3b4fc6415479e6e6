#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/clock.hpp"
#include "node/image_store.hpp"
#include "node/pod_dialer.hpp"
#include "node/pod_volumes.hpp"

namespace podlab::node {

/// Has every image but those said to be missing. An image's program is "/pause".
class SimulatedImages final : public ImageStore {
 public:
  void setMissing(const std::string& reference, bool missing);
  /// What a reference resolves to.
  void setImage(const std::string& reference, Image image) {
    images_[reference] = std::move(image);
  }
  void setListed(std::vector<ListedImage> listed) { listed_ = std::move(listed); }
  Co<Result<Image>> resolve(std::string reference) override;
  std::vector<ListedImage> list() override { return listed_; }

 private:
  std::set<std::string> missing_;
  std::map<std::string, Image> images_;
  std::vector<ListedImage> listed_;
};

/// Volumes that are names only.
class SimulatedVolumes final : public PodVolumes {
 public:
  struct Pod {
    std::map<std::string, VolumeSpec> volumes;  ///< as last set up
    EtcFiles etc;
  };
  /// By uid.
  const std::map<std::string, Pod>& pods() const { return pods_; }
  /// Pods' volumes are not kept from now on: thousands of nodes need the memory.
  void forgetContents() { keepsContents_ = false; }
  /// The disk usage that each folder is said to have, in bytes.
  void setUsage(std::int64_t bytes) { usage_ = bytes; }
  /// setUp fails with this until it is OK again.
  void failSetUp(Status status) { setUpFails_ = std::move(status); }
  const std::vector<std::string>& removedFolders() const { return removedFolders_; }

  Co<Result<Folders>> setUp(std::string podUid, std::vector<VolumeSpec> volumes,
                            EtcFiles etc) override;
  Co<Result<std::string>> openSubPath(SubPath part) override;
  Co<Result<std::vector<std::int64_t>>> usage(std::vector<std::string> folders) override;
  Co<Status> tearDown(std::string podUid) override;
  Co<Status> removeFolder(std::string path) override;

 private:
  bool keepsContents_ = true;
  std::map<std::string, Pod> pods_;
  std::vector<std::string> removedFolders_;
  std::int64_t usage_ = 0;
  Status setUpFails_;
};

/// Pods that accept connections, or not, by script; unset: they refuse.
class SimulatedPodDialer final : public PodDialer {
 public:
  using Answer = std::function<Result<std::unique_ptr<ByteStream>>(const net::IpAddress& address,
                                                                   std::uint16_t port)>;
  void setAnswer(Answer answer) { answer_ = std::move(answer); }
  Co<Result<std::unique_ptr<ByteStream>>> dial(SandboxNamespaces pod, net::IpAddress address,
                                               std::uint16_t port) override;

 private:
  Answer answer_;
};

}  // namespace podlab::node
