#pragma once
#include <map>
#include <optional>
#include <string>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Deletes the pods that do not tolerate a NoExecute taint of their node: at once, or when the
/// shortest of the tolerations' tolerationSeconds is over. The time counts from the taint's
/// timeAdded, so that it goes on over a restart of the server; from when the taint was first seen
/// when it has none.
class TaintEvictionController {
 public:
  explicit TaintEvictionController(Context& context);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string key);
  void observeNode(const corev1::Node& node);
  /// When the pod must go; nullopt: never.
  std::optional<WallTime> deadline(const corev1::Pod& pod, const corev1::Node& node) const;

  Context& context_;
  /// Of each node with NoExecute taints: by taint, for those without timeAdded.
  std::map<std::string, std::map<std::string, WallTime>> firstSeen_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
