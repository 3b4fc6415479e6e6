#include "scheduler/node_grid.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace podlab::scheduler {
namespace {

/// Regions a side of a profile's grid, and cells a side of a region. Scores are whole: a cell much
/// narrower than one point is seldom looked into in vain.
constexpr std::uint32_t kRegions = 16;
constexpr std::uint32_t kCells = 16;
/// Above the rounding of what a bound is made of, and far below what tells two shares apart.
constexpr double kSlack = 1e-9;

double share(std::int64_t used, std::int64_t capacity) {
  return capacity <= 0 ? 0 : static_cast<double>(used) / static_cast<double>(capacity);
}

std::uint32_t gridLine(double used) {
  constexpr std::uint32_t kLines = kRegions * kCells;
  const double line = used * kLines;
  return line >= kLines ? kLines - 1 : static_cast<std::uint32_t>(line);
}

/// The least and the most of a share among some nodes; wider than that once nodes have left.
struct Extent {
  double low = 2, high = -1;
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// The shares in use of some nodes.
struct Box {
  Extent scoredCpu, scoredMemory, cpu, memory;
};

}  // namespace

struct NodeGrid::Profile::Cell {
  std::uint32_t at = 0;  ///< in the region
  Box box;
  std::vector<std::uint32_t> slots;
};

struct NodeGrid::Profile::Region {
  std::uint32_t at = 0;
  Box box;
  std::vector<Cell> cells;                           ///< those with nodes in them
  std::array<std::int16_t, kCells * kCells> cellAt;  ///< in `cells`; -1: none

  Region() { cellAt.fill(-1); }
  /// Made when there is none.
  Cell& cellOf(std::uint32_t place) {
    if (cellAt[place] < 0) {
      cellAt[place] = static_cast<std::int16_t>(cells.size());
      cells.emplace_back().at = place;
    }
    return cells[static_cast<std::size_t>(cellAt[place])];
  }
  void drop(Cell& cell) {
    const std::int16_t hole = std::exchange(cellAt[cell.at], -1);
    if (&cell != &cells.back()) {
      cell = std::move(cells.back());
      cellAt[cell.at] = hole;
    }
    cells.pop_back();
  }
};

NodeGrid::Profile::Region& NodeGrid::Profile::regionOf(std::uint32_t place) {
  const auto [entry, isNew] =
      regionAt_.try_emplace(place, static_cast<std::uint32_t>(regions_.size()));
  if (isNew) regions_.emplace_back().at = place;
  return regions_[entry->second];
}

void NodeGrid::Profile::drop(Region& region) {
  const auto entry = regionAt_.find(region.at);
  const std::uint32_t hole = entry->second;
  regionAt_.erase(entry);
  if (&region != &regions_.back()) {
    region = std::move(regions_.back());
    regionAt_[region.at] = hole;
  }
  regions_.pop_back();
}

/// How well a pod could do at best in a box.
class NodeGrid::Bound {
 public:
  Bound(const PodShape& pod, const Resources& capacity, ResourceScoring resources)
      : hasCpu_(capacity.cpuMilli > 0),
        hasMemory_(capacity.memoryBytes > 0),
        isLeast_(resources == ResourceScoring::kLeastAllocated),
        isBalanced_(!pod.requestsNothing),
        scoredCpu_(share(pod.scoredCpuMilli, capacity.cpuMilli)),
        scoredMemory_(share(pod.scoredMemoryBytes, capacity.memoryBytes)),
        cpu_(share(pod.requests.cpuMilli, capacity.cpuMilli)),
        memory_(share(pod.requests.memoryBytes, capacity.memoryBytes)) {}

  std::int64_t of(const Box& box) const {
    std::int64_t sum = 0;
    if (hasCpu_) sum += points(box.scoredCpu, scoredCpu_);
    if (hasMemory_) sum += points(box.scoredMemory, scoredMemory_);
    const std::int64_t fit = hasCpu_ && hasMemory_ ? sum / 2 : sum;
    if (!isBalanced_) return fit;
    if (!hasCpu_ || !hasMemory_) return fit + 100;
    const double gap =
        std::max({0.0, std::min(1.0, box.cpu.low + cpu_) - std::min(1.0, box.memory.high + memory_),
                  std::min(1.0, box.memory.low + memory_) - std::min(1.0, box.cpu.high + cpu_)});
    return fit + floored(1 - gap / 2);
  }

 private:
  static std::int64_t floored(double part) {
    return static_cast<std::int64_t>(100 * (part + kSlack));
  }
  std::int64_t points(const Extent& extent, double wanted) const {
    return floored(isLeast_ ? std::max(0.0, 1 - extent.low - wanted)
                            : std::min(1.0, extent.high + wanted));
  }

