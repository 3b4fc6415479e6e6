#include "controllers/pod_gc.hpp"

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "common/log.hpp"
#include "controllers/pod_disruption.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 16;
constexpr Duration kQuarantine = std::chrono::seconds(40);

std::pair<std::int64_t, std::string> ageOf(const google::protobuf::Message& pod) {
  return {api::meta(pod).creationtimestamp().seconds(), api::keyOf(pod)};
}

}  // namespace

PodGarbageCollector::PodGarbageCollector(Context& context, std::size_t finishedThreshold)
    : context_(context),
      finishedThreshold_(finishedThreshold),
      reconciler_("pod_gc", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observe(pod); };
  pods.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& pod) { observe(pod); };
  pods.deleted = [this](const api::ObjectPtr& pod) {
    finished_.erase(ageOf(*pod));
    excess_.erase(api::keyOf(*pod));
  };
  context_.pods.addHandlers(std::move(pods));

  client::Informer::Handlers nodes;
  nodes.deleted = [this](const api::ObjectPtr& node) {
    for (const auto& key : context_.podsByNode.of(api::meta(*node).name())) {
      reconciler_.addAfter(key, kQuarantine);
    }
  };
  context_.nodes.addHandlers(std::move(nodes));
}

void PodGarbageCollector::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void PodGarbageCollector::observe(const api::ObjectPtr& object) {
  const auto& pod = api::as<corev1::Pod>(object);
  if (api::isFinished(pod) && finished_.insert(ageOf(pod)).second) trimFinished();
  const std::string& node = pod.spec().nodename();
  // Before the first list of nodes every node seems gone: the quarantine outlasts that.
  if (!node.empty() && !context_.nodes.contains(node)) {
    reconciler_.addAfter(api::keyOf(pod), kQuarantine);
  }
}

void PodGarbageCollector::trimFinished() {
  while (finished_.size() > finishedThreshold_) {
    const std::string key = finished_.begin()->second;
    finished_.erase(finished_.begin());
    excess_.insert(key);
    reconciler_.add(key);
  }
}

Co<Status> PodGarbageCollector::reconcile(std::string key) {
  const auto object = context_.pods.get(key);
  if (!object) co_return Status();
  const auto& pod = api::as<corev1::Pod>(object);
  if (excess_.contains(key) && api::isFinished(pod)) {
    co_return co_await deletePod(context_.api, pod, 0);
  }
  const std::string& node = pod.spec().nodename();
  if (node.empty() || context_.nodes.contains(node)) co_return Status();
  co_return co_await collectOrphan(api::share<corev1::Pod>(object));
}

Co<Status> PodGarbageCollector::collectOrphan(std::shared_ptr<const corev1::Pod> pod) {
  // The cache may be behind; the server is not.
  api::ResourceId id{&api::kindFor<corev1::Node>(), "", pod->spec().nodename(), ""};
  auto node = co_await context_.api.get(std::move(id));
  if (!node.status().is(Code::kNotFound)) co_return node.status();
  logInfo("orphan_removed", {{"pod", api::keyOf(*pod)}, {"node", pod->spec().nodename()}});
  const Status marked = co_await markDisrupted(context_, pod, "DeletionByPodGC",
                                               "PodGC: node no longer exists", true);
  co_return marked.ok() ? co_await deletePod(context_.api, *pod, 0) : marked;
}

}  // namespace podlab::controllers
