#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "common/clock.hpp"
#include "common/sync.hpp"

namespace podlab::node {

/// The tokens of a pod's ServiceAccount, one for each audience and lifetime that its volumes name,
/// bound to the pod. Each is asked for at once and again when 80 % of its life is over
/// (pkg/kubelet/token).
class PodTokens {
 public:
  using Wanted = corev1::ServiceAccountTokenProjection;
  struct Listener {
    std::function<void()> changed;  ///< get() answers anew
    /// The server gave no token for this volume; it is asked again.
    std::function<void(const std::string& volume, const Status& why)> failed;
  };

  PodTokens(api::Api& api, Clock& clock, asio::any_io_executor executor)
      : api_(api), clock_(clock), tasks_(std::move(executor)) {}

  /// Once; later calls do nothing.
  void start(const corev1::Pod& pod, Listener listener);
  /// Whether the pod has any.
  bool empty() const { return tokens_.empty(); }
  /// Whether all tokens are there.
  bool known() const;
  /// kUnavailable: not there yet.
  Result<std::string> get(const Wanted& wanted) const;

  void cancel() { tasks_.cancel(); }
  Co<void> stop() { return tasks_.cancelAndJoin(); }

 private:
  Co<void> keep(std::string volume, Wanted wanted);
  Co<Result<std::string>> request(Wanted wanted);

  api::Api& api_;
  Clock& clock_;
  bool started_ = false;
  corev1::ObjectReference pod_;  ///< what tokens are bound to
  std::string account_;
  Listener listener_;
  std::map<std::string, std::string> tokens_;  ///< "" until the first has come
  TaskGroup tasks_;
};

}  // namespace podlab::node
