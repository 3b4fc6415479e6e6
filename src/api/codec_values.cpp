#include "api/codec_values.hpp"

#include <array>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>

#include "api/times.hpp"

namespace podlab::api::codec {
namespace {

template <typename Time>
void writeAnyTime(JsonWriter& writer, const Time& time) {
  constexpr std::int64_t kLimit = std::numeric_limits<Duration::rep>::max() / 1'000'000'000 - 1;
  const bool known = isSet(time) && time.seconds() > -kLimit && time.seconds() < kLimit;
  if (!known) {
    writer.null();
  } else if constexpr (std::is_same_v<Time, metav1::Time>) {
    writer.plainString(formatTime(toWallTime(time)));
  } else {
    writer.plainString(formatMicroTime(toWallTime(time)));
  }
}

/// Whether it is JSON without white space, as podlab and most clients write what is embedded. What
/// was found to be so lately is known again: objects of one writer have the same managedFields.
bool isCompactJson(std::string_view json) {
  constexpr std::size_t kLongest = 4096;
  thread_local std::array<std::string, 16> known;
  std::string& slot = known[std::hash<std::string_view>()(json) % known.size()];
  if (slot == json && !json.empty()) return true;
  JsonReader check(json);
  const bool isCompact =
      json.find_first_of(" \t\r\n") == std::string_view::npos && check.skip() && check.finish();
  if (isCompact && json.size() <= kLongest) slot = json;
  return isCompact;
}

}  // namespace

void writeTime(JsonWriter& writer, const metav1::Time& time) {
  writeAnyTime(writer, time);
}

void writeTime(JsonWriter& writer, const metav1::MicroTime& time) {
  writeAnyTime(writer, time);
}

void writeRaw(JsonWriter& writer, std::string_view json) {
  if (isCompactJson(json)) return writer.literal(json);
  JsonReader check(json);
  if (!check.skip() || !check.finish()) return writer.null();
  JsonReader reader(json);
  copyJson(reader, writer);
}

void writeQuantity(JsonWriter& writer, std::string_view text) {
  text.empty() ? writer.plainString("0") : writer.string(text);
}

void writeEnum(JsonWriter& writer, const Field& field, int number) {
  const auto* known = field.value->enum_type()->FindValueByNumber(number);
  known ? writer.plainString(known->name()) : writer.null();
}

}  // namespace podlab::api::codec
