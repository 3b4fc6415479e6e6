#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controllers/context.hpp"
#include "controllers/controller_history.hpp"
#include "controllers/stateful_pods.hpp"

namespace podlab::controllers {

/// One comparison of a StatefulSet with its pods, as upstream's updateStatefulSet: makes the
/// missing pods from the first on, deletes those beyond the set's size from the last on, then
/// replaces those of an older revision from the last on. With OrderedReady each step waits until
/// all pods before are available.
class StatefulSync {
 public:
  StatefulSync(Context& context, client::EventRecorder& events, StatefulSetPtr set, History history,
               const std::vector<api::ObjectPtr>& pods);

  Co<Status> run();
  /// Look again then, even when nothing happens.
  std::optional<Duration> again() const { return again_; }

 private:
  struct Slot {
    std::int32_t ordinal = 0;
    PodPtr pod;  ///< nullptr: there is none
  };
  /// Whether to go on with the next pod.
  using GoOn = Result<bool>;

  const appsv1::StatefulSetSpec& spec() const { return set_->spec(); }
  bool ordered() const { return spec().podmanagementpolicy() != "Parallel"; }
  bool isAvailable(const PodPtr& pod);

  // stateful_sync.cpp
  Co<Status> act();
  Co<GoOn> keep(Slot slot);
  Co<GoOn> condemn(PodPtr pod);
  Co<Status> update();
  std::int32_t unavailable();
  Co<Status> writeStatus();

  // stateful_sync_pods.cpp
  Co<Status> create(Slot slot);
  Co<Status> remove(PodPtr pod);
  Co<Status> keepClaims(std::int32_t ordinal, PodPtr pod, bool condemned);
  Co<Status> keepIdentity(Slot slot);
  bool hasStaleClaim(const Slot& slot) const;
  void tell(const char* verb, const std::string& name, const Status& status);

  Context& context_;
  client::EventRecorder& events_;
  const StatefulSetPtr set_;
  const History history_;
  const RevisionPtr current_;
  std::vector<Slot> replicas_;   ///< one for each ordinal, ascending
  std::vector<Slot> condemned_;  ///< descending
  PodPtr firstUnhealthy_;
  std::optional<Duration> again_;
};

}  // namespace podlab::controllers
