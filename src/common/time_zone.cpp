#include "common/time_zone.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace podlab {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr const char* kDatabase = "/usr/share/zoneinfo/";
constexpr seconds kMaxOffset = std::chrono::hours(26);

Status malformed() {
  return {Code::kInvalid, "not a time zone file (TZif, version 2 or later)"};
}

/// Reads big-endian numbers off the front.
class Bytes {
 public:
  explicit Bytes(std::string_view text) : text_(text) {}
  bool skip(std::size_t count) {
    if (count > text_.size()) return false;
    text_.remove_prefix(count);
    return true;
  }
  std::optional<std::int64_t> number(std::size_t size) {
    if (size > text_.size()) return std::nullopt;
    std::uint64_t value = size == 4 && (text_[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < size; ++i) {
      value = value << 8 | static_cast<unsigned char>(text_[i]);
    }
    text_.remove_prefix(size);
    return static_cast<std::int64_t>(value);
  }
  std::optional<std::string_view> take(std::size_t count) {
    if (count > text_.size()) return std::nullopt;
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(count);
    return taken;
  }
  std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

/// The counts of a TZif header.
struct Header {
  std::size_t isUt, isStandard, leaps, times, types, characters;
};

std::optional<Header> readHeader(Bytes& bytes) {
  const auto magic = bytes.take(5);
  if (!magic || !magic->starts_with("TZif") || (*magic)[4] < '2' || !bytes.skip(15)) return {};
  std::size_t counts[6];
  for (std::size_t& count : counts) {
    const auto value = bytes.number(4);
    if (!value || *value < 0 || *value > (1 << 20)) return {};
    count = static_cast<std::size_t>(*value);
  }
  return Header{counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
}

bool takeNumber(std::string_view& text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool takeCharacter(std::string_view& text, char wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

/// "EST" or "<-03>".
bool takeName(std::string_view& text) {
  std::size_t length = 0;
  if (text.starts_with('<')) {
    length = text.find('>');
    if (length == std::string_view::npos) return false;
    ++length;
  } else {
    while (length < text.size() && ((text[length] | 0x20) >= 'a' && (text[length] | 0x20) <= 'z')) {
      ++length;
    }
  }
  text.remove_prefix(length);
  return length >= 3;
}

/// "[+-]h[h][:mm[:ss]]"
bool takeTime(std::string_view& text, seconds& time) {
  const bool negative = takeCharacter(text, '-');
  if (!negative) takeCharacter(text, '+');
  int parts[3] = {};
  if (!takeNumber(text, parts[0])) return false;
  for (int i = 1; i < 3 && takeCharacter(text, ':'); ++i) {
    if (!takeNumber(text, parts[i])) return false;
  }
  if (parts[0] > 167 || parts[1] > 59 || parts[2] > 59) return false;
  time = std::chrono::hours(parts[0]) + std::chrono::minutes(parts[1]) + seconds(parts[2]);
  if (negative) time = -time;
  return true;
}

}  // namespace

bool TimeZone::parseRule(std::string_view& text, Rule& rule) {
  if (takeCharacter(text, 'M')) {
    rule.kind = Rule::Kind::kMonthWeekDay;
    if (!takeNumber(text, rule.month) || !takeCharacter(text, '.') ||
        !takeNumber(text, rule.week) || !takeCharacter(text, '.') || !takeNumber(text, rule.day)) {
      return false;
    }
    if (rule.month < 1 || rule.month > 12 || rule.week < 1 || rule.week > 5 || rule.day > 6) {
      return false;
    }
  } else {
    rule.kind = takeCharacter(text, 'J') ? Rule::Kind::kJulian : Rule::Kind::kDayOfYear;
    if (!takeNumber(text, rule.day) || rule.day > 365) return false;
    if (rule.kind == Rule::Kind::kJulian && rule.day < 1) return false;
  }
  rule.time = std::chrono::hours(2);
  return !takeCharacter(text, '/') || takeTime(text, rule.time);
}

std::optional<TimeZone::Tail> TimeZone::parseTail(std::string_view text) {
  Tail tail;
  if (text.empty()) return std::nullopt;
  seconds west{};
  if (!takeName(text) || !takeTime(text, west)) return std::nullopt;
  tail.standard = -west;
  if (text.empty()) return tail;
  if (!takeName(text)) return std::nullopt;
  tail.daylight = tail.standard + std::chrono::hours(1);
  if (!text.starts_with(',')) {
    if (!takeTime(text, west)) return std::nullopt;
    tail.daylight = -west;
  }
  if (!takeCharacter(text, ',') || !parseRule(text, tail.begin) || !takeCharacter(text, ',') ||
      !parseRule(text, tail.end) || !text.empty()) {
    return std::nullopt;
  }
  return tail;
}

Result<TimeZone> TimeZone::parse(std::string_view file) {
  Bytes bytes(file);
  // The first block has 32-bit times; the second is the same with 64 bits.
  auto header = readHeader(bytes);
  if (!header) return malformed();
  if (!bytes.skip(header->times * 5 + header->types * 6 + header->characters + header->leaps * 8 +
                  header->isStandard + header->isUt)) {
    return malformed();
  }
  header = readHeader(bytes);
  if (!header || header->types == 0) return malformed();

  TimeZone zone;
  std::vector<Instant> times;
  for (std::size_t i = 0; i < header->times; ++i) {
    const auto time = bytes.number(8);
    if (!time) return malformed();
    const Instant at{seconds(*time)};
    if (!times.empty() && at <= times.back()) return malformed();
    times.push_back(at);
  }
  const auto indices = bytes.take(header->times);
  if (!indices) return malformed();
  std::vector<seconds> offsets;
  for (std::size_t i = 0; i < header->types; ++i) {
    const auto offset = bytes.number(4);
    if (!offset || !bytes.skip(2)) return malformed();
    offsets.emplace_back(*offset);
    if (offsets.back() > kMaxOffset || offsets.back() < -kMaxOffset) return malformed();
  }
  for (std::size_t i = 0; i < times.size(); ++i) {
    const auto type = static_cast<unsigned char>((*indices)[i]);
    if (type >= offsets.size()) return malformed();
    zone.transitions_.push_back({times[i], offsets[type]});
  }
  zone.first_ = offsets[0];
  if (!bytes.skip(header->characters + header->leaps * 12 + header->isStandard + header->isUt)) {
    return malformed();
  }
  std::string_view footer = bytes.rest();
  if (!takeCharacter(footer, '\n')) return malformed();
  footer = footer.substr(0, footer.find('\n'));
  if (const auto tail = parseTail(footer)) {
    zone.tail_ = *tail;
  } else if (footer.empty()) {
    zone.tail_.standard = zone.transitions_.empty() ? zone.first_ : zone.transitions_.back().offset;
  } else {
    return malformed();
  }
  return zone;
}

Result<TimeZone> TimeZone::load(const std::string& name) {
  if (name.empty() || name == "UTC") return TimeZone();
  const Status unknown(Code::kInvalid, "unknown time zone " + name);
  const bool isPath = name.find("..") != std::string::npos || name.front() == '/' ||
                      name.find('\\') != std::string::npos || name.find('\0') != std::string::npos;
  if (isPath) return Status(Code::kInvalid, "time: invalid location name");
  std::error_code none;
  if (!std::filesystem::is_regular_file(kDatabase + name, none)) return unknown;
  std::ifstream file(kDatabase + name, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  auto zone = parse(bytes);
  if (!zone) return unknown;
  return zone;
}

TimeZone::Instant TimeZone::instantOf(const Rule& rule, int year, seconds offset) {
  using namespace std::chrono;
  const sys_days newYear{std::chrono::year(year) / January / 1};
  sys_days day = newYear;
  switch (rule.kind) {
    case Rule::Kind::kJulian:
      // 29 February is never counted.
      day += days(rule.day - 1 + (std::chrono::year(year).is_leap() && rule.day >= 60 ? 1 : 0));
      break;
    case Rule::Kind::kDayOfYear:
      day += days(rule.day);
      break;
    case Rule::Kind::kMonthWeekDay: {
      const auto month = std::chrono::year(year) / std::chrono::month(unsigned(rule.month));
      const weekday wanted{unsigned(rule.day)};
      day = rule.week == 5 ? sys_days(month / wanted[last])
                           : sys_days(month / wanted[unsigned(rule.week)]);
    }
  }
  return Instant(day) + rule.time - offset;
}

TimeZone::Period TimeZone::inTail(Instant at) const {
  constexpr Instant kForever = Instant::max();
  if (!tail_.daylight) return {tail_.standard, kForever};
  const int year = int(std::chrono::year_month_day(std::chrono::floor<days>(at)).year());
  // The changes of the neighbouring years, too: local years begin and end at other instants.
  std::vector<Transition> changes;
  for (int each = year - 1; each <= year + 1; ++each) {
    changes.push_back({instantOf(tail_.begin, each, tail_.standard), *tail_.daylight});
    changes.push_back({instantOf(tail_.end, each, *tail_.daylight), tail_.standard});
  }
  std::ranges::sort(changes, {}, &Transition::at);
  const auto next = std::ranges::upper_bound(changes, at, {}, &Transition::at);
  return {std::prev(next)->offset, next == changes.end() ? kForever : next->at};
}

TimeZone::Period TimeZone::at(Instant at) const {
  const auto next = std::ranges::upper_bound(transitions_, at, {}, &Transition::at);
  if (next != transitions_.end()) {
    return {next == transitions_.begin() ? first_ : std::prev(next)->offset, next->at};
  }
  return inTail(at);
}

}  // namespace podlab
