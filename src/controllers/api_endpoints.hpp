#pragma once
#include <string>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Keeps the Service "kubernetes" in the namespace default, with the API's address in its Endpoints
/// and EndpointSlice (pkg/controlplane/controller/kubernetesservice). It is headless: pods reach
/// the API at that address itself.
class ApiEndpointsController {
 public:
  /// `address` is "host:port", where pods find the API.
  ApiEndpointsController(Context& context, const std::string& address);
  void start();
  Co<void> stop() { return reconciler_.stop(); }

 private:
  Co<void> waitForSync();
  Co<Status> reconcile();
  Co<Status> keepService();
  Co<Status> keepEndpoints();
  Co<Status> keepSlice();

  Context& context_;
  std::string host_;
  std::int32_t port_ = 0;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
