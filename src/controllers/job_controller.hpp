#pragma once
#include <string>
#include <unordered_map>

#include "controllers/context.hpp"
#include "controllers/job_pods.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Runs the pods of Jobs to their ends (JobSync), deletes finished Jobs when their
/// ttlSecondsAfterFinished is over, and lets go of the pods of Jobs that are finished or gone.
class JobController {
 public:
  JobController(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop();

 private:
  void observePod(const corev1::Pod& pod);
  Co<Status> reconcile(std::string key);
  Co<Status> cleanUp(JobPtr job);
  Co<Status> releaseOrphan(std::string key);
  /// The job that the pod is of, when it is there and at work.
  JobPtr jobOf(const corev1::Pod& pod) const;

  Context& context_;
  client::EventRecorder& events_;
  std::unordered_map<std::string, std::shared_ptr<JobBackOff>> backOffs_;  ///< by the job's uid
  Reconciler jobs_;
  Reconciler orphans_;
};

}  // namespace podlab::controllers
