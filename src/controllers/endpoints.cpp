#include "controllers/endpoints.hpp"

#include <tuple>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/kinds/rules.hpp"
#include "api/node_labels.hpp"
#include "api/services.hpp"

namespace podlab::controllers {
namespace {

using corev1::Endpoints;
using corev1::Service;
using discoveryv1::EndpointSlice;

constexpr std::size_t kWorkers = 5;

/// Whether a change of the pod is one of what slices say of it.
bool matters(const corev1::Pod& before, const corev1::Pod& now) {
  const auto facts = [](const corev1::Pod& pod) {
    return std::tuple(api::isTrue(pod.status(), "Ready"), api::isFinished(pod),
                      pod.metadata().has_deletiontimestamp(), pod.spec().nodename());
  };
  const auto addresses = [](const corev1::Pod& pod) {
    std::string text;
    for (const auto& each : pod.status().podips()) text += each.ip() + ",";
    return text;
  };
  return facts(before) != facts(now) || addresses(before) != addresses(now);
}

/// For an index of slices: the key of the service whose slice it is, when this controller keeps it.
std::vector<std::string> serviceOf(const google::protobuf::Message& object) {
  const auto& labels = api::meta(object).labels();
  const auto manager = labels.find(kManagedByLabel);
  const auto service = labels.find(api::kServiceNameLabel);
  if (manager == labels.end() || manager->second != kSliceController || service == labels.end())
    return {};
  return {api::meta(object).namespace_() + "/" + service->second};
}

}  // namespace

EndpointsController::EndpointsController(Context& context)
    : context_(context),
      slicesByService_(context.endpointSlices, serviceOf),
      reconciler_("endpoints", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers services;
  services.added = [this](const api::ObjectPtr& service) { observeService(service); };
  services.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& service) {
    observeService(service);
  };
  services.deleted = [this](const api::ObjectPtr& service) {
    forgetService(api::keyOf(*service));
    reconciler_.add(api::keyOf(*service));
  };
  context_.services.addHandlers(std::move(services));

  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observePod(pod, true); };
  pods.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    const auto& was = api::as<corev1::Pod>(before);
    const auto& is = api::as<corev1::Pod>(now);
    const bool relabelled = was.metadata().uid() != is.metadata().uid() ||
                            !api::sameEntries(was.metadata().labels(), is.metadata().labels());
    if (relabelled || matters(was, is)) observePod(now, true);
  };
  pods.deleted = [this](const api::ObjectPtr& pod) { observePod(pod, false); };
  context_.pods.addHandlers(std::move(pods));

  client::Informer::Handlers slices;
  slices.added = [this](const api::ObjectPtr& slice) { observeSlice(slice); };
  slices.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& slice) {
    observeSlice(slice);
  };
  slices.deleted = slices.added;
  context_.endpointSlices.addHandlers(std::move(slices));

  client::Informer::Handlers endpoints;
  const auto observe = [this](const api::ObjectPtr& object) {
    if (services_.contains(api::keyOf(*object))) reconciler_.add(api::keyOf(*object));
  };
  endpoints.added = observe;
  endpoints.updated = [observe](const api::ObjectPtr&, const api::ObjectPtr& now) { observe(now); };
  endpoints.deleted = observe;
  context_.endpoints.addHandlers(std::move(endpoints));
}

void EndpointsController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void EndpointsController::observeService(const api::ObjectPtr& object) {
  const auto& service = api::as<Service>(object);
  const std::string key = api::keyOf(service);
  if (service.spec().selector().empty() || !api::hasClusterIp(service)) {
    forgetService(key);
    return;
  }
  metav1::LabelSelector wanted;
  *wanted.mutable_matchlabels() = service.spec().selector();
  auto selector = api::LabelSelector::of(wanted);
  if (!selector) return;
  Selection& selection = services_[key];
  if (selection.selector.empty() || selection.selector.toString() != selector->toString()) {
    selection = {std::move(*selector), {}};
    const std::string& ns = service.metadata().namespace_();
    for (const auto& pod : context_.pods.keysIn(ns)) {
      if (selection.selector.matches(api::meta(*context_.pods.get(pod)).labels()))
        selection.pods.insert(pod);
    }
  }
  reconciler_.add(key);
}

void EndpointsController::forgetService(const std::string& key) {
  services_.erase(key);
}

void EndpointsController::observePod(const api::ObjectPtr& pod, bool present) {
  const std::string key = api::keyOf(*pod);
  for (auto* entry : services_.withPrefix(api::meta(*pod).namespace_() + "/")) {
    auto& [service, selection] = *entry;
    const bool selected = present && selection.selector.matches(api::meta(*pod).labels());
    const bool was = selected ? !selection.pods.insert(key).second : selection.pods.erase(key) > 0;
    if (selected || was) reconciler_.add(service);
  }
}

void EndpointsController::observeSlice(const api::ObjectPtr& slice) {
  for (const auto& service : serviceOf(*slice)) {
    if (services_.contains(service)) reconciler_.add(service);
  }
}

