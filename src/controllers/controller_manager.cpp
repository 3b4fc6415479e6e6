#include "controllers/controller_manager.hpp"

#include <utility>

#include "core_v1_services.pb.h"
#include "discovery_v1.pb.h"

#include "api/kinds.hpp"
#include "controllers/claim_binder.hpp"
#include "controllers/context.hpp"
#include "controllers/endpoints.hpp"
#include "controllers/namespace_deletion.hpp"
#include "controllers/node_ipam.hpp"
#include "controllers/node_lifecycle.hpp"
#include "controllers/pod_gc.hpp"
#include "controllers/scheduling.hpp"
#include "controllers/taint_eviction.hpp"

namespace podlab::controllers {
namespace {

constexpr const char* kLeaseNamespace = "kube-node-lease";

template <typename T>
api::ResourceId collection(const char* ns = "") {
  return {&api::kindFor<T>(), ns, "", ""};
}

}  // namespace

struct ControllerManager::State {
  State(api::Api& api, Clock& clock, Rng& rng, const asio::any_io_executor& executor,
        const ManagerOptions& options)
      : nodes(api, clock, rng, executor, collection<corev1::Node>()),
        pods(api, clock, rng, executor, collection<corev1::Pod>()),
        leases(api, clock, rng, executor, collection<coordinationv1::Lease>(kLeaseNamespace)),
        namespaces(api, clock, rng, executor, collection<corev1::Namespace>()),
        claims(api, clock, rng, executor, collection<corev1::PersistentVolumeClaim>()),
        volumes(api, clock, rng, executor, collection<corev1::PersistentVolume>()),
        classes(api, clock, rng, executor, collection<storagev1::StorageClass>()),
        services(api, clock, rng, executor, collection<corev1::Service>()),
        endpointSlices(api, clock, rng, executor, collection<discoveryv1::EndpointSlice>()),
        endpoints(api, clock, rng, executor, collection<corev1::Endpoints>()),
        podsByNode(pods),
        podsByClaim(pods),
        controllerEvents(api, clock, executor, "node-controller"),
        volumeEvents(api, clock, executor, "persistentvolume-controller"),
        schedulerEvents(api, clock, executor, "default-scheduler"),
        context{api,
                clock,
                rng,
                executor,
                nodes,
                pods,
                leases,
                namespaces,
                claims,
                volumes,
                classes,
                services,
                endpointSlices,
                endpoints,
                controllerEvents,
                podsByNode,
                podsByClaim},
        ipam(context, options.ranges),
        lifecycle(context, options.nodeGrace),
        eviction(context),
        podGc(context, options.finishedPodThreshold),
        namespaceDeletion(context),
        claimBinder(context, volumeEvents),
        endpointsController(context),
        scheduling(context, schedulerEvents) {}

  client::Informer nodes;
  client::Informer pods;
  client::Informer leases;
  client::Informer namespaces;
  client::Informer claims;
  client::Informer volumes;
  client::Informer classes;
  client::Informer services;
  client::Informer endpointSlices;
  client::Informer endpoints;
  PodsByNode podsByNode;
  PodsByClaim podsByClaim;
  client::EventRecorder controllerEvents;
  client::EventRecorder volumeEvents;
  client::EventRecorder schedulerEvents;
  Context context;
  NodeIpamController ipam;
  NodeLifecycleController lifecycle;
  TaintEvictionController eviction;
  PodGarbageCollector podGc;
  NamespaceController namespaceDeletion;
  ClaimBinder claimBinder;
  EndpointsController endpointsController;
  SchedulingController scheduling;
};

ControllerManager::ControllerManager(api::Api& api, Clock& clock, Rng& rng,
                                     const asio::any_io_executor& executor,
                                     const ManagerOptions& options)
    : state_(std::make_unique<State>(api, clock, rng, executor, options)) {}

ControllerManager::~ControllerManager() = default;

void ControllerManager::start() {
  for (auto* informer : {&state_->namespaces, &state_->leases, &state_->nodes, &state_->classes,
                         &state_->volumes, &state_->claims, &state_->services,
                         &state_->endpointSlices, &state_->endpoints, &state_->pods}) {
    informer->start();
  }
  state_->ipam.start();
  state_->lifecycle.start();
  state_->eviction.start();
  state_->podGc.start();
  state_->namespaceDeletion.start();
  state_->claimBinder.start();
  state_->endpointsController.start();
  state_->scheduling.start();
}

Co<void> ControllerManager::waitForSync() {
  co_await state_->context.waitForSync();
}

Co<void> ControllerManager::stop() {
  co_await state_->scheduling.stop();
  co_await state_->endpointsController.stop();
  co_await state_->claimBinder.stop();
  co_await state_->namespaceDeletion.stop();
  co_await state_->podGc.stop();
  co_await state_->eviction.stop();
  co_await state_->lifecycle.stop();
  co_await state_->ipam.stop();
  for (auto* informer : {&state_->pods, &state_->endpoints, &state_->endpointSlices,
                         &state_->services, &state_->claims, &state_->volumes, &state_->classes,
                         &state_->nodes, &state_->leases, &state_->namespaces}) {
    co_await informer->stop();
  }
  co_await state_->controllerEvents.stop();
  co_await state_->volumeEvents.stop();
  co_await state_->schedulerEvents.stop();
}

}  // namespace podlab::controllers
