#include "node/reach_inspector.hpp"

#include <utility>

#include "common/log.hpp"
#include "node/reach_messages.hpp"

namespace podlab::node {
namespace {

constexpr int kMostInspected = 1000;  // probes, whatever the request wants

}  // namespace

ReachInspector::ReachInspector(asio::any_io_executor executor, BlockingPool& pool, std::string node,
                               const rpc::ProbeRequest& run, const std::vector<net::ReachEnd>& ends)
    : executor_(std::move(executor)),
      pool_(pool),
      node_(std::move(node)),
      size_(static_cast<int>(run.settings().size())),
      following_(executor_) {
  for (int i = 0; i < run.endpoints_size(); ++i) {
    const auto& endpoint = run.endpoints(i);
    const net::ReachEnd& end = ends[static_cast<std::size_t>(i)];
    net::PathEnd& path = paths_.emplace_back();
    path.name =
        endpoint.uid().empty() ? endpoint.node() : endpoint.namespace_() + "/" + endpoint.name();
    path.node = endpoint.node();
    path.podUid = endpoint.uid();
    path.networkPath = end.networkPath;
    path.underlay = addressesOf(endpoint.underlay());
    addresses_.push_back(end.addresses);
    local_.push_back(end.local);
  }
}

std::optional<ReachInspector::Inspected> ReachInspector::inspect(
    const rpc::InspectedProbe& probe) const {
  Inspected made;
  made.key = keyOf(probe.key());
  made.back = probe.back();
  if (made.key.from >= paths_.size() || made.key.to >= paths_.size()) return std::nullopt;
  const auto endOf = [&](std::uint32_t index) -> std::optional<net::PathEnd> {
    net::PathEnd end = paths_[index];
    for (const auto& address : addresses_[index]) {
      if (address.family() != made.key.family) continue;
      end.address = address;
      return end;
    }
    return std::nullopt;
  };
  const std::uint32_t first = made.back ? made.key.to : made.key.from;
  const std::uint32_t last = made.back ? made.key.from : made.key.to;
  auto from = endOf(first);
  auto to = endOf(last);
  if (!from || !to) return std::nullopt;
  made.leaves = local_[first];
  made.arrives = local_[last] && !local_[first];
  if (!made.leaves && !made.arrives) return std::nullopt;
  made.path = {std::move(*from), std::move(*to), made.key.protocol,
               made.back ? std::uint16_t{0} : made.key.port, size_};
  return made;
}

Co<void> ReachInspector::trace(rpc::ProbeRequest request) {
  std::set<std::pair<net::IpAddress, net::IpAddress>> pairs;
  for (const auto& probe : request.inspected()) {
    if (inspected_.size() == kMostInspected) break;
    auto made = inspect(probe);
    if (!made) continue;
    pairs.emplace(made->path.from.address, made->path.to.address);
    inspected_.push_back(std::move(*made));
  }
  if (inspected_.empty()) co_return;
  auto port = co_await pool_.run([] { return net::tunnelPort(""); });
  auto opened = net::NftTrace::open(executor_, "", pairs, port);
  if (!opened) {
    logWarning("reach_trace_failed", {{"error", opened.status()}});
    co_return;
  }
  trace_ = std::move(*opened);
  following_.spawn("reach_trace", net::NftTrace::follow(trace_));
}

std::set<net::ProbeKey> ReachInspector::keys() const {
  std::set<net::ProbeKey> keys;
  for (const Inspected& one : inspected_) keys.insert(one.key);
  return keys;
}

void ReachInspector::repeated(const std::vector<net::ProbeOutcome>& outcomes) {
  for (const auto& outcome : outcomes) {
    if (outcome.ok()) passing_.insert(outcome.key);
  }
}

Co<ReachInspector::Findings> ReachInspector::find() {
  Findings findings;
  co_await following_.cancelAndJoin();
  auto look = [node = node_, trace = std::exchange(trace_, nullptr), inspected = inspected_] {
    if (trace) trace->finish();
    net::PathCheck check(node, "", trace);
    std::vector<std::string> texts;
    for (const Inspected& one : inspected) {
      texts.push_back(one.leaves ? check.leaving(one.path) : check.arriving(one.path));
    }
    return texts;
  };
  const auto texts = co_await pool_.run(std::move(look));
  for (std::size_t i = 0; i < inspected_.size(); ++i) {
    const bool passes = passing_.contains(inspected_[i].key);
    if (texts[i].empty() && !passes) continue;
    auto& finding = *findings.Add();
    setKey(*finding.mutable_key(), inspected_[i].key);
    finding.set_text(texts[i]);
    finding.set_leaving(inspected_[i].leaves);
    finding.set_passes(passes);
  }
  co_return findings;
}

}  // namespace podlab::node
