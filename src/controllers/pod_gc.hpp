#pragma once
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Removes pods that nobody else would: those bound to a node that is gone for 40 s (so that a node
/// registered anew keeps its pods), and the oldest finished ones beyond a threshold.
class PodGarbageCollector {
 public:
  PodGarbageCollector(Context& context, std::size_t finishedThreshold);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Age = std::pair<std::int64_t, std::string>;  ///< creation second and key

  Co<Status> reconcile(std::string key);
  Co<Status> collectOrphan(std::shared_ptr<const corev1::Pod> pod);
  void observe(const api::ObjectPtr& object);
  void trimFinished();

  Context& context_;
  const std::size_t finishedThreshold_;
  std::set<Age> finished_;
  std::set<std::string> excess_;  ///< finished pods to remove
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
