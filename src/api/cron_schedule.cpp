#include "api/cron_schedule.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <span>
#include <string>
#include <vector>

#include "api/field_errors.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr days kHorizon{5 * 366};

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWeekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

constexpr std::pair<std::string_view, std::string_view> kDescriptors[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"}};

Status invalid(std::string message) {
  return {Code::kInvalid, std::move(message)};
}

std::string lower(std::string_view text) {
  std::string made(text);
  std::ranges::transform(made, made.begin(), [](unsigned char c) { return std::tolower(c); });
  return made;
}

std::vector<std::string_view> split(std::string_view text, auto isSeparator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && !isSeparator(static_cast<unsigned char>(text[i]))) continue;
    parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return parts;
}

std::vector<std::string_view> words(std::string_view text) {
  auto parts = split(text, [](unsigned char c) { return std::isspace(c) != 0; });
  std::erase_if(parts, [](std::string_view part) { return part.empty(); });
  return parts;
}

Result<unsigned> parseNumber(std::string_view text) {
  int value = 0;
  std::string_view digits = text;
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    const char* why =
        error == std::errc::result_out_of_range ? "value out of range" : "invalid syntax";
    return invalid("failed to parse int from " + std::string(text) + ": strconv.Atoi: parsing " +
                   quoted(text) + ": " + why);
  }
  if (value < 0) {
    return invalid("negative number (" + std::to_string(value) +
                   ") not allowed: " + std::string(text));
  }
  return static_cast<unsigned>(value);
}

}  // namespace

struct CronSchedule::Bounds {
  unsigned low;
  unsigned high;
  std::span<const std::string_view> names;  ///< of `low` and what follows

  Result<unsigned> number(std::string_view text) const {
    const auto named = std::ranges::find(names, lower(text));
    if (named != names.end()) return low + static_cast<unsigned>(named - names.begin());
    return parseNumber(text);
  }
};

// "*", "a", "a-b", each with "/step": "a/step" goes on to the end.
Status CronSchedule::addRange(std::string_view text, const Bounds& bounds, Field& field) {
  const auto isChar = [](unsigned char wanted) {
    return [wanted](unsigned char c) { return c == wanted; };
  };
  const auto rangeAndStep = split(text, isChar('/'));
  const auto range = split(rangeAndStep[0], isChar('-'));
  const std::string whole(text);
  unsigned first = bounds.low, last = bounds.high, step = 1;
  const bool any = range[0] == "*" || range[0] == "?";
  if (!any) {
    const auto from = bounds.number(range[0]);
    if (!from) return from.status();
    first = last = *from;
    if (range.size() > 2) return invalid("too many hyphens: " + whole);
    if (range.size() == 2) {
      const auto to = bounds.number(range[1]);
      if (!to) return to.status();
      last = *to;
    }
  }
  if (rangeAndStep.size() > 2) return invalid("too many slashes: " + whole);
  if (rangeAndStep.size() == 2) {
    const auto parsed = parseNumber(rangeAndStep[1]);
    if (!parsed) return parsed.status();
    step = *parsed;
    if (!any && range.size() == 1) last = bounds.high;
  }
  const auto text3 = [&](const char* a, unsigned x, const char* b, unsigned y) {
    return invalid(a + std::to_string(x) + b + std::to_string(y) + "): " + whole);
  };
  if (first < bounds.low) {
    return text3("beginning of range (", first, ") below minimum (", bounds.low);
  }
  if (last > bounds.high) return text3("end of range (", last, ") above maximum (", bounds.high);
  if (first > last) {
    return text3("beginning of range (", first, ") beyond end of range (", last);
  }
  if (step == 0) return invalid("step of range should be a positive number: " + whole);
  for (unsigned value = first; value <= last; value += step) {
    field.values |= std::uint64_t{1} << value;
  }
  field.any = field.any || (any && step == 1);
  return {};
}

