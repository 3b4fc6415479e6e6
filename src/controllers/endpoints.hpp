#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core_v1_services.pb.h"

#include "api/selectors.hpp"
#include "common/indexed_map.hpp"
#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"
#include "controllers/service_endpoints.hpp"

namespace podlab::controllers {

/// Keeps the EndpointSlices and the Endpoints of services that have a selector. Services without
/// one are left to those who made them so.
class EndpointsController {
 public:
  explicit EndpointsController(Context& context);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  /// A service with a selector, and the keys of the pods that it selects.
  struct Selection {
    api::LabelSelector selector;
    std::set<std::string> pods;
  };

  void observeService(const api::ObjectPtr& object);
  void forgetService(const std::string& key);
  void observePod(const api::ObjectPtr& pod, bool present);
  void observeSlice(const api::ObjectPtr& slice);
  Co<Status> reconcile(std::string key);
  using ServicePtr = std::shared_ptr<const corev1::Service>;
  Co<Status> reconcileSlices(ServicePtr service, std::string family,
                             std::vector<PodEndpoint> endpoints);
  Co<Status> reconcileEndpoints(ServicePtr service, std::vector<PodEndpoint> endpoints);
  std::vector<discoveryv1::EndpointSlice> existingSlices(const std::string& service,
                                                         const std::string& family) const;
  std::vector<PodEndpoint> endpointsOf(const corev1::Service& service, const std::string& family,
                                       const std::set<std::string>& pods) const;

  Context& context_;
  IndexedMap<Selection> services_;  ///< by key
  ObjectIndex slicesByService_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
