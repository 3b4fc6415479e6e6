#pragma once
#include <set>
#include <string>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "node/pod_volumes.hpp"

namespace podlab::node {

/// Removes the folders of released PersistentVolumes that the server has put into this node's hands
/// (the label podlab.io/reclaimed-by), and then lets go of the volumes. Only a folder of the
/// volume's own name in the node's folder for volumes is ever removed.
class VolumeReclaimer {
 public:
  VolumeReclaimer(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor,
                  PodVolumes& volumes, const std::string& nodeName, std::string volumesFolder);

  void start();
  Co<void> stop();

 private:
  void observe(const api::ObjectPtr& volume);
  Co<void> reclaim(api::ObjectPtr volume);

  api::Api& api_;
  Clock& clock_;
  PodVolumes& volumes_;
  const std::string volumesFolder_;
  client::Informer informer_;
  std::set<std::string> busy_;  ///< names
  TaskGroup tasks_;
};

}  // namespace podlab::node