Result<CronSchedule::Field> CronSchedule::parseField(std::string_view text, const Bounds& bounds) {
  Field field;
  for (const std::string_view part : split(text, [](unsigned char c) { return c == ','; })) {
    if (part.empty()) continue;
    if (Status bad = addRange(part, bounds, field); !bad) return bad;
  }
  return field;
}

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  CronSchedule made;
  if (text.empty()) return invalid("empty spec string");
  if (text.starts_with("@every ")) {
    const std::string_view delay = text.substr(7);
    const auto parsed = parseDuration(delay);
    if (!parsed) {
      return invalid("failed to parse duration " + std::string(text) + ": time: invalid duration " +
                     quoted(delay));
    }
    made.every_ = std::max(floor<seconds>(*parsed), seconds(1));
    return made;
  }
  if (text.starts_with('@')) {
    const auto found = std::ranges::find(kDescriptors, text, [](auto& each) { return each.first; });
    if (found == std::end(kDescriptors)) {
      return invalid("unrecognized descriptor: " + std::string(text));
    }
    return parse(found->second);
  }
  const auto fields = words(text);
  if (fields.size() != 5) {
    std::string list;
    for (const auto field : fields) list += (list.empty() ? "" : " ") + std::string(field);
    return invalid("expected exactly 5 fields, found " + std::to_string(fields.size()) + ": [" +
                   list + "]");
  }
  const std::pair<Field*, Bounds> targets[] = {{&made.minute_, {0, 59, {}}},
                                               {&made.hour_, {0, 23, {}}},
                                               {&made.dayOfMonth_, {1, 31, {}}},
                                               {&made.month_, {1, 12, kMonths}},
                                               {&made.dayOfWeek_, {0, 6, kWeekdays}}};
  for (std::size_t i = 0; i < 5; ++i) {
    auto field = parseField(fields[i], targets[i].second);
    if (!field) return field.status();
    *targets[i].first = *field;
  }
  return made;
}

bool CronSchedule::hasDay(sys_days day) const {
  const std::chrono::year_month_day date(day);
  if (!month_.has(unsigned(date.month()))) return false;
  const bool inMonth = dayOfMonth_.has(unsigned(date.day()));
  const bool inWeek = dayOfWeek_.has(std::chrono::weekday(day).c_encoding());
  const bool both = dayOfMonth_.any || dayOfWeek_.any;
  return both ? inMonth && inWeek : inMonth || inWeek;
}

std::optional<CronSchedule::Instant> CronSchedule::next(Instant after, const TimeZone& zone) const {
  if (every_ > seconds(0)) return after + every_;
  const Instant end = after + kHorizon;
  Instant at = after + seconds(1);
  while (at < end) {
    // Within a period local time is UTC shifted, so steps in it are exact.
    const TimeZone::Period period = zone.at(at);
    const Instant local = at + period.offset;
    const sys_days day = floor<days>(local);
    const seconds time = local - day;
    Instant to = local;
    if (!hasDay(day)) {
      to = day + days(1);
    } else if (!hour_.has(static_cast<unsigned>(time / hours(1)))) {
      to = day + floor<hours>(time) + hours(1);
    } else if (time % minutes(1) != seconds(0) ||
               !minute_.has(static_cast<unsigned>(time % hours(1) / minutes(1)))) {
      to = day + floor<minutes>(time) + minutes(1);
    } else {
      return at;
    }
    at = std::min(to - period.offset, period.until);
  }
  return std::nullopt;
}

std::optional<CronSchedule::Instant> CronSchedule::latest(Instant after, Instant now,
                                                          const TimeZone& zone) const {
  if (every_ > seconds(0)) {
    const auto periods = (now - after) / every_;
    if (periods < 1) return std::nullopt;
    return after + periods * every_;
  }
  // Windows that double, from the end: a schedule of every minute that stood still for a year is
  // not walked through.
  for (seconds window = hours(1);; window *= 2) {
    const Instant begin = std::max(after, now - window);
    std::optional<Instant> last;
    for (auto at = next(begin, zone); at && *at <= now; at = next(*at, zone)) last = at;
    if (last || begin == after) return last;
  }
}

}  // namespace podlab::api
