#include "lab/fault_board.hpp"

#include <utility>

#include "common/log.hpp"

namespace podlab::lab {
namespace {

/// After the kernel has refused to take a fault away.
constexpr Duration kRetry = std::chrono::seconds(1);

std::string textOf(const std::set<std::string>& group) {
  std::string text;
  for (const auto& member : group)
    text += (text.empty() ? "" : ",") + (member == kServerMember ? "server" : member);
  return text;
}

/// Names the nodes in the place of what meant them.
void nameGroups(FaultConfig& config, const Fault& fault) {
  if (config.between().empty()) {
    config.set_nodes(textOf(fault.groups.front()));
    return;
  }
  config.clear_between();
  for (const auto& group : fault.groups) config.add_between(textOf(group));
}

}  // namespace

FaultBoard::~FaultBoard() {
  for (const auto& [id, entry] : entries_) clock_.cancel(entry.timer);
  for (const auto& [entry, timer] : timelineTimers_) clock_.cancel(timer);
  clock_.cancel(retry_);
}

void FaultBoard::stop() {
  for (const auto& [entry, timer] : timelineTimers_) clock_.cancel(timer);
  timelineTimers_.clear();
  (void)clearAll();
}

Status FaultBoard::enforce() {
  std::map<std::string, Fault> faults;
  for (const auto& [id, entry] : entries_) faults[id] = entry.fault;
  return target_.enforce(effectsOf(faults, target_.nodes()));
}

Result<std::string> FaultBoard::add(FaultConfig config, std::string origin) {
  auto fault = readFault(config, target_.nodes());
  if (!fault) return fault.status();
  nameGroups(config, *fault);
  if (fault->kind == FaultKind::kAgentKill) {
    for (const auto& node : fault->groups.front()) {
      if (Status killed = target_.killAgent(node); !killed.ok()) return killed;
    }
    logInfo("fault_done", {{"kind", config.kind()}, {"what", wordsFor(config)}});
    return std::string();
  }
  if (Status status = target_.supports(fault->kind); !status.ok()) return status;
  if (!config.has_for_()) config.set_for_(formatDuration(fault->lease));
  const std::string id = "f" + std::to_string(lastId_ + 1);
  Entry& entry = entries_[id];
  entry.end = clock_.now() + fault->lease;
  entry.endsAt = clock_.wallNow() + fault->lease;
  entry.fault = std::move(*fault);
  entry.config = std::move(config);
  entry.origin = std::move(origin);
  if (Status status = enforce(); !status.ok()) {
    entries_.erase(id);
    (void)settle();
    return status;
  }
  ++lastId_;
  entry.timer = clock_.schedule(entry.end, [this, id] { expire(id); });
  logInfo("fault_begins", {{"id", id},
                           {"kind", entry.config.kind()},
                           {"what", wordsFor(entry.config)},
                           {"for", entry.config.for_()},
                           {"origin", entry.origin}});
  return id;
}

void FaultBoard::remove(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  clock_.cancel(found->second.timer);
  entries_.erase(found);
  logInfo("fault_ends", {{"id", id}});
}

/// What cannot be carried out now is tried again: a fault ends, whatever happens.
Status FaultBoard::settle() {
  Status status = enforce();
  clock_.cancel(std::exchange(retry_, 0));
  if (status.ok()) return status;
  logWarning("faults_not_enforced", {{"error", status}});
  retry_ = clock_.scheduleIn(kRetry, [this] { (void)settle(); });
  return status;
}

void FaultBoard::expire(const std::string& id) {
  remove(id);
  (void)settle();
}

Status FaultBoard::clear(const std::set<std::string>& ids) {
  for (const auto& id : ids) {
    if (!entries_.contains(id))
      return Status(Code::kNotFound,
                    "no fault " + id + " is in force; podlab fault ls lists those that are");
  }
  for (const auto& id : ids) remove(id);
  return ids.empty() ? Status() : settle();
}

Status FaultBoard::clearAll() {
  std::set<std::string> ids;
  for (const auto& [id, entry] : entries_) ids.insert(id);
  return clear(ids);
}

std::set<std::string> FaultBoard::find(FaultKind kind, const std::set<std::string>& nodes) const {
  std::set<std::string> found;
  for (const auto& [id, entry] : entries_) {
    if (entry.fault.kind != kind) continue;
    for (const auto& node : entry.fault.groups.front()) {
      if (nodes.contains(node)) found.insert(id);
    }
  }
  return found;
}

Status FaultBoard::without(const std::string& node, const std::set<std::string>& ids) {
  for (const auto& id : ids) {
    Entry& entry = entries_.at(id);
    bool over = false;
    for (auto& group : entry.fault.groups) {
      group.erase(node);
      over = over || group.empty();
    }
    nameGroups(entry.config, entry.fault);
    if (over) remove(id);
  }
  return settle();
}

Status FaultBoard::spare(FaultKind kind, const std::string& node) {
  return without(node, find(kind, {node}));
}

Status FaultBoard::forget(const std::string& node) {
  std::set<std::string> all;
  for (const auto& [id, entry] : entries_) all.insert(id);
  return without(node, all);
}

Status FaultBoard::refresh() {
  return settle();
}

Status FaultBoard::startTimeline(FaultsConfig config) {
  if (timeline_) return {};
  const NodeLabels nodes = target_.nodes();
  for (int i = 0; i < config.timeline_size(); ++i) {
    const auto fault = readFault(config.timeline(i), nodes);
    const Status status = fault ? target_.supports(fault->kind) : fault.status();
    if (!status.ok())
      return status.withContext("faults.timeline[" + std::to_string(i) +
                                "]: " + config.timeline(i).kind());
  }
  timeline_.emplace(std::move(config));
  timelineStart_ = clock_.now();
  for (int i = 0; i < timeline_->entries(); ++i) schedule(i, 0);
  return {};
}

void FaultBoard::schedule(int entry, std::uint64_t n) {
  const auto time = timeline_->timeOf(entry, n);
  if (!time) return;
  timelineTimers_[entry] = clock_.schedule(timelineStart_ + *time, [this, entry, n] {
    const std::string origin = "faults.timeline[" + std::to_string(entry) + "]";
    auto fault = timeline_->faultOf(entry, n, target_.nodes());
    const Status status = fault ? add(std::move(*fault), origin).status() : fault.status();
    if (!status.ok()) logWarning("fault_failed", {{"origin", origin}, {"error", status}});
    schedule(entry, n + 1);
  });
}

}  // namespace podlab::lab
