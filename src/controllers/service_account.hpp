#pragma once
#include <string>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Gives each namespace the ServiceAccount "default" and the ConfigMap kube-root-ca.crt, with which
/// its pods verify the API (pkg/controller/serviceaccount,
/// pkg/controller/certificates/rootcacertpublisher).
class ServiceAccountController {
 public:
  /// The informers are of all ServiceAccounts and all ConfigMaps.
  ServiceAccountController(Context& context, client::Informer& accounts,
                           client::Informer& configMaps, std::string rootCa);
  void start();
  Co<void> stop() { return reconciler_.stop(); }

 private:
  Co<void> waitForSync();
  Co<Status> reconcile(std::string ns);
  Co<Status> ensureAccount(std::string ns);
  Co<Status> publish(std::string ns);

  Context& context_;
  client::Informer& accounts_;
  client::Informer& configMaps_;
  const std::string rootCa_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