  bool hasCpu_, hasMemory_, isLeast_, isBalanced_;
  double scoredCpu_, scoredMemory_, cpu_, memory_;
};

NodeGrid::NodeGrid(const Snapshot& snapshot) : snapshot_(snapshot) {}
NodeGrid::~NodeGrid() = default;

void NodeGrid::setLabels(std::set<std::string> labels) {
  labels_ = std::move(labels);
  nodes_.clear();
  profiles_.clear();
  profileByKey_.clear();
  for (Snapshot::Slot slot = 0; slot < snapshot_.slots(); ++slot) updateNode(slot);
}

std::string NodeGrid::profileKey(const NodeInfo& info) const {
  const corev1::Node& node = *info.node();
  corev1::Node part;
  auto& spec = *part.mutable_spec();
  if (node.spec().unschedulable()) spec.set_unschedulable(true);
  *spec.mutable_taints() = node.spec().taints();
  *part.mutable_status()->mutable_images() = node.status().images();
  std::string key = part.SerializeAsString();
  for (const auto& label : labels_) {
    const std::string* value = info.label(label);
    key += value == nullptr ? "-" : std::to_string(value->size()) + ':' + *value;
  }
  const auto& allocatable = info.allocatable();
  key += ' ' + std::to_string(allocatable.cpuMilli);
  key += ' ' + std::to_string(allocatable.memoryBytes);
  key += ' ' + std::to_string(info.allocatablePods());
  for (const auto& [name, amount] : allocatable.others)
    key += ' ' + name + ' ' + std::to_string(amount);
  return key;
}

bool NodeGrid::updateNode(Snapshot::Slot slot) {
  if (slot >= nodes_.size()) nodes_.resize(slot + 1);
  ProfileId profile = kNoProfile;
  if (slot < snapshot_.slots() && snapshot_.at(slot).node() != nullptr) {
    const NodeInfo& info = snapshot_.at(slot);
    const auto [known, isNew] =
        profileByKey_.try_emplace(profileKey(info), static_cast<ProfileId>(profiles_.size()));
    if (isNew) profiles_.emplace_back().sample_.setNode(info.nodePtr());
    profile = known->second;
  }
  const bool isOther = profile != nodes_[slot].profile;
  leave(slot);
  enter(slot, profile);
  return isOther;
}

void NodeGrid::updateUse(Snapshot::Slot slot) {
  const ProfileId profile = nodes_[slot].profile;
  if (profile == kNoProfile) return;
  leave(slot);
  enter(slot, profile);
}

void NodeGrid::enter(Snapshot::Slot slot, ProfileId profileId) {
  Node& node = nodes_[slot];
  node.profile = profileId;
  if (profileId == kNoProfile) return;
  Profile& profile = profiles_[profileId];
  ++profile.nodes_;
  const NodeInfo& info = snapshot_.at(slot);
  const Resources& capacity = profile.sample_.allocatable();
  node.cpu = info.requested().cpuMilli;
  node.memory = info.requested().memoryBytes;
  node.scoredCpu = info.scoredCpuMilli();
  node.scoredMemory = info.scoredMemoryBytes();
  node.pods = static_cast<std::int64_t>(info.pods().size());
  node.allCpu = capacity.cpuMilli;
  node.allMemory = capacity.memoryBytes;
  node.allPods = profile.sample_.allocatablePods();

  const double scoredCpu = share(node.scoredCpu, node.allCpu);
  const double scoredMemory = share(node.scoredMemory, node.allMemory);
  const double cpu = share(node.cpu, node.allCpu);
  const double memory = share(node.memory, node.allMemory);
  const std::uint32_t cpuLine = gridLine(scoredCpu), memoryLine = gridLine(scoredMemory);
  auto& region = profile.regionOf(cpuLine / kCells * kRegions + memoryLine / kCells);
  auto& cell = region.cellOf(cpuLine % kCells * kCells + memoryLine % kCells);
  for (Box* box : {&region.box, &cell.box}) {
    box->scoredCpu.take(scoredCpu);
    box->scoredMemory.take(scoredMemory);
    box->cpu.take(cpu);
    box->memory.take(memory);
  }
  node.region = region.at;
  node.cell = cell.at;
  node.placeInCell = static_cast<std::uint32_t>(cell.slots.size());
  cell.slots.push_back(static_cast<std::uint32_t>(slot));
}

void NodeGrid::leave(Snapshot::Slot slot) {
  Node& node = nodes_[slot];
  if (node.profile == kNoProfile) return;
  Profile& profile = profiles_[node.profile];
  --profile.nodes_;
  auto& region = profile.regionOf(node.region);
  auto& cell = region.cellOf(node.cell);
  cell.slots[node.placeInCell] = cell.slots.back();
  nodes_[cell.slots[node.placeInCell]].placeInCell = node.placeInCell;
  cell.slots.pop_back();
  if (cell.slots.empty()) region.drop(cell);
  if (region.cells.empty()) profile.drop(region);
  node.profile = kNoProfile;
}

bool NodeGrid::fits(const PodShape& pod, const Node& node, Snapshot::Slot slot) const {
  const auto lacks = [](std::int64_t wanted, std::int64_t room, std::int64_t used) {
    return wanted > 0 && wanted > room - used;
  };
  if (node.pods + 1 > node.allPods || lacks(pod.requests.cpuMilli, node.allCpu, node.cpu) ||
      lacks(pod.requests.memoryBytes, node.allMemory, node.memory))
    return false;
  if (pod.requests.others.empty()) return true;
  const auto amountOf = [](const auto& amounts, const std::string& name) {
    const auto found = amounts.find(name);
    return found == amounts.end() ? 0 : found->second;
  };
  const NodeInfo& info = snapshot_.at(slot);
  return std::ranges::none_of(pod.requests.others, [&](const auto& wanted) {
    return lacks(wanted.second, amountOf(info.allocatable().others, wanted.first),
                 amountOf(info.requested().others, wanted.first));
  });
}

bool NodeGrid::fits(const PodShape& pod, Snapshot::Slot slot) const {
  return fits(pod, nodes_[slot], slot);
}

bool NodeGrid::anyFits(const PodShape& pod, ProfileId profile) const {
  return std::ranges::any_of(profiles_[profile].regions_, [&](const auto& region) {
    return std::ranges::any_of(region.cells, [&](const auto& cell) {
      return std::ranges::any_of(cell.slots, [&](std::uint32_t slot) { return fits(pod, slot); });
    });
  });
}

std::int64_t NodeGrid::useScore(const PodShape& pod, const Node& node, ResourceScoring resources) {
  const ResourceUse scoredCpu{node.allCpu, node.scoredCpu + pod.scoredCpuMilli};
  const ResourceUse scoredMemory{node.allMemory, node.scoredMemory + pod.scoredMemoryBytes};
  const std::int64_t fit = resources == ResourceScoring::kLeastAllocated
                               ? leastAllocated(scoredCpu, scoredMemory)
                               : mostAllocated(scoredCpu, scoredMemory);
  if (pod.requestsNothing) return fit;
  return fit + balancedAllocation({node.allCpu, node.cpu + pod.requests.cpuMilli},
                                  {node.allMemory, node.memory + pod.requests.memoryBytes});
}

std::int64_t NodeGrid::useScore(const PodShape& pod, Snapshot::Slot slot,
                                ResourceScoring resources) const {
  return useScore(pod, nodes_[slot], resources);
}

void NodeGrid::search(const PodShape& pod, const Profile::Cell& cell, std::int64_t reach,
                      ResourceScoring resources, std::int64_t base, const NodeBits* among,
                      BestNode& best) const {
  for (const std::uint32_t slot : cell.slots) {
    // Where no more than a tie is possible, the order decides first.
    if (reach <= best.score && (reach < best.score || !best.winsTie(slot))) continue;
    if (among != nullptr && !among->contains(slot)) continue;
    const Node& node = nodes_[slot];
    if (fits(pod, node, slot)) best.consider(base + useScore(pod, node, resources), slot);
  }
}

void NodeGrid::findBest(const PodShape& pod, ProfileId profileId, ResourceScoring resources,
                        std::int64_t base, const NodeBits* among, BestNode& best) const {
  const Profile& profile = profiles_[profileId];
  const Bound bound(pod, profile.sample_.allocatable(), resources);
  const Profile::Region* highest = nullptr;
  std::int64_t highestReach = -1;
  for (const auto& region : profile.regions_) {
    const std::int64_t reach = base + bound.of(region.box);
    if (reach <= highestReach) continue;
    highestReach = reach;
    highest = &region;
  }
  if (highest == nullptr || highestReach < best.score) return;
  const auto searchRegion = [&](const Profile::Region& region) {
    std::array<std::int64_t, kCells * kCells> reach;
    std::size_t first = 0;
    for (std::size_t i = 0; i < region.cells.size(); ++i) {
      reach[i] = base + bound.of(region.cells[i].box);
      if (reach[i] > reach[first]) first = i;
    }
    search(pod, region.cells[first], reach[first], resources, base, among, best);
    for (std::size_t i = 0; i < region.cells.size(); ++i) {
      if (i != first && reach[i] >= best.score)
        search(pod, region.cells[i], reach[i], resources, base, among, best);
    }
  };
  // The most promising ones first: what they hold rules out most of the others.
  searchRegion(*highest);
  for (const auto& region : profile.regions_) {
    if (&region != highest && base + bound.of(region.box) >= best.score) searchRegion(region);
  }
}

}  // namespace podlab::scheduler
