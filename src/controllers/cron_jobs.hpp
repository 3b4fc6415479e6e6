#pragma once
#include <memory>
#include <string>
#include <vector>

#include "batch_v1.pb.h"

#include "controllers/context.hpp"
#include "controllers/cron_times.hpp"
#include "controllers/job_pods.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Makes the Jobs of CronJobs when they are due, keeps track of those that run, and removes old
/// ones (upstream: pkg/controller/cronjob). A CronJob without a time zone goes by UTC.
class CronJobController {
 public:
  CronJobController(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using CronJobPtr = std::shared_ptr<const batchv1::CronJob>;

  Co<Status> reconcile(std::string key);
  /// Makes the job that is due.
  Co<Status> schedule(std::shared_ptr<batchv1::CronJob> job);
  Co<Status> startJob(std::shared_ptr<batchv1::CronJob> job, TimeZone::Instant at, TimeZone zone);
  Co<Status> replaceRunning(std::shared_ptr<batchv1::CronJob> job);
  Co<Status> trackJobs(std::shared_ptr<batchv1::CronJob> job, std::vector<JobPtr> jobs);
  Co<Status> removeOld(CronJobPtr job, std::vector<JobPtr> finished, std::int32_t kept);
  Co<Status> removeJob(CronJobPtr job, batchv1::Job old);
  Co<Status> writeStatus(CronJobPtr before, std::shared_ptr<batchv1::CronJob> now);
  void observeJob(const google::protobuf::Message& job);
  std::vector<JobPtr> jobsOf(const batchv1::CronJob& job) const;

  Context& context_;
  client::EventRecorder& events_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
