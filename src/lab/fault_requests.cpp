#include "lab/fault_requests.hpp"

#include <algorithm>
#include <chrono>

namespace podlab::lab {
namespace {

void add(const std::string& id, const FaultBoard::Entry& entry, const Clock& clock,
         LabResponse& response) {
  auto& out = *response.add_faults();
  out.set_id(id);
  *out.mutable_fault() = entry.config;
  out.set_endsin(formatDuration(
      std::chrono::ceil<std::chrono::seconds>(std::max(Duration(0), entry.end - clock.now()))));
  out.set_origin(entry.origin);
  out.set_endsat(formatTime(std::chrono::floor<std::chrono::seconds>(entry.endsAt)));
}

Status addFault(FaultBoard& faults, const Clock& clock, const FaultConfig& config,
                LabResponse& response) {
  auto id = faults.add(config, "command");
  if (!id) return id.status();
  if (!id->empty()) add(*id, faults.entries().at(*id), clock, response);
  return {};
}

Status clearFaults(FaultBoard& faults, const Clock& clock, const FaultChoice& choice,
                   LabResponse& response) {
  const std::set<std::string> ids(choice.ids().begin(), choice.ids().end());
  for (const auto& [id, entry] : faults.entries()) {
    if (choice.all() || ids.contains(id)) add(id, entry, clock, response);
  }
  return choice.all() ? faults.clearAll() : faults.clear(ids);
}

Status thaw(FaultBoard& faults, const std::string& list, const NodeLabels& nodes) {
  auto meant = nodesOf(list, nodes);
  if (!meant) return meant.status();
  if (faults.find(FaultKind::kNodeFreeze, *meant).empty())
    return Status(Code::kConflict, "none of these nodes is frozen: " + list);
  for (const auto& node : *meant) {
    if (Status status = faults.spare(FaultKind::kNodeFreeze, node); !status.ok()) return status;
  }
  return {};
}

}  // namespace

bool isFaultRequest(const LabRequest& request) {
  return request.has_addfault() || request.has_clearfaults() || request.has_listfaults() ||
         request.has_thawnodes() || request.has_starttimeline();
}

void listFaults(const FaultBoard& faults, const Clock& clock, LabResponse& response) {
  for (const auto& [id, entry] : faults.entries()) add(id, entry, clock, response);
  // f2 before f10.
  std::ranges::sort(*response.mutable_faults(), {}, [](const FaultInForce& fault) {
    return std::pair(fault.id().size(), fault.id());
  });
}

Status answerFaultRequest(FaultBoard& faults, const Clock& clock, const Cluster& cluster,
                          const LabRequest& request, LabResponse& response) {
  if (request.has_addfault()) return addFault(faults, clock, request.addfault(), response);
  if (request.has_clearfaults()) return clearFaults(faults, clock, request.clearfaults(), response);
  if (request.has_thawnodes()) return thaw(faults, request.thawnodes(), nodeLabels(cluster));
  if (request.has_starttimeline()) return faults.startTimeline(cluster.faults());
  listFaults(faults, clock, response);
  return {};
}

}  // namespace podlab::lab
