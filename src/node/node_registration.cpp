#include "node/node_registration.hpp"

#include <algorithm>
#include <utility>

#include "api/arena_object.hpp"
#include "api/kinds.hpp"
#include "api/times.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"

namespace podlab::node {
namespace {

constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr Duration kFirstRetry = std::chrono::milliseconds(200);
constexpr Duration kLastRetry = std::chrono::seconds(7);
/// kubelet's (component-helpers, lease controller).
constexpr double kLeaseJitter = 0.04;
/// Renewals are due at whole steps of the clock: of thousands of nodes in one process those of a
/// step share its wake-up, and what that leads to here and at the server.
constexpr Duration kLeaseStep = std::chrono::milliseconds(20);

Duration share(Duration duration, double part) {
  return std::chrono::duration_cast<Duration>(duration * part);
}

MonoTime nextStep(MonoTime at) {
  return at + (kLeaseStep - at.time_since_epoch() % kLeaseStep) % kLeaseStep;
}

api::ResourceId nodeId(const std::string& name, std::string subresource = "") {
  return {&api::kindFor<corev1::Node>(), "", name, std::move(subresource)};
}

api::ObjectPtr decoded(const api::PackedPtr& packed) {
  return packed == nullptr ? nullptr : packed->decode();
}

}  // namespace

NodeRegistration::NodeRegistration(api::Api& api, Clock& clock, Rng& rng,
                                   asio::any_io_executor executor, ImageStore& images,
                                   NodeFacts facts, Intervals intervals)
    : api_(api),
      clock_(clock),
      rng_(rng),
      images_(images),
      facts_(std::move(facts)),
      intervals_(intervals),
      tasks_(std::move(executor)) {}

void NodeRegistration::start() {
  tasks_.spawn("node registration", keepNode());
  tasks_.spawn("node lease", keepLease());
}

Co<void> NodeRegistration::stop() {
  co_await tasks_.cancelAndJoin();
}

void NodeRegistration::setReadiness(NodeReadiness readiness) {
  readiness_ = std::move(readiness);
  dirty_ = true;
  changed_.notifyAll();
}

void NodeRegistration::setPressure(const NodePressure& pressure) {
  if (pressure == pressure_) return;
  pressure_ = pressure;
  dirty_ = true;
  changed_.notifyAll();
}

void NodeRegistration::setPeerHealth(PeerHealth health) {
  peers_ = std::move(health);
  dirty_ = true;
  changed_.notifyAll();
}

void NodeRegistration::observe(const api::ObjectPtr& node) {
  if (!registered_) return;
  if (node == nullptr) {
    node_ = nullptr;
    registered_ = false;
  } else if (writing_) {
    // Most likely what is being written.
    seen_ = api::Packed::of(node);
    return;
  } else if (client::isNewer(*node, decoded(node_))) {
    node_ = api::Packed::of(node);
    const auto copy = api::copyOf(*node);
    registered_ = !updateMetadata(static_cast<corev1::Node&>(*copy), facts_);
  } else {
    return;
  }
  dirty_ = true;
  changed_.notifyAll();
}

Co<void> NodeRegistration::keepNode() {
  Duration retry = kFirstRetry;
  for (;;) {
    dirty_ = false;
    Status status;
    if (!registered_) status = co_await registerNode();
    if (status.ok()) status = co_await postStatus();
    if (!status.ok()) {
      logWarning("node_status_retry", {{"node", facts_.name}, {"error", status}});
      dirty_ = true;
      co_await clock_.sleepFor(retry);
      retry = std::min(2 * retry, kLastRetry);
      continue;
    }
    retry = kFirstRetry;
    while (!dirty_ && clock_.now() < heartbeatDue_)
      co_await changed_.waitUntil(clock_, heartbeatDue_);
  }
}

Co<Status> NodeRegistration::registerNode() {
  auto object = std::make_shared<corev1::Node>(makeNode(facts_));
  api::WriteOptions options;
  auto created = co_await api_.create(nodeId(""), object, options);
  if (created.ok()) {
    node_ = api::Packed::of(created->object);
    logInfo("node_registered", {{"node", facts_.name}});
  } else if (created.status().is(Code::kAlreadyExists)) {
    client::Change change = [this](google::protobuf::Message& node) {
      return updateMetadata(static_cast<corev1::Node&>(node), facts_);
    };
    auto modified = co_await client::modify(api_, nodeId(facts_.name), nullptr, change);
    if (!modified.ok()) co_return modified.status();
    node_ = api::Packed::of(*modified);
  } else {
    co_return created.status();
  }
  registered_ = true;
  co_return Status();
}

Co<Status> NodeRegistration::postStatus() {
  bool heartbeat = clock_.now() >= heartbeatDue_;
  facts_.images = imagesForStatus(images_.list());
  client::Change change = [this, heartbeat](google::protobuf::Message& node) {
    return updateStatus(*static_cast<corev1::Node&>(node).mutable_status(), facts_, readiness_,
                        pressure_, heartbeat, clock_.wallNow(), peers_);
  };
  writing_ = true;
  auto modified =
      co_await client::modify(api_, nodeId(facts_.name, "status"), decoded(node_), change);
  writing_ = false;
  if (modified.ok()) node_ = api::Packed::of(*modified);
  if (modified.status().is(Code::kNotFound)) registered_ = false;
  if (const auto seen = decoded(std::exchange(seen_, nullptr))) observe(seen);
  if (!modified.ok()) co_return modified.status();
  if (heartbeat) {
    // Nodes that have started together do not come together again.
    const double part = std::exchange(heartbeatsSpread_, true) ? 1 : rng_.unit();
    heartbeatDue_ = clock_.now() + share(intervals_.status, part);
  }
  co_return Status();
}

Co<void> NodeRegistration::keepLease() {
  Duration retry = kFirstRetry;
  for (;;) {
    Status status = co_await renewLease();
    if (status.ok()) {
      retry = kFirstRetry;
      const Duration period = share(intervals_.lease, 1 + kLeaseJitter * rng_.unit());
      co_await clock_.sleepUntil(nextStep(clock_.now() + period));
    } else {
      logDebug("lease_retry", {{"node", facts_.name}, {"error", status}});
      co_await clock_.sleepFor(retry);
      retry = std::min(2 * retry, kLastRetry);
    }
  }
}

Co<Status> NodeRegistration::renewLease() {
  api::ResourceId id{&api::kindFor<coordinationv1::Lease>(), kLeaseNamespace, facts_.name, ""};
  auto renew = [this](coordinationv1::Lease& lease) {
    auto& spec = *lease.mutable_spec();
    spec.set_holderidentity(facts_.name);
    spec.set_leasedurationseconds(static_cast<int>(
        std::chrono::duration_cast<std::chrono::seconds>(intervals_.leaseDuration).count()));
    *spec.mutable_renewtime() = api::toMicroTime(clock_.wallNow());
  };
  client::Change change = [renew](google::protobuf::Message& lease) {
    renew(static_cast<coordinationv1::Lease&>(lease));
    return true;
  };
  auto modified = co_await client::modify(api_, id, decoded(lease_), change);
  if (modified.ok()) {
    lease_ = api::Packed::of(*modified);
    co_return Status();
  }
  lease_ = nullptr;
  if (!modified.status().is(Code::kNotFound)) co_return modified.status();
  auto lease = std::make_shared<coordinationv1::Lease>();
  lease->mutable_metadata()->set_name(facts_.name);
  lease->mutable_metadata()->set_namespace_(kLeaseNamespace);
  if (const auto node = decoded(node_)) {
    auto& owner = *lease->mutable_metadata()->add_ownerreferences();
    owner.set_apiversion("v1");
    owner.set_kind("Node");
    owner.set_name(facts_.name);
    owner.set_uid(api::meta(*node).uid());
  }
  renew(*lease);
  id.name.clear();
  api::WriteOptions options;
  auto created = co_await api_.create(id, lease, options);
  if (created.ok()) lease_ = api::Packed::of(created->object);
  co_return created.status();
}

}  // namespace podlab::node
