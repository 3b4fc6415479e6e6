#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace podlab::scheduler {

/// A set of slots as bits.
class NodeBits {
 public:
  void insert(std::size_t slot) {
    if (slot / 64 >= words_.size()) words_.resize(slot / 64 + 1);
    words_[slot / 64] |= bit(slot);
  }
  void erase(std::size_t slot) {
    if (slot / 64 < words_.size()) words_[slot / 64] &= ~bit(slot);
  }
  bool contains(std::size_t slot) const {
    return slot / 64 < words_.size() && (words_[slot / 64] & bit(slot)) != 0;
  }
  std::size_t words() const { return words_.size(); }
  std::uint64_t word(std::size_t i) const { return i < words_.size() ? words_[i] : 0; }
  /// Takes out the slots of which the predicate, asked of each in order, is false.
  template <class Predicate>
  void retain(Predicate predicate) {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t word = words_[i]; word != 0; word &= word - 1) {
        const std::size_t slot = i * 64 + static_cast<std::size_t>(std::countr_zero(word));
        if (!predicate(slot)) erase(slot);
      }
    }
  }

 private:
  static std::uint64_t bit(std::size_t slot) { return std::uint64_t{1} << (slot % 64); }
  std::vector<std::uint64_t> words_;
};

/// A set of slots: sorted while it is small, as most are, and bits from then on.
class NodeSet {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  void insert(std::size_t slot) {
    ++size_;
    if (isBits_) return bits_.insert(slot);
    const auto value = static_cast<std::uint32_t>(slot);
    few_.insert(std::ranges::lower_bound(few_, value), value);
    if (few_.size() <= kFew) return;
    for (const auto each : few_) bits_.insert(each);
    few_.clear();
    isBits_ = true;
  }
  void erase(std::size_t slot) {
    --size_;
    if (isBits_) {
      bits_.erase(slot);
      if (size_ == 0) *this = NodeSet();
      return;
    }
    few_.erase(std::ranges::lower_bound(few_, static_cast<std::uint32_t>(slot)));
  }
  std::size_t size() const { return size_; }

  /// The first at or after `cursor`, else the first of all, that is in `among` too (null: any);
  /// kNone when there is none.
  std::size_t firstFrom(std::size_t cursor, const NodeBits* among) const {
    const std::size_t found = firstIn(cursor, kNone, among);
    return found != kNone ? found : firstIn(0, cursor, among);
  }

 private:
  static constexpr std::size_t kFew = 24;

  /// In [begin, end).
  std::size_t firstIn(std::size_t begin, std::size_t end, const NodeBits* among) const {
    if (!isBits_) {
      for (auto at = std::ranges::lower_bound(few_, begin); at != few_.end() && *at < end; ++at) {
        if (among == nullptr || among->contains(*at)) return *at;
      }
      return kNone;
    }
    for (std::size_t i = begin / 64; i < bits_.words() && i * 64 < end; ++i) {
      std::uint64_t word = bits_.word(i);
      if (among != nullptr) word &= among->word(i);
      if (i == begin / 64) word &= ~std::uint64_t{0} << (begin % 64);
      if (word == 0) continue;
      const std::size_t slot = i * 64 + static_cast<std::size_t>(std::countr_zero(word));
      return slot < end ? slot : kNone;
    }
    return kNone;
  }

  std::vector<std::uint32_t> few_;
  NodeBits bits_;
  std::size_t size_ = 0;
  bool isBits_ = false;
};

}  // namespace podlab::scheduler
