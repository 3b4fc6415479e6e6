#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "policy_v1.pb.h"

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Works out how many of the pods that each PodDisruptionBudget selects may be evicted (upstream:
/// pkg/controller/disruption). Evictions take from that number until the next reckoning; one that
/// comes between a reckoning and its writing makes it start again.
class DisruptionController {
 public:
  DisruptionController(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Budget = policyv1::PodDisruptionBudget;
  using Pods = std::vector<api::ObjectPtr>;
  struct Expectation {
    std::int32_t pods = 0;
    std::int32_t healthy = 0;
  };

  void observePod(const google::protobuf::Message& object);
  Co<Status> reconcile(std::string key);
  Co<Status> reckon(Budget& budget, std::string key);
  Co<Result<Pods>> podsOf(Budget budget);
  Co<Result<Expectation>> expect(Budget budget, Pods pods);
  Co<Result<std::int32_t>> expectedScale(Budget budget, Pods pods);
  /// What a controller wants to have, by its uid; none when it is gone.
  using Scales = std::map<std::string, std::int32_t>;
  Co<Result<Scales>> scaleOf(std::string ns, metav1::OwnerReference controller);
  void keepDisrupted(Budget& budget, const Pods& pods, const std::string& key);

  Context& context_;
  client::Informer& budgets_;
  client::EventRecorder& events_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
