#include "controllers/node_ipam.hpp"

#include <utility>

#include "api/kinds.hpp"
#include "common/log.hpp"

namespace podlab::controllers {
namespace {

/// Writes that share the store's commits: thousands of nodes may come at once.
constexpr std::size_t kWorkers = 32;

}  // namespace

NodeIpamController::NodeIpamController(Context& context, std::vector<ClusterRange> ranges)
    : context_(context),
      allocators_(ranges.begin(), ranges.end()),
      reconciler_("node_ipam", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& node) { observe(node); };
  handlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& node) { observe(node); };
  handlers.deleted = [this](const api::ObjectPtr& node) { forget(api::meta(*node).name()); };
  context_.nodes.addHandlers(std::move(handlers));
}

// No range is given before all nodes, and so all taken ranges, are known.
void NodeIpamController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void NodeIpamController::observe(const api::ObjectPtr& object) {
  const auto& node = api::as<corev1::Node>(object);
  const std::string& name = node.metadata().name();
  if (node.spec().podcidrs().empty()) {
    reconciler_.add(name);
    return;
  }
  Ranges ranges;
  for (const auto& text : node.spec().podcidrs()) {
    if (auto range = net::Cidr::parse(text)) ranges.push_back(*range);
  }
  assign(name, ranges);
}

void NodeIpamController::assign(const std::string& name, const Ranges& ranges) {
  Ranges& held = assigned_[name];
  if (held == ranges) return;
  for (auto& allocator : allocators_) {
    const net::Cidr& whole = allocator.range().range;
    for (const auto& range : ranges) {
      if (whole.overlaps(range)) allocator.take(range);
    }
    for (const auto& range : held) allocator.release(range);
  }
  held = ranges;
}

void NodeIpamController::forget(const std::string& name) {
  assign(name, {});
  assigned_.erase(name);
  waiting_.erase(name);
  for (const auto& other : waiting_) reconciler_.add(other);
}

Result<NodeIpamController::Ranges> NodeIpamController::choose(const std::string& name) {
  Ranges chosen;
  for (auto& allocator : allocators_) {
    if (auto range = allocator.allocate()) {
      chosen.push_back(*range);
      allocator.release(*range);  // assign() takes it, of all ranges
      continue;
    }
    const auto& range = allocator.range();
    return Status(Code::kExhausted, "no /" + std::to_string(range.nodePrefix) + " of " +
                                        range.range.toString() + " is left for node " + name +
                                        ": remove a node, or make the cluster's range larger");
  }
  return chosen;
}

Co<Status> NodeIpamController::reconcile(std::string name) {
  const auto object = context_.nodes.get(name);
  if (!object || !api::as<corev1::Node>(object).spec().podcidrs().empty()) co_return Status();
  if (allocators_.empty()) co_return Status();
  if (!assigned_.contains(name)) {
    auto chosen = choose(name);
    if (!chosen) {
      if (waiting_.insert(name).second) {
        logWarning("node_range_exhausted", {{"node", name}, {"error", chosen.status()}});
        context_.events.record(referenceToNode(name), client::EventClass::kWarning,
                               "CIDRNotAvailable", chosen.status().message());
      }
      co_return Status();
    }
    waiting_.erase(name);
    assign(name, *chosen);
  }
  auto node = std::make_shared<corev1::Node>(api::as<corev1::Node>(object));
  for (const auto& range : assigned_[name]) node->mutable_spec()->add_podcidrs(range.toString());
  node->mutable_spec()->set_podcidr(node->spec().podcidrs(0));
  api::ResourceId id{&api::kindFor<corev1::Node>(), "", name, ""};
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), std::move(node), std::move(options));
  if (written.status().is(Code::kNotFound)) co_return Status();
  co_return written.status();
}

}  // namespace podlab::controllers