std::vector<PodEndpoint> EndpointsController::endpointsOf(const Service& service,
                                                          const std::string& family,
                                                          const std::set<std::string>& pods) const {
  std::vector<PodEndpoint> made;
  for (const auto& key : pods) {
    const auto object = context_.pods.get(key);
    if (!object) continue;
    const auto& pod = api::as<corev1::Pod>(object);
    std::string zone;
    if (const auto node = context_.nodes.get(pod.spec().nodename())) {
      const auto& labels = api::meta(*node).labels();
      if (const auto found = labels.find(api::kZoneLabel); found != labels.end())
        zone = found->second;
    }
    if (auto endpoint = endpointOf(service, pod, family, zone))
      made.push_back(std::move(*endpoint));
  }
  return made;
}

Co<Status> EndpointsController::reconcile(std::string key) {
  const auto object = context_.services.get(key);
  if (!object) {
    // The slices go with their owner; Endpoints have the service's name alone.
    const auto left = context_.endpoints.get(key);
    if (!left) co_return Status();
    api::ResourceId id{&api::kindFor<Endpoints>(), api::meta(*left).namespace_(),
                       api::meta(*left).name(), ""};
    api::DeleteOptions options;
    auto removed = co_await context_.api.remove(std::move(id), std::move(options));
    co_return unlessGone(removed.status());
  }
  const auto* selection = services_.find(key);
  if (selection == nullptr || api::meta(*object).has_deletiontimestamp()) co_return Status();
  const auto service = api::share<Service>(object);
  const std::set<std::string> pods = selection->pods;
  for (int i = 0; i < service->spec().ipfamilies_size(); ++i) {
    const std::string& family = service->spec().ipfamilies(i);
    const auto endpoints = endpointsOf(*service, family, pods);
    Status done = co_await reconcileSlices(service, family, endpoints);
    if (done && i == 0) done = co_await reconcileEndpoints(service, endpoints);
    if (!done) co_return done;
  }
  co_return Status();
}

std::vector<EndpointSlice> EndpointsController::existingSlices(const std::string& service,
                                                               const std::string& family) const {
  std::vector<EndpointSlice> existing;
  for (const auto& key : slicesByService_.of(service)) {
    const auto object = context_.endpointSlices.get(key);
    const auto& slice = api::as<EndpointSlice>(object);
    if (slice.addresstype() == family && !slice.metadata().has_deletiontimestamp())
      existing.push_back(slice);
  }
  return existing;
}

Co<Status> EndpointsController::reconcileSlices(ServicePtr service, std::string family,
                                                std::vector<PodEndpoint> endpoints) {
  const auto existing = existingSlices(api::keyOf(*service), family);
  SliceChanges changes = planSlices(*service, family, std::move(endpoints), existing);
  const api::Kind& kind = api::kindFor<EndpointSlice>();
  const std::string& ns = service->metadata().namespace_();
  const api::WriteOptions options;
  for (auto& slice : changes.create) {
    api::ResourceId id{&kind, ns, "", ""};
    auto object = std::make_shared<EndpointSlice>(std::move(slice));
    auto made = co_await context_.api.create(std::move(id), std::move(object), options);
    if (!made) co_return made.status();
    co_await context_.endpointSlices.waitFor(api::meta(*made->object).resourceversion());
  }
  for (auto& slice : changes.update) {
    api::ResourceId id{&kind, ns, slice.metadata().name(), ""};
    auto object = std::make_shared<EndpointSlice>(std::move(slice));
    auto written = co_await context_.api.update(std::move(id), std::move(object), options);
    if (!written) co_return written.status();
  }
  for (const auto& slice : changes.remove) {
    api::ResourceId id{&kind, ns, slice.metadata().name(), ""};
    api::DeleteOptions deletion;
    deletion.mutable_preconditions()->set_uid(slice.metadata().uid());
    auto removed = co_await context_.api.remove(std::move(id), std::move(deletion));
    if (Status failed = unlessGone(removed.status()); !failed) co_return failed;
  }
  co_return Status();
}

Co<Status> EndpointsController::reconcileEndpoints(ServicePtr service,
                                                   std::vector<PodEndpoint> endpoints) {
  Endpoints wanted = endpointsObject(*service, endpoints);
  const auto current = context_.endpoints.get(api::keyOf(*service));
  const std::string& ns = service->metadata().namespace_();
  const api::WriteOptions options;
  if (!current) {
    api::ResourceId id{&api::kindFor<Endpoints>(), ns, "", ""};
    auto object = std::make_shared<Endpoints>(std::move(wanted));
    auto made = co_await context_.api.create(std::move(id), std::move(object), options);
    // Made just now, and not in the cache yet: its event brings the key again.
    co_return made.status().is(Code::kAlreadyExists) ? Status() : made.status();
  }
  auto next = std::make_shared<Endpoints>(api::as<Endpoints>(current));
  *next->mutable_subsets() = wanted.subsets();
  *next->mutable_metadata()->mutable_labels() = wanted.metadata().labels();
  *next->mutable_metadata()->mutable_annotations() = wanted.metadata().annotations();
  api::ResourceId id{&api::kindFor<Endpoints>(), ns, service->metadata().name(), ""};
  auto written = co_await context_.api.update(std::move(id), std::move(next), options);
  co_return written.status();
}

}  // namespace podlab::controllers
