#pragma once
#include <string>

#include "core_v1_policies.pb.h"

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Counts anew what the objects of a namespace take of its ResourceQuotas when one is made or
/// changed, when objects go, and every five minutes (upstream: pkg/controller/resourcequota). What
/// is made in the meantime is charged by the API itself.
class ResourceQuotaController {
 public:
  ResourceQuotaController(Context& context);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Quota = corev1::ResourceQuota;

  void observe(const google::protobuf::Message* before, const google::protobuf::Message* now);
  Co<Status> reconcile(std::string key);
  Co<Status> count(Quota& quota);

  Context& context_;
  client::Informer& quotas_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
