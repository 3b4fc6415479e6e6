#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controllers/context.hpp"
#include "controllers/deployment_sizes.hpp"

namespace podlab::controllers {

/// One reconciliation of a Deployment over copies of what the caches had.
class DeploymentRollout {
 public:
  DeploymentRollout(Context& context, client::EventRecorder& events,
                    std::shared_ptr<const appsv1::Deployment> deployment,
                    const std::vector<api::ObjectPtr>& sets);

  /// The next step, and the status after it. A conflict means that a cache was behind.
  Co<Status> run();
  /// When to come back although nothing happens: at the progress deadline.
  std::optional<Duration> again() const { return again_; }

 private:
  Co<Status> step();
  Co<Status> roll();
  Co<Status> recreate();
  Co<Status> scale();
  /// Finds the set of the present template, or makes it, and notes its revision.
  Co<Status> takeNewest(bool make);
  Co<Status> makeNewest(std::int64_t revision);
  /// The set has the name that the new one was to have.
  Co<Status> useExisting(std::string name);
  Co<Status> resize(ReplicaSetPtr set, std::int32_t size);
  Co<Status> resizeAll(Sizes sizes);
  /// Deletes the oldest sets without pods beyond revisionHistoryLimit.
  Co<Status> cleanUp();
  Co<Status> writeSet(ReplicaSetPtr set);
  Co<Status> writeDeployment();

  /// Conditions DeploymentPaused and DeploymentResumed.
  void notePause();
  /// The status by the sets as they are; `rollout`: with the conditions of a rollout.
  void conclude(bool rollout);
  void noteRevisionOfDeployment(std::int64_t revision);
  bool hasNewSize() const;
  bool oldPodsRun() const;
  bool isDeleted() const { return deployment_.metadata().has_deletiontimestamp(); }
  ReplicaSets all() const;
  WallTime now() const { return context_.clock.wallNow(); }

  Context& context_;
  client::EventRecorder& events_;
  const std::shared_ptr<const appsv1::Deployment> before_;
  appsv1::Deployment deployment_;  ///< with what this reconciliation changes in it
  ReplicaSets older_;
  ReplicaSetPtr newest_;
  std::optional<Duration> again_;
};

}  // namespace podlab::controllers
