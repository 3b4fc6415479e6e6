#include "controllers/controller_manager.hpp"

#include <functional>
#include <utility>

#include "apiextensions_v1.pb.h"
#include "apps_v1.pb.h"
#include "batch_v1.pb.h"
#include "core_v1_accounts.pb.h"
#include "core_v1_services.pb.h"
#include "core_v1_workloads.pb.h"
#include "discovery_v1.pb.h"
#include "rbac_v1.pb.h"

#include "api/kinds.hpp"
#include "controllers/api_endpoints.hpp"
#include "controllers/claim_binder.hpp"
#include "controllers/cluster_role_aggregation.hpp"
#include "controllers/context.hpp"
#include "controllers/cron_jobs.hpp"
#include "controllers/custom_resources.hpp"
#include "controllers/daemon_sets.hpp"
#include "controllers/deployments.hpp"
#include "controllers/disruption.hpp"
#include "controllers/endpoints.hpp"
#include "controllers/garbage_collector.hpp"
#include "controllers/horizontal_autoscaler.hpp"
#include "controllers/job_controller.hpp"
#include "controllers/namespace_deletion.hpp"
#include "controllers/node_ipam.hpp"
#include "controllers/node_lifecycle.hpp"
#include "controllers/pod_gc.hpp"
#include "controllers/replicas.hpp"
#include "controllers/resource_quota.hpp"
#include "controllers/scheduling.hpp"
#include "controllers/service_account.hpp"
#include "controllers/stateful_sets.hpp"
#include "controllers/taint_eviction.hpp"

namespace podlab::controllers {
namespace {

constexpr const char* kLeaseNamespace = "kube-node-lease";

}  // namespace

struct ControllerManager::State {
  State(api::Api& api, Clock& clock, Rng& rng, const asio::any_io_executor& executor)
      : api_(api),
        clock_(clock),
        executor_(executor),
        caches(api, clock, rng, executor),
        context{.api = api,
                .clock = clock,
                .rng = rng,
                .executor = executor,
                .caches = caches,
                .nodes = cache<corev1::Node>(),
                .pods = pods,
                .leases = cache<coordinationv1::Lease>(kLeaseNamespace),
                .namespaces = cache<corev1::Namespace>(),
                .claims = cache<corev1::PersistentVolumeClaim>(),
                .volumes = cache<corev1::PersistentVolume>(),
                .classes = cache<storagev1::StorageClass>(),
                .services = cache<corev1::Service>(),
                .endpointSlices = cache<discoveryv1::EndpointSlice>(),
                .endpoints = cache<corev1::Endpoints>(),
                .replicationControllers = cache<corev1::ReplicationController>(),
                .replicaSets = replicaSets,
                .deployments = cache<appsv1::Deployment>(),
                .daemonSets = cache<appsv1::DaemonSet>(),
                .statefulSets = cache<appsv1::StatefulSet>(),
                .revisions = revisions,
                .jobs = jobs,
                .cronJobs = cache<batchv1::CronJob>(),
                .events = recorder("node-controller"),
                .podsByNode = podsByNode,
                .podsByClaim = podsByClaim,
                .podsByOwner = podsByOwner,
                .podFacts = podFacts,
                .replicaSetsByOwner = replicaSetsByOwner,
                .revisionsByOwner = revisionsByOwner,
                .jobsByOwner = jobsByOwner} {}

  template <typename T>
  client::Informer& cache(const char* ns = "") {
    return caches.add({&api::kindFor<T>(), ns, "", ""});
  }
  client::EventRecorder& recorder(const char* component) {
    return *recorders.emplace_back(
        std::make_unique<client::EventRecorder>(api_, clock_, executor_, component));
  }
  /// A controller that runs from start() to stop(); they start in this order.
  template <typename T, typename... Arguments>
  void add(Arguments&&... arguments) {
    auto made = std::make_shared<T>(context, std::forward<Arguments>(arguments)...);
    controllers.push_back(
        {[made] { made->start(); }, [controller = made.get()] { return controller->stop(); }});
  }

