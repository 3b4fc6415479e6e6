#include "lab/fault_timeline.hpp"

#include "common/rng.hpp"

namespace podlab::lab {
namespace {

constexpr Duration kShortestPeriod = std::chrono::milliseconds(100);
constexpr std::uint64_t kDefaultSeed = 1;

/// Of each occurrence a stream of its own: other entries, and earlier occurrences, do not shift it.
SeededRng chanceOf(const FaultsConfig& config, const char* use, int entry, std::uint64_t n) {
  const std::uint64_t seed =
      config.has_seed() ? static_cast<std::uint64_t>(config.seed()) : kDefaultSeed;
  return {seed, std::string(use) + "/" + std::to_string(entry) + "/" + std::to_string(n)};
}

}  // namespace

std::vector<Cause> faultsOfEntry(const FaultConfig& entry, const NodeLabels& nodes,
                                 const std::string& path) {
  std::vector<Cause> causes = faultsOfFault(entry, nodes, path);
  const auto at = parseDuration(entry.at());
  if (!entry.has_at()) {
    causes.push_back({"FieldValueRequired", path + "at",
                      "Required value: when, from the lab's start, such as 30s"});
  } else if (!at || *at < Duration(0) || *at > kLongestLease) {
    causes.push_back(
        invalidField(path + "at", entry.at(), "must be a duration such as 30s, at most 8760h"));
  }
  const auto every = parseSpan(entry.every());
  if (entry.has_every() && (!every || *every < kShortestPeriod))
    causes.push_back(invalidField(path + "every", entry.every(),
                                  "must be a duration such as 2m, from 100ms to 8760h"));
  if (entry.has_times() && entry.times() < 1)
    causes.push_back(
        invalidField(path + "times", std::to_string(entry.times()), "must be at least 1"));
  if (entry.has_times() && !entry.has_every())
    causes.push_back({"FieldValueRequired", path + "every",
                      "Required value: times needs it: how much later each is"});
  if (entry.has_spread() && !parseSpan(entry.spread()))
    causes.push_back(invalidField(path + "spread", entry.spread(),
                                  "must be a duration such as 10s, above 0 and at most 8760h"));
  if (!entry.has_pick()) return causes;
  if (entry.pick() < 1)
    causes.push_back(
        invalidField(path + "pick", std::to_string(entry.pick()), "must be at least 1"));
  if (!entry.has_nodes())
    causes.push_back({"FieldValueForbidden", path + "pick",
                      "Forbidden: it picks of nodes, and there are none here"});
  if (const auto of = nodesOf(entry.nodes(), nodes);
      of && entry.pick() > static_cast<int>(of->size()))
    causes.push_back(invalidField(path + "pick", std::to_string(entry.pick()),
                                  "nodes are only " + std::to_string(of->size())));
  return causes;
}

std::vector<Cause> faultsOfTimeline(const FaultsConfig& config, const NodeLabels& nodes) {
  std::vector<Cause> causes;
  for (int i = 0; i < config.timeline_size(); ++i) {
    auto more =
        faultsOfEntry(config.timeline(i), nodes, "faults.timeline[" + std::to_string(i) + "].");
    causes.insert(causes.end(), more.begin(), more.end());
  }
  return causes;
}

std::optional<Duration> FaultTimeline::timeOf(int entry, std::uint64_t n) const {
  const FaultConfig& fault = config_.timeline(entry);
  const auto every = parseDuration(fault.every()).value_or(Duration(0));
  const std::uint64_t times = !fault.has_every()  ? 1
                              : fault.has_times() ? static_cast<std::uint64_t>(fault.times())
                                                  : ~std::uint64_t{0};
  if (n >= times) return std::nullopt;
  Duration time = parseDuration(fault.at()).value_or(Duration(0));
  if (n > 0 && n > static_cast<std::uint64_t>((Duration::max() - 2 * kLongestLease) / every))
    return std::nullopt;
  time += static_cast<Duration::rep>(n) * every;
  if (const auto spread = parseDuration(fault.spread())) {
    auto chance = chanceOf(config_, "time", entry, n);
    time += Duration(
        static_cast<Duration::rep>(chance.below(static_cast<std::uint64_t>(spread->count()) + 1)));
  }
  return time;
}

Result<FaultConfig> FaultTimeline::faultOf(int entry, std::uint64_t n,
                                           const NodeLabels& nodes) const {
  FaultConfig fault = config_.timeline(entry);
  if (fault.has_pick()) {
    auto found = nodesOf(fault.nodes(), nodes);
    if (!found) return found.status();
    std::vector<std::string> of(found->begin(), found->end());
    auto chance = chanceOf(config_, "nodes", entry, n);
    std::string picked;
    for (int i = 0; i < fault.pick() && !of.empty(); ++i) {
      const auto at = of.begin() + static_cast<std::ptrdiff_t>(chance.below(of.size()));
      picked += (picked.empty() ? "" : ",") + *at;
      of.erase(at);
    }
    fault.set_nodes(picked);
  }
  fault.clear_at();
  fault.clear_every();
  fault.clear_times();
  fault.clear_spread();
  fault.clear_pick();
  return fault;
}

}  // namespace podlab::lab
