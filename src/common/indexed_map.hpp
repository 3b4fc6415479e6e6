#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace podlab {

/// A hash map by strings that can be read in the order of its keys, too. The order is made when
/// somebody reads it, from the last one and what has changed since: a tree of many keys that begin
/// alike costs two cache misses for each of its levels at every change. Entries stay where they are
/// until they are erased. All use, reading included, is from one thread.
template <typename Value>
class IndexedMap {
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const {
      return std::hash<std::string_view>()(key);
    }
  };
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

 public:
  using Entry = typename Map::value_type;  ///< a pair of the key and the value
  /// Until the next change of the map.
  using Entries = std::span<Entry* const>;

  IndexedMap() = default;
  IndexedMap(IndexedMap&& other) noexcept { *this = std::move(other); }
  IndexedMap& operator=(IndexedMap&& other) noexcept {
    map_ = std::exchange(other.map_, {});
    order_ = std::exchange(other.order_, {});
    sorted_ = std::exchange(other.sorted_, 0);
    gone_ = std::exchange(other.gone_, {});
    return *this;
  }
  ~IndexedMap() = default;
  IndexedMap(const IndexedMap&) = delete;  // the order would be that of the other
  IndexedMap& operator=(const IndexedMap&) = delete;

  std::size_t size() const { return map_.size(); }
  bool empty() const { return map_.empty(); }
  bool contains(std::string_view key) const { return map_.contains(key); }

  /// The value of the key; nullptr when there is none.
  Value* find(std::string_view key) {
    const auto found = map_.find(key);
    return found == map_.end() ? nullptr : &found->second;
  }
  const Value* find(std::string_view key) const {
    const auto found = map_.find(key);
    return found == map_.end() ? nullptr : &found->second;
  }

  /// The value of the key, made of `args` when there is none, and whether it was made.
  template <typename... Args>
  std::pair<Value&, bool> try_emplace(std::string key, Args&&... args) {
    const auto [at, made] = map_.try_emplace(std::move(key), std::forward<Args>(args)...);
    if (made) order_.push_back(&*at);
    return {at->second, made};
  }
  Value& operator[](std::string key) { return try_emplace(std::move(key)).first; }

  /// Whether there was one.
  bool erase(std::string_view key) {
    const auto found = map_.find(key);
    if (found == map_.end()) return false;
    Entry* const entry = &*found;
    gone_.emplace_back(entry, map_.extract(found));
    entry->second = Value();
    if (gone_.size() > map_.size() + kFewGone) forgetGone();
    return true;
  }

  /// In no order; the map may not change meanwhile.
  Map& entries() { return map_; }
  /// In the order of keys.
  Entries inOrder() const {
    sort();
    return order_;
  }
  /// In the order of keys, those from `first` on and before `end`.
  Entries between(std::string_view first, std::string_view end) const {
    const auto from = lowerBound(first);
    return {from, std::max(from, lowerBound(end))};
  }
  /// In the order of keys, those that begin with `prefix`.
  Entries withPrefix(std::string_view prefix) const {
    const auto from = lowerBound(prefix);
    return {from, std::partition_point(from, order_.end(), [prefix](const Entry* entry) {
              return entry->first.starts_with(prefix);
            })};
  }
  /// A copy of their keys: what outlives changes of the map.
  static std::vector<std::string> keysOf(Entries entries) {
    std::vector<std::string> keys;
    keys.reserve(entries.size());
    for (const Entry* entry : entries) keys.push_back(entry->first);
    return keys;
  }

 private:
  using Gone = std::pair<Entry*, typename Map::node_type>;
  static constexpr std::size_t kFewGone = 16;

  static bool isBefore(const Entry* a, const Entry* b) { return a->first < b->first; }

  auto lowerBound(std::string_view key) const {
    sort();
    return std::partition_point(order_.begin(), order_.end(),
                                [key](const Entry* entry) { return entry->first < key; });
  }

  /// Takes the entries that were erased out of the order, and lets them go.
  void forgetGone() const {
    std::ranges::sort(gone_, {}, &Gone::first);
    const auto isGone = [this](Entry* entry) {
      return std::ranges::binary_search(gone_, entry, {}, &Gone::first);
    };
    const auto fresh = order_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    order_.erase(std::remove_if(fresh, order_.end(), isGone), order_.end());
    const auto sorted = std::remove_if(order_.begin(), fresh, isGone);
    order_.erase(sorted, fresh);
    sorted_ = static_cast<std::size_t>(sorted - order_.begin());
    gone_.clear();
  }

  void sort() const {
    if (!gone_.empty()) forgetGone();
    if (sorted_ == order_.size()) return;
    // Few find their places among many, and those move as blocks.
    const auto begin = order_.begin();
    auto end = begin + static_cast<std::ptrdiff_t>(sorted_);
    std::vector<Entry*> fresh(end, order_.end());
    std::ranges::sort(fresh, isBefore);
    while (!fresh.empty()) {
      const auto at = std::upper_bound(begin, end, fresh.back(), isBefore);
      std::move_backward(at, end, end + std::ssize(fresh));
      end = at;
      *(end + std::ssize(fresh) - 1) = fresh.back();
      fresh.pop_back();
    }
    sorted_ = order_.size();
  }

  Map map_;
  mutable std::vector<Entry*> order_;  ///< the first sorted_ in order, then the fresh; gone_ too
  mutable std::size_t sorted_ = 0;
  mutable std::vector<Gone> gone_;  ///< erased, and still in order_
};

}  // namespace podlab
