#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace podlab {

/// A std::map by strings, with the same names, in which a key is found by its hash: a tree of many
/// keys that begin alike is slow to search. Iterators live as those of std::map.
template <typename Value>
class IndexedMap {
  using Map = std::map<std::string, Value, std::less<>>;

 public:
  using iterator = typename Map::iterator;
  using const_iterator = typename Map::const_iterator;
  using value_type = typename Map::value_type;

  IndexedMap() = default;
  IndexedMap(IndexedMap&&) noexcept = default;
  IndexedMap& operator=(IndexedMap&&) noexcept = default;
  ~IndexedMap() = default;
  IndexedMap(const IndexedMap&) = delete;  // the index would be that of the other
  IndexedMap& operator=(const IndexedMap&) = delete;

  iterator begin() { return map_.begin(); }
  iterator end() { return map_.end(); }
  const_iterator begin() const { return map_.begin(); }
  const_iterator end() const { return map_.end(); }
  std::size_t size() const { return map_.size(); }
  bool empty() const { return map_.empty(); }

  iterator find(std::string_view key) {
    const auto found = index_.find(key);
    return found == index_.end() ? map_.end() : found->second;
  }
  const_iterator find(std::string_view key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? map_.end() : const_iterator(found->second);
  }
  const_iterator lower_bound(std::string_view key) const { return map_.lower_bound(key); }
  const_iterator upper_bound(std::string_view key) const { return map_.upper_bound(key); }

  template <typename... Args>
  std::pair<iterator, bool> try_emplace(std::string key, Args&&... args) {
    const auto found = index_.find(key);
    if (found != index_.end()) return {found->second, false};
    const auto made = map_.try_emplace(std::move(key), std::forward<Args>(args)...).first;
    index_.emplace(made->first, made);
    return {made, true};
  }
  Value& operator[](std::string key) { return try_emplace(std::move(key)).first->second; }

  iterator erase(const_iterator at) {
    index_.erase(at->first);
    return map_.erase(at);
  }
  std::size_t erase(std::string_view key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return 0;
    const iterator at = found->second;
    index_.erase(found);
    map_.erase(at);
    return 1;
  }
  void clear() {
    index_.clear();
    map_.clear();
  }

 private:
  Map map_;
  std::unordered_map<std::string_view, iterator> index_;  ///< the keys are map_'s
};

}  // namespace podlab
