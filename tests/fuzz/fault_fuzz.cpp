// Whatever a fault or a timeline says: it is refused with a reason, or it can be carried out.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "lab/fault_effects.hpp"
#include "lab/fault_timeline.hpp"

namespace {

using namespace podlab;
using namespace podlab::lab;

void require(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << what << "\n";
  std::abort();
}

const NodeLabels kNodes = {{"node1", {{"zone", "a"}}}, {"node2", {{"zone", "b"}}}, {"x", {}}};

void carryOut(const Fault& fault) {
  std::set<std::string> seen;
  for (const auto& group : fault.groups) {
    require(!group.empty(), "an empty group");
    for (const auto& name : group) require(seen.insert(name).second, "a node in two groups");
  }
  require(fault.lease > Duration(0) && fault.lease <= kLongestLease, "no end");
  require(fault.loss > 0 && fault.loss <= 1, "no share");
  const auto effects = effectsOf({{"f1", fault}}, kNodes);
  (void)switchTable(effects.losses, {{"node1", "node1"}, {"node2", "node2"}, {"x", "node3"}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto share = parseShare(text)) require(*share > 0 && *share <= 1, "a strange share");
  (void)parseBitRate(text);
  (void)nodesOf(std::string(text), kNodes);

  FaultsConfig config;
  if (!config.ParseFromArray(data, static_cast<int>(size))) return 0;
  for (const auto& entry : config.timeline()) {
    (void)wordsFor(entry);
    const auto fault = readFault(entry, kNodes);
    if (fault) {
      carryOut(*fault);
    } else {
      require(!fault.status().message().empty(), "no reason");
    }
  }
  if (!faultsOfTimeline(config, kNodes).empty()) return 0;
  const FaultTimeline timeline(config);
  for (int entry = 0; entry < timeline.entries(); ++entry) {
    for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0} / 2}) {
      const auto time = timeline.timeOf(entry, n);
      if (!time) continue;
      require(*time >= Duration(0), "a time before the start");
      const auto picked = timeline.faultOf(entry, n, kNodes);
      require(picked.ok() && readFault(*picked, kNodes).ok(), "a pick that is no fault");
    }
  }
  return 0;
}
