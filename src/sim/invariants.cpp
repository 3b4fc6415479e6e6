#include "sim/invariants.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/pod_resources.hpp"
#include "api/taints.hpp"
#include "api/times.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/log.hpp"

namespace podlab::sim {
namespace {

constexpr std::size_t kMostViolations = 20;
/// What an eviction may take after its time, with a server at work.
constexpr Duration kEvictionSlack = std::chrono::minutes(1);
constexpr Duration kAuditRetry = std::chrono::seconds(1);
/// Of one object, in kWriteWindow: no more than a Deployment of many pods needs that start at once.
constexpr int kMostWrites = 600;
constexpr Duration kWriteWindow = std::chrono::minutes(1);

std::int64_t amount(const api::ResourceList& list, const char* name, bool milli) {
  const auto it = list.find(name);
  if (it == list.end()) return 0;
  return milli ? it->second.milliValue() : it->second.value();
}

store::RangeRequest everything() {
  store::RangeRequest range;
  range.end = "\xff";
  return range;
}

std::string text(std::int64_t number) {
  return std::to_string(number);
}

}  // namespace

Invariants::Invariants(const Clock& clock, SimDisk& disk) : clock_(clock), disk_(disk) {
  disk_.keepAcknowledged();
}

void Invariants::report(std::string what) {
  logError("invariant_violated", {{"time", formatTime(clock_.wallNow())}, {"what", what}});
  if (violations_.size() < kMostViolations)
    violations_.push_back(formatTime(clock_.wallNow()) + " " + std::move(what));
}

Co<void> Invariants::follow() {
  const store::RangeRequest all = everything();
  auto watcher = co_await disk_.contents().watch(all.start, all.end, revision_);
  if (!watcher) {
    report("the disk cannot be watched: " + watcher.status().toString());
    co_return;
  }
  for (;;) {
    auto batch = co_await (*watcher)->next();
    if (!batch) co_return;
    for (const auto& event : batch->events) see(event);
  }
}

void Invariants::see(const store::Event& event) {
  static const std::string kPods = apiserver::storePrefix(api::kindFor<corev1::Pod>());
  static const std::string kNodes = apiserver::storePrefix(api::kindFor<corev1::Node>());
  ++changes_;
  const store::Revision revision = event.kv.modRevision;
  if (revision != revision_ && revision != revision_ + 1)
    report("revision " + text(revision) + " follows " + text(revision_));
  revision_ = revision;
  Written& written = written_[event.kv.key];
  written.revision = revision;
  written.present = event.type == store::Event::Type::kPut;
  countWrite(event.kv.key, written);
  const std::string_view key = event.kv.key;
  if (key.starts_with(kPods)) {
    seePod(std::string(key.substr(kPods.size())), event);
  } else if (key.starts_with(kNodes)) {
    seeNode(std::string(key.substr(kNodes.size())), event);
  }
}

void Invariants::countWrite(const std::string& key, Written& written) {
  if (clock_.now() - written.countedFrom > kWriteWindow) {
    written.countedFrom = clock_.now();
    written.count = 0;
  }
  if (++written.count != kMostWrites) return;
  spinning_ = true;
  report(key + " was written " + text(kMostWrites) + " times in " +
         formatDuration(clock_.now() - written.countedFrom));
}

void Invariants::leave(Pod& pod, const std::string& key) {
  takeAddresses(key, pod, {});
  if (!std::exchange(pod.takesRoom, false)) return;
  Node& node = nodes_[pod.node];
  node.usedCpu -= pod.milliCpu;
  node.usedMemory -= pod.memory;
  --node.usedPods;
}

void Invariants::takeRoom(const std::string& key, Pod& pod) {
  pod.takesRoom = true;
  Node& node = nodes_[pod.node];
  node.usedCpu += pod.milliCpu;
  node.usedMemory += pod.memory;
  ++node.usedPods;
  if (!node.known) return report("pod " + key + " is bound to " + pod.node + ", which is no node");
  if (node.usedCpu > node.milliCpu || node.usedMemory > node.memory || node.usedPods > node.pods)
    report("node " + pod.node + " has too little room for pod " + key + ": " + text(node.usedCpu) +
           "m of " + text(node.milliCpu) + "m CPU, " + text(node.usedMemory) + " of " +
           text(node.memory) + " bytes, " + text(node.usedPods) + " of " + text(node.pods) +
           " pods");
}

void Invariants::takeAddresses(const std::string& key, Pod& pod,
                               std::vector<std::string> addresses) {
  if (pod.addresses == addresses) return;
  for (const auto& address : pod.addresses) {
    const auto it = podByAddress_.find(address);
    if (it != podByAddress_.end() && it->second == key) podByAddress_.erase(it);
  }
  pod.addresses = std::move(addresses);
  for (const auto& address : pod.addresses) {
    const auto [it, added] = podByAddress_.emplace(address, key);
    if (!added) report("pods " + it->second + " and " + key + " both have the address " + address);
  }
}

void Invariants::seePod(const std::string& key, const store::Event& event) {
  const bool gone = event.type == store::Event::Type::kDelete;
  if (auditing_) {
    const bool isNew = event.kv.createRevision == event.kv.modRevision;
    unaudited_.push_back({event.kv.modRevision, key,
                          gone    ? api::EventType::kDeleted
                          : isNew ? api::EventType::kAdded
                                  : api::EventType::kModified});
  }
  if (gone) {
    const auto it = pods_.find(key);
    if (it == pods_.end()) return;
    leave(it->second, key);
    pods_.erase(it);
    return;
  }
  corev1::Pod now;
  if (!now.ParseFromString(*event.kv.value)) return report("pod " + key + " cannot be read");
  if (logEnabled(LogLevel::kDebug))
    logDebug("pod_written", {{"pod", key},
                             {"revision", event.kv.modRevision},
                             {"node", now.spec().nodename()},
                             {"phase", now.status().phase()},
                             {"deleting", now.metadata().has_deletiontimestamp()},
                             {"status", now.status().ShortDebugString()}});
  auto [it, isNew] = pods_.try_emplace(key);
  Pod& pod = it->second;
  if (!isNew && pod.uid != now.metadata().uid()) {
    report("pod " + key + " became another without having been deleted");
    leave(pod, key);
    pod = Pod();
  }
  const auto requests = api::podRequests(now);
  pod.uid = now.metadata().uid();
  pod.milliCpu = amount(requests, "cpu", true);
  pod.memory = amount(requests, "memory", false);
  pod.deleting = now.metadata().has_deletiontimestamp();
  pod.tolerations.assign(now.spec().tolerations().begin(), now.spec().tolerations().end());
  const std::string& node = now.spec().nodename();
  if (!pod.node.empty() && node != pod.node)
    report("pod " + key + " moved from node " + pod.node + " to \"" + node + "\"");
  const bool bound = pod.node.empty() && !node.empty();
  if (pod.finished && !api::isFinished(now)) report("pod " + key + " had finished, and runs again");
  pod.finished = api::isFinished(now);
  if (pod.finished) {
    if (bound) pod.node = node;
    return leave(pod, key);
  }
  if (bound) {
    pod.node = node;
    takeRoom(key, pod);
  }
  std::vector<std::string> addresses;
  if (!now.spec().hostnetwork()) {
    for (const auto& address : now.status().podips()) addresses.push_back(address.ip());
  }
  takeAddresses(key, pod, std::move(addresses));
}

void Invariants::seeNode(const std::string& name, const store::Event& event) {
  Node& node = nodes_[name];
  if (event.type == store::Event::Type::kDelete) {
    for (const auto& range : node.ranges) nodeByRange_.erase(range);
    node.known = node.ready = false;
    node.ranges.clear();
    return;
  }
  corev1::Node now;
  if (!now.ParseFromString(*event.kv.value)) return report("node " + name + " cannot be read");
  node.known = true;
  node.ready = api::isTrue(now.status(), "Ready");
  node.taints.assign(now.spec().taints().begin(), now.spec().taints().end());
  node.schedulable = node.ready && node.taints.empty() && !now.spec().unschedulable();
  const auto allocatable = api::toResourceList(now.status().allocatable());
  node.milliCpu = amount(allocatable, "cpu", true);
  node.memory = amount(allocatable, "memory", false);
  node.pods = amount(allocatable, "pods", false);
  const std::vector<std::string> ranges(now.spec().podcidrs().begin(), now.spec().podcidrs().end());
  if (node.uid == now.metadata().uid() && !node.ranges.empty() && ranges != node.ranges)
    report("node " + name + " has changed its range from " + node.ranges.front());
  node.uid = now.metadata().uid();
  if (ranges == node.ranges) return;
  for (const auto& range : node.ranges) nodeByRange_.erase(range);
  node.ranges = ranges;
  for (const auto& range : ranges) {
    const auto [it, added] = nodeByRange_.emplace(range, name);
    if (!added) report("nodes " + it->second + " and " + name + " both have the range " + range);
  }
}

Co<void> Invariants::checkAcknowledged() {
  store::RangeRequest all = everything();
  auto found = co_await disk_.contents().range(std::move(all));
  if (!found) {
    report("the disk cannot be read: " + found.status().toString());
    co_return;
  }
  std::map<std::string, store::Revision> present;
  for (const auto& item : found->items) present.emplace(item.key, item.modRevision);
  for (const auto& [key, written] : written_) {
    const auto it = present.find(key);
    if ((it == present.end() ? 0 : it->second) != (written.present ? written.revision : 0))
      report("what was written last of " + key + ", at revision " + text(written.revision) +
             ", is lost");
  }
  for (const auto& [key, revision] : disk_.acknowledged()) {
    const auto it = written_.find(key);
    if (it == written_.end() || it->second.revision < revision)
      report("the write of " + key + " at revision " + text(revision) +
             " was acknowledged, and never made");
  }
}

void Invariants::checkEvictions(Duration serverUpFor) {
  if (serverUpFor < kEvictionSlack) return;
  const WallTime now = clock_.wallNow();
  for (const auto& [key, pod] : pods_) {
    if (pod.node.empty() || pod.deleting || pod.finished) continue;
    const Node& node = nodes_[pod.node];
    for (const auto& taint : node.taints) {
      if (taint.effect() != api::kNoExecute || !taint.has_timeadded()) continue;
      std::optional<std::int64_t> seconds;
      bool forEver = false;
      for (const auto& toleration : pod.tolerations) {
        if (!api::tolerates(toleration, taint)) continue;
        if (!toleration.has_tolerationseconds()) forEver = true;
        if (toleration.has_tolerationseconds())
          seconds = std::min(seconds.value_or(toleration.tolerationseconds()),
                             toleration.tolerationseconds());
      }
      if (!seconds && forEver) continue;
      const WallTime due =
          api::toWallTime(taint.timeadded()) + std::chrono::seconds(seconds.value_or(0));
      const Duration late = std::min(now - due, serverUpFor);
      if (late > kEvictionSlack)
        report("pod " + key + " is still on node " + pod.node + ", tainted " + taint.key() + ", " +
               formatDuration(late) + " after its time");
    }
  }
}

void Invariants::checkQuiet() {
  for (const auto& [name, node] : nodes_) {
    if (node.known && !node.ready) report("node " + name + " does not become Ready again");
    if (node.ready && !node.taints.empty())
      report("node " + name + " is Ready, and keeps the taint " + node.taints.front().key());
  }
  for (const auto& [key, pod] : pods_) {
    if (pod.deleting) report("pod " + key + " is never gone, though it is deleted");
    if (!pod.node.empty() && !nodes_[pod.node].known)
      report("pod " + key + " stays, and its node " + pod.node + " is gone");
    if (!pod.node.empty() || pod.finished || pod.deleting) continue;
    for (const auto& [name, node] : nodes_) {
      if (!node.schedulable || node.usedCpu + pod.milliCpu > node.milliCpu ||
          node.usedMemory + pod.memory > node.memory || node.usedPods >= node.pods)
        continue;
      report("pod " + key + " waits, and node " + name + " has room for it");
      break;
    }
  }
  if (auditing_ && !unaudited_.empty())
    report("the watch never showed revision " + text(unaudited_.front().revision) + " of pod " +
           unaudited_.front().key);
}

Co<void> Invariants::auditWatch(api::Api& api, Clock& clock) {
  std::string after;
  for (;;) {
    const Status status = co_await auditOnce(api, after);
    // What is too old is listed anew.
    if (status.is(Code::kExpired)) after.clear();
    co_await clock.sleepFor(kAuditRetry);
  }
}

Co<Status> Invariants::auditOnce(api::Api& api, std::string& after) {
  const api::ResourceId pods{&api::kindFor<corev1::Pod>(), "", "", ""};
  if (after.empty()) {
    // What is written while the answer is on its way comes by the watch.
    auditing_ = true;
    api::ListOptions all;
    auto listed = co_await api.list(pods, std::move(all));
    if (!listed) co_return listed.status();
    after = listed->resourceVersion;
    const auto revision = std::stoll(after);
    while (!unaudited_.empty() && unaudited_.front().revision <= revision) unaudited_.pop_front();
  }
  api::WatchOptions options;
  options.resourceVersion = after;
  options.bookmarks = true;
  auto watch = co_await api.watch(pods, std::move(options));
  if (!watch) co_return watch.status();
  for (;;) {
    auto event = co_await (*watch)->next();
    if (!event) co_return event.status();
    after = api::meta(*event->object).resourceversion();
    if (event->type != api::EventType::kBookmark) audit(*event);
  }
}

void Invariants::audit(const api::WatchEvent& event) {
  ++audited_;
  const std::string key = api::keyOf(*event.object);
  const std::string shown = std::string(api::nameOf(event.type)) + " " + key + " at " +
                            api::meta(*event.object).resourceversion();
  if (unaudited_.empty()) return report("the watch shows " + shown + ", which was not written");
  const PodChange expected = std::move(unaudited_.front());
  unaudited_.pop_front();
  if (std::to_string(expected.revision) == api::meta(*event.object).resourceversion() &&
      expected.key == key && expected.type == event.type)
    return;
  report("the watch shows " + shown + " where " + std::string(api::nameOf(expected.type)) + " " +
         expected.key + " at " + text(expected.revision) + " was written");
}

}  // namespace podlab::sim
