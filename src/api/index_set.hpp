#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab::api {

/// Completion indexes of a Job as its status writes them: "1,3-5,7". Millions of indexes that lie
/// beside each other are one interval.
class IndexSet {
 public:
  struct Interval {
    std::int32_t first = 0;
    std::int32_t last = 0;  ///< inclusive
    bool operator==(const Interval&) const = default;
  };

  IndexSet() = default;
  /// Ascending, without overlaps, all below `end`. kInvalid says what is wrong, in upstream's words
  /// (pkg/apis/batch/validation).
  static Result<IndexSet> parse(std::string_view text, std::int32_t end);

  bool contains(std::int32_t index) const;
  void insert(std::int32_t index);
  void insert(const IndexSet& other);
  /// How many indexes.
  std::int32_t size() const;
  bool empty() const { return intervals_.empty(); }
  const std::vector<Interval>& intervals() const { return intervals_; }
  /// How many are also in `other`.
  std::int32_t sharedWith(const IndexSet& other) const;
  /// Without those from `end` on.
  void truncate(std::int32_t end);
  /// The first `count` indexes below `end` that are not in the set, ascending.
  std::vector<std::int32_t> firstMissing(std::size_t count, std::int32_t end) const;
  std::string toString() const;
  bool operator==(const IndexSet&) const = default;

 private:
  std::vector<Interval> intervals_;  ///< ascending, with gaps between them
};

}  // namespace podlab::api
