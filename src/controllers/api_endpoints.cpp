#include "controllers/api_endpoints.hpp"

#include <cstdlib>
#include <utility>

#include "core_v1_services.pb.h"
#include "discovery_v1.pb.h"

#include "api/kinds.hpp"
#include "api/kinds/rules.hpp"
#include "api/services.hpp"

namespace podlab::controllers {
namespace {

using corev1::Endpoints;
using corev1::Service;
using discoveryv1::EndpointSlice;

constexpr const char* kNamespace = "default";
constexpr const char* kName = "kubernetes";
constexpr const char* kKey = "default/kubernetes";
constexpr const char* kPortName = "https";
constexpr std::int32_t kServicePort = 443;

/// The object as it is in the cache, or a new one of that name.
template <typename T>
std::shared_ptr<T> present(const api::ObjectPtr& known) {
  if (known) return std::make_shared<T>(api::as<T>(known));
  auto made = std::make_shared<T>();
  made->mutable_metadata()->set_name(kName);
  made->mutable_metadata()->set_namespace_(kNamespace);
  return made;
}

/// Writes what differs from the object in the cache. Who was faster brings the key again.
template <typename T>
Co<Status> put(api::Api& api, api::ObjectPtr known, std::shared_ptr<T> wanted) {
  if (known && api::sameMessage(*known, *wanted)) co_return Status();
  api::ResourceId id{&api::kindFor<T>(), kNamespace, known ? kName : "", ""};
  api::WriteOptions options;
  Result<api::WriteResult> written = Status(Code::kInternal, "");
  if (known) {
    written = co_await api.update(std::move(id), wanted, std::move(options));
  } else {
    written = co_await api.create(std::move(id), wanted, std::move(options));
  }
  const Status& status = written.status();
  const bool overtaken = status.is(Code::kNotFound) || status.is(Code::kAlreadyExists);
  co_return overtaken ? Status() : status;
}

}  // namespace

ApiEndpointsController::ApiEndpointsController(Context& context, const std::string& address)
    : context_(context),
      reconciler_("api_endpoints", context.clock, context.rng, context.executor,
                  [this](const std::string&) { return reconcile(); }) {
  const auto colon = address.rfind(':');
  host_ = address.substr(0, colon);
  if (host_.starts_with('[')) host_ = host_.substr(1, host_.size() - 2);
  port_ = std::atoi(address.c_str() + colon + 1);
  const auto changed = [this](const api::ObjectPtr& object) {
    if (api::keyOf(*object) == kKey) reconciler_.add(kKey);
  };
  for (auto* informer : {&context_.services, &context_.endpoints, &context_.endpointSlices}) {
    client::Informer::Handlers handlers;
    handlers.added = changed;
    handlers.updated = [changed](const api::ObjectPtr&, const api::ObjectPtr& now) {
      changed(now);
    };
    handlers.deleted = changed;
    informer->addHandlers(std::move(handlers));
  }
}

void ApiEndpointsController::start() {
  reconciler_.add(kKey);
  reconciler_.start(waitForSync());
}

Co<void> ApiEndpointsController::waitForSync() {
  co_await context_.services.waitForSync();
  co_await context_.endpoints.waitForSync();
  co_await context_.endpointSlices.waitForSync();
}

Co<Status> ApiEndpointsController::reconcile() {
  Status kept = co_await keepService();
  if (kept) kept = co_await keepEndpoints();
  if (kept) kept = co_await keepSlice();
  co_return kept;
}

Co<Status> ApiEndpointsController::keepService() {
  const auto known = context_.services.get(kKey);
  auto service = present<Service>(known);
  auto& labels = *service->mutable_metadata()->mutable_labels();
  labels["component"] = "apiserver";
  labels["provider"] = kName;
  auto& spec = *service->mutable_spec();
  if (!known) spec.set_clusterip("None");  // it never changes
  spec.set_type("ClusterIP");
  spec.clear_selector();
  spec.clear_ports();
  auto& port = *spec.add_ports();
  port.set_name(kPortName);
  port.set_protocol("TCP");
  port.set_port(kServicePort);
  port.mutable_targetport()->set_type(0);
  port.mutable_targetport()->set_intval(port_);
  co_return co_await put(context_.api, known, service);
}

Co<Status> ApiEndpointsController::keepEndpoints() {
  const auto known = context_.endpoints.get(kKey);
  auto endpoints = present<Endpoints>(known);
  // The slice is kept here, too.
  (*endpoints->mutable_metadata()->mutable_labels())["endpointslice.kubernetes.io/skip-mirror"] =
      "true";
  endpoints->clear_subsets();
  auto& subset = *endpoints->add_subsets();
  subset.add_addresses()->set_ip(host_);
  auto& port = *subset.add_ports();
  port.set_name(kPortName);
  port.set_protocol("TCP");
  port.set_port(port_);
  co_return co_await put(context_.api, known, endpoints);
}

Co<Status> ApiEndpointsController::keepSlice() {
  const char* family = host_.find(':') == std::string::npos ? "IPv4" : "IPv6";
  const auto known = context_.endpointSlices.get(kKey);
  if (known && api::as<EndpointSlice>(known).addresstype() != family) {
    // It cannot change: its deletion brings the key again.
    api::ResourceId id{&api::kindFor<EndpointSlice>(), kNamespace, kName, ""};
    api::DeleteOptions options;
    auto removed = co_await context_.api.remove(std::move(id), std::move(options));
    co_return unlessGone(removed.status());
  }
  auto slice = present<EndpointSlice>(known);
  (*slice->mutable_metadata()->mutable_labels())[api::kServiceNameLabel] = kName;
  slice->set_addresstype(family);
  slice->clear_endpoints();
  auto& endpoint = *slice->add_endpoints();
  endpoint.add_addresses(host_);
  endpoint.mutable_conditions()->set_ready(true);
  slice->clear_ports();
  auto& port = *slice->add_ports();
  port.set_name(kPortName);
  port.set_protocol("TCP");
  port.set_port(port_);
  co_return co_await put(context_.api, known, slice);
}

}  // namespace podlab::controllers
