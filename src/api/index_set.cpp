#include "api/index_set.hpp"

#include <algorithm>
#include <charconv>

#include "api/field_errors.hpp"

namespace podlab::api {
namespace {

Result<std::int32_t> parseIndex(std::string_view text, std::int32_t end) {
  std::int32_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size() || value < 0) {
    return Status(Code::kInvalid, "cannot convert string to integer for index: " + quoted(text));
  }
  if (value >= end) return Status(Code::kInvalid, "too large index: " + quoted(text));
  return value;
}

}  // namespace

Result<IndexSet> IndexSet::parse(std::string_view text, std::int32_t end) {
  IndexSet made;
  std::int32_t previous = -1;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const bool isLast = comma == std::string_view::npos;
    text.remove_prefix(isLast ? text.size() : comma + 1);
    if (!isLast && text.empty()) return parseIndex("", end).status();

    const std::size_t dash = part.find('-');
    const std::string_view upper = dash == std::string_view::npos ? part : part.substr(dash + 1);
    if (upper.find('-') != std::string_view::npos) {
      return Status(Code::kInvalid, "the fragment " + quoted(part) +
                                        " violates the requirement that an index interval can "
                                        "have at most two parts separated by '-'");
    }
    const auto first = parseIndex(part.substr(0, dash), end);
    if (!first) return first.status();
    const auto last = parseIndex(upper, end);
    if (!last) return last.status();
    const bool isInterval = dash != std::string_view::npos;
    if (*first <= previous || (isInterval && *last <= *first)) {
      const std::int32_t before = *first <= previous ? previous : *first;
      const std::int32_t now = *first <= previous ? *first : *last;
      return Status(Code::kInvalid, "non-increasing order, previous: " + std::to_string(before) +
                                        ", current: " + std::to_string(now));
    }
    if (!made.intervals_.empty() && made.intervals_.back().last + 1 == *first) {
      made.intervals_.back().last = *last;
    } else {
      made.intervals_.push_back({*first, *last});
    }
    previous = *last;
  }
  return made;
}

bool IndexSet::contains(std::int32_t index) const {
  const auto after = std::ranges::upper_bound(intervals_, index, {}, &Interval::first);
  return after != intervals_.begin() && std::prev(after)->last >= index;
}

void IndexSet::insert(std::int32_t index) {
  if (contains(index)) return;
  auto next = std::ranges::upper_bound(intervals_, index, {}, &Interval::first);
  const bool joinsNext = next != intervals_.end() && next->first == index + 1;
  if (next != intervals_.begin() && std::prev(next)->last + 1 == index) {
    auto before = std::prev(next);
    before->last = joinsNext ? next->last : index;
    if (joinsNext) intervals_.erase(next);
  } else if (joinsNext) {
    next->first = index;
  } else {
    intervals_.insert(next, {index, index});
  }
}

void IndexSet::insert(const IndexSet& other) {
  std::vector<Interval> all;
  std::ranges::merge(intervals_, other.intervals_, std::back_inserter(all), {}, &Interval::first,
                     &Interval::first);
  intervals_.clear();
  for (const Interval& each : all) {
    if (!intervals_.empty() && each.first <= intervals_.back().last + 1) {
      intervals_.back().last = std::max(intervals_.back().last, each.last);
    } else {
      intervals_.push_back(each);
    }
  }
}

std::int32_t IndexSet::size() const {
  std::int32_t total = 0;
  for (const Interval& each : intervals_) total += each.last - each.first + 1;
  return total;
}

std::int32_t IndexSet::sharedWith(const IndexSet& other) const {
  std::int32_t total = 0;
  auto theirs = other.intervals_.begin();
  for (const Interval& mine : intervals_) {
    while (theirs != other.intervals_.end() && theirs->last < mine.first) ++theirs;
    for (auto each = theirs; each != other.intervals_.end() && each->first <= mine.last; ++each) {
      total += std::min(mine.last, each->last) - std::max(mine.first, each->first) + 1;
    }
  }
  return total;
}

void IndexSet::truncate(std::int32_t end) {
  while (!intervals_.empty() && intervals_.back().first >= end) intervals_.pop_back();
  if (!intervals_.empty()) intervals_.back().last = std::min(intervals_.back().last, end - 1);
}

std::vector<std::int32_t> IndexSet::firstMissing(std::size_t count, std::int32_t end) const {
  std::vector<std::int32_t> missing;
  std::int32_t next = 0;
  const auto addUntil = [&](std::int32_t bound) {
    for (; next < bound && missing.size() < count; ++next) missing.push_back(next);
  };
  for (const Interval& each : intervals_) {
    addUntil(std::min(each.first, end));
    next = std::max(next, each.last + 1);
  }
  addUntil(end);
  return missing;
}

std::string IndexSet::toString() const {
  std::string text;
  for (const Interval& each : intervals_) {
    if (!text.empty()) text += ',';
    text += std::to_string(each.first);
    if (each.last == each.first) continue;
    // Two neighbours are two numbers, as upstream writes them.
    text += each.last == each.first + 1 ? ',' : '-';
    text += std::to_string(each.last);
  }
  return text;
}

}  // namespace podlab::api
