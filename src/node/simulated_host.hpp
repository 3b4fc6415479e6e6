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
  /// By uid.
  const std::map<std::string, EtcFiles>& pods() const { return pods_; }
  Co<Result<Folders>> setUp(const corev1::Pod& pod, EtcFiles etc) override;
  Co<Status> tearDown(std::string podUid) override;

 private:
  std::map<std::string, EtcFiles> pods_;
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