  struct Running {
    std::function<void()> start;  ///< owns the controller
    std::function<Co<void>()> stop;
  };

  api::Api& api_;
  Clock& clock_;
  const asio::any_io_executor executor_;
  std::vector<std::unique_ptr<client::EventRecorder>> recorders;
  Caches caches;
  client::Informer& pods = cache<corev1::Pod>();
  client::Informer& replicaSets = cache<appsv1::ReplicaSet>();
  client::Informer& revisions = cache<appsv1::ControllerRevision>();
  client::Informer& jobs = cache<batchv1::Job>();
  // Before the controllers that read them: handlers run in the order in which they were added.
  ObjectIndex podsByNode{pods, nodeOf};
  ObjectIndex podsByClaim{pods, claimsOf};
  ObjectIndex podsByOwner{pods, ownerOf};
  PodFactsIndex podFacts{pods};
  ObjectIndex replicaSetsByOwner{replicaSets, ownerOf};
  ObjectIndex revisionsByOwner{revisions, ownerOf};
  ObjectIndex jobsByOwner{jobs, ownerOf};
  Context context;
  std::vector<Running> controllers;
};

ControllerManager::ControllerManager(api::Api& api, Clock& clock, Rng& rng,
                                     const asio::any_io_executor& executor,
                                     const ManagerOptions& options)
    : state_(std::make_unique<State>(api, clock, rng, executor)) {
  State& state = *state_;
  state.caches.addKinds();
  state.add<NodeIpamController>(options.ranges);
  state.add<NodeLifecycleController>(options.nodeGrace);
  state.add<TaintEvictionController>();
  state.add<PodGarbageCollector>(options.finishedPodThreshold);
  state.add<CustomResourceController>(
      *state.caches.of(api::kindFor<apiextensionsv1::CustomResourceDefinition>()));
  state.add<NamespaceController>();
  state.add<GarbageCollector>(state.recorder("garbage-collector-controller"));
  state.add<DisruptionController>(state.recorder("controllermanager"));
  state.add<ResourceQuotaController>();
  state.add<HorizontalAutoscaler>(state.recorder("horizontal-pod-autoscaler"));
  state.add<ClaimBinder>(state.recorder("persistentvolume-controller"));
  state.add<EndpointsController>();
  if (!options.apiAddress.empty()) state.add<ApiEndpointsController>(options.apiAddress);
  state.add<ReplicaController>(state.recorder("replicaset-controller"), ofReplicaSets(),
                               state.context.replicaSets);
  state.add<ReplicaController>(state.recorder("replication-controller"), ofReplicationControllers(),
                               state.context.replicationControllers);
  state.add<DeploymentController>(state.recorder("deployment-controller"));
  state.add<DaemonSetController>(state.recorder("daemonset-controller"));
  state.add<StatefulSetController>(state.recorder("statefulset-controller"));
  state.add<JobController>(state.recorder("job-controller"));
  state.add<CronJobController>(state.recorder("cronjob-controller"));
  state.add<ClusterRoleAggregation>(*state.caches.of(api::kindFor<rbacv1::ClusterRole>()));
  if (!options.rootCa.empty()) {
    state.add<ServiceAccountController>(*state.caches.of(api::kindFor<corev1::ServiceAccount>()),
                                        *state.caches.of(api::kindFor<corev1::ConfigMap>()),
                                        options.rootCa);
  }
  state.add<SchedulingController>(state.recorder("default-scheduler"), options.profiles);
}

ControllerManager::~ControllerManager() = default;

void ControllerManager::start() {
  state_->caches.start();
  for (const auto& controller : state_->controllers) controller.start();
}

client::Informer& ControllerManager::nodes() {
  return state_->context.nodes;
}

Co<void> ControllerManager::waitForSync() {
  co_await state_->context.waitForSync();
}

Co<void> ControllerManager::stop() {
  for (auto at = state_->controllers.rbegin(); at != state_->controllers.rend(); ++at)
    co_await at->stop();
  co_await state_->caches.stop();
  for (const auto& recorder : state_->recorders) co_await recorder->stop();
}

}  // namespace podlab::controllers
