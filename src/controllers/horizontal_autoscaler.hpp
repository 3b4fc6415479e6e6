#pragma once
#include <map>
#include <string>
#include <vector>

#include "autoscaling_v1.pb.h"
#include "autoscaling_v2.pb.h"

#include "controllers/autoscaling_limits.hpp"
#include "controllers/autoscaling_replicas.hpp"
#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Keeps the size of what HorizontalPodAutoscalers name where the CPU time and memory that the pods
/// use ask for it, measured every 15 s (upstream: pkg/controller/podautoscaler).
class HorizontalAutoscaler {
 public:
  HorizontalAutoscaler(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Hpa = autoscalingv2::HorizontalPodAutoscaler;
  using Scale = autoscalingv1::Scale;
  /// What one metric says.
  struct Measured {
    ReplicaProposal proposal;
    std::string name;
    autoscalingv2::MetricStatus status;
  };
  /// What the metrics say together.
  struct Recommendation {
    std::int32_t replicas = -1;  ///< -1: nothing
    std::string metric;
    Status failure;  ///< some of the metrics are not known
  };

  Co<Status> reconcile(std::string key);
  Co<Status> autoscale(Hpa& hpa, std::string key);
  Co<Result<std::shared_ptr<const Scale>>> scaleOf(Hpa hpa);
  Co<Recommendation> recommend(Hpa& hpa, std::shared_ptr<const Scale> scale);
  Co<Result<Measured>> measure(autoscalingv2::MetricSpec metric, std::string ns,
                               std::string selector, std::int32_t current, Hpa hpa);
  Co<Result<PodMetrics>> metricsOf(AutoscalingTarget target, std::string ns, std::string selector);
  Co<Status> rescale(Hpa& hpa, std::shared_ptr<const Scale> scale, std::int32_t desired,
                     std::string reason, std::string key);
  void say(Hpa& hpa, const char* type, bool is, std::string reason, std::string message);

  Context& context_;
  client::Informer& autoscalers_;
  client::EventRecorder& events_;
  std::map<std::string, ScalingHistory> histories_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
