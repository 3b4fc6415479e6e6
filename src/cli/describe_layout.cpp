#include "cli/describe_layout.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "api/selectors.hpp"
#include "api/times.hpp"

namespace podlab::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLongAnnotation = 140;
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/// Characters, not bytes: UTF-8 continuation bytes take no room.
std::size_t widthOf(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Consecutive lines with more cells than `column + 1` share that column's width; the columns
/// behind it are laid out within these lines.
void pad(std::vector<std::vector<std::string>>& lines, std::size_t from, std::size_t to,
         std::size_t column) {
  while (from < to) {
    if (lines[from].size() < column + 2) {
      ++from;
      continue;
    }
    std::size_t end = from;
    std::size_t width = 0;
    for (; end < to && lines[end].size() >= column + 2; ++end)
      width = std::max(width, widthOf(lines[end][column]));
    for (std::size_t i = from; i < end; ++i)
      lines[i][column].append(width + kGap - widthOf(lines[i][column]), ' ');
    pad(lines, from, end, column + 1);
    from = end;
  }
}

/// Also the empty ones.
std::vector<std::string> linesOf(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

const std::string& sourceOf(const corev1::Event& event) {
  return event.source().component().empty() ? event.reportingcomponent()
                                            : event.source().component();
}

}  // namespace

void Description::line(int level, std::vector<std::string> cells) {
  cells.front().insert(0, static_cast<std::size_t>(level) * 2, ' ');
  lines_.push_back(std::move(cells));
}

void Description::field(int level, const std::string& key, const std::string& value) {
  const auto parts = linesOf(value);
  line(level, {key + ":", parts.front()});
  for (std::size_t i = 1; i < parts.size(); ++i) line(level, {"", parts[i]});
}

void Description::plain(int level, const std::string& key, const std::string& value) {
  const auto parts = linesOf(value);
  line(level, {key + ":", parts.front()});
  for (std::size_t i = 1; i < parts.size(); ++i) line(0, {parts[i]});
}

void Description::pairs(int level, const std::string& key, const Pairs& values) {
  std::string text;
  for (const auto& [name, value] : sorted(values))
    text += (text.empty() ? "" : "\n") + name + "=" + value;
  field(level, key, orNone(text));
}

void Description::annotations(int level, const std::string& key, const Pairs& values) {
  std::vector<std::string> shown;
  for (const auto& [name, whole] : sorted(values)) {
    if (name == kLastApplied) continue;
    const std::string value = whole.substr(0, whole.size() - (whole.ends_with('\n') ? 1 : 0));
    if (name.size() + value.size() + 2 <= kLongAnnotation &&
        value.find('\n') == std::string::npos) {
      shown.push_back(name + ": " + value);
      continue;
    }
    shown.push_back(name + ":");
    for (const auto& part : linesOf(value)) {
      constexpr std::size_t kRoom = kLongAnnotation - 2;
      shown.push_back("  " + (part.size() > kRoom ? part.substr(0, kRoom) + "..." : part));
    }
  }
  line(level, {key + ":", shown.empty() ? "<none>" : shown.front()});
  for (std::size_t i = 1; i < shown.size(); ++i) line(level, {"", shown[i]});
}

void Description::identity(const metav1::ObjectMeta& meta, bool namespaced) {
  field(0, "Name", meta.name());
  if (namespaced) field(0, "Namespace", meta.namespace_());
  pairs(0, "Labels", meta.labels());
  annotations(0, "Annotations", meta.annotations());
}

void Description::header(int level, std::vector<std::string> names) {
  std::vector<std::string> underlines;
  for (const auto& name : names) underlines.emplace_back(name.size(), '-');
  line(level, std::move(names));
  line(level, std::move(underlines));
}

void Description::events(Events events, WallTime now) {
  if (events.empty()) {
    field(0, "Events", "<none>");
    return;
  }
  sortEvents(events);
  line(0, {"Events:"});
  line(1, {"Type", "Reason", "Age", "From", "Message"});
  line(1, {"----", "------", "----", "----", "-------"});
  for (const auto& event : events) {
    const auto& part = event->involvedobject().fieldpath();
    line(1, {event->type(), event->reason(), eventAge(*event, now), sourceOf(*event),
             (part.empty() ? "" : part + ": ") + eventMessage(*event)});
  }
}

std::string Description::text() const {
  auto lines = lines_;
  pad(lines, 0, lines.size(), 0);
  std::string out;
  for (const auto& cells : lines) {
    for (const auto& cell : cells) out += cell;
    out += '\n';
  }
  return out;
}

std::string pairsText(const Pairs& values) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : sorted(values)) texts.push_back(name + "=" + value);
  return orNone(joined(texts, ","));
}

std::string selectorText(const metav1::LabelSelector& selector) {
  const auto parsed = api::LabelSelector::of(selector);
  return parsed ? orNone(parsed->toString()) : "<error>";
}

std::string formatDate(WallTime time) {
  constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d +0000",
                kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

std::string formatDate(const metav1::Time& time) {
  return api::isSet(time) ? formatDate(api::toWallTime(time)) : "";
}

}  // namespace podlab::cli
