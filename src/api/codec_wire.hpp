#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace podlab::api::codec {

/// One value of protobuf's wire format.
struct WireValue {
  static constexpr int kVarint = 0;
  static constexpr int kFixed64 = 1;
  static constexpr int kBytes = 2;
  static constexpr int kStartGroup = 3;
  static constexpr int kEndGroup = 4;
  static constexpr int kFixed32 = 5;

  int type = kVarint;
  std::uint64_t number = 0;  ///< of a varint or fixed value
  std::string_view bytes = {};
};

/// Walks the fields of a message in the wire format, whose bytes stay alive.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  /// The next field; false at the end, and when the rest is malformed. Groups are passed over.
  bool next(std::uint32_t& field, WireValue& value) {
    while (at_ != end_) {
      if (!tag(field, value.type)) return false;
      if (value.type == WireValue::kStartGroup) {
        if (!skipGroup(field, kMaxDepth)) return fail();
        continue;
      }
      return read(value) || fail();
    }
    return false;
  }
  /// The next value of a packed list.
  bool nextPacked(int type, WireValue& value) {
    value.type = type;
    return at_ != end_ && (read(value) || fail());
  }
  bool ok() const { return ok_; }

 private:
  static constexpr int kMaxDepth = 100;
  static constexpr int kLongest = 10;  // bytes of a varint
  static constexpr int kLongestTag = 5;

  bool fail() { return ok_ = false; }

  bool varint(std::uint64_t& value, int longest) {
    value = 0;
    for (int i = 0; i < longest && at_ != end_; ++i) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= std::uint64_t{byte & 0x7fU} << 7 * i;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool tag(std::uint32_t& field, int& type) {
    std::uint64_t word = 0;
    if (!varint(word, kLongestTag)) return fail();
    field = static_cast<std::uint32_t>(word) >> 3;
    type = static_cast<int>(word & 7);
    return field != 0 || fail();
  }

  template <typename Fixed>
  bool fixed(std::uint64_t& value) {
    Fixed read = 0;
    if (left() < sizeof read) return false;
    std::memcpy(&read, at_, sizeof read);
    at_ += sizeof read;
    value = read;
    return true;
  }

  bool read(WireValue& value) {
    switch (value.type) {
      case WireValue::kVarint:
        return varint(value.number, kLongest);
      case WireValue::kFixed64:
        return fixed<std::uint64_t>(value.number);
      case WireValue::kFixed32:
        return fixed<std::uint32_t>(value.number);
      case WireValue::kBytes: {
        std::uint64_t size = 0;
        if (!varint(size, kLongestTag) || size > left()) return false;
        value.bytes = {at_, static_cast<std::size_t>(size)};
        at_ += size;
        return true;
      }
      default:
        return false;
    }
  }

  bool skipGroup(std::uint32_t group, int depth) {
    std::uint32_t field = 0;
    WireValue value;
    while (at_ != end_ && tag(field, value.type)) {
      if (value.type == WireValue::kEndGroup) return field == group;
      const bool passed = value.type == WireValue::kStartGroup
                              ? depth > 0 && skipGroup(field, depth - 1)
                              : read(value);
      if (!passed) return false;
    }
    return false;
  }

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

/// The content of the last field of this number that is a message or a text; empty when there is
/// none.
inline std::string_view fieldIn(std::string_view message, int number) {
  std::string_view found;
  WireReader in(message);
  WireValue value;
  for (std::uint32_t field = 0; in.next(field, value);) {
    if (field == static_cast<std::uint32_t>(number) && value.type == WireValue::kBytes)
      found = value.bytes;
  }
  return found;
}

/// Appends such a field.
inline void appendField(std::string& message, int number, std::string_view content) {
  const auto append = [&message](std::uint64_t varint) {
    for (; varint >= 0x80; varint >>= 7) message += static_cast<char>(varint | 0x80);
    message += static_cast<char>(varint);
  };
  append(static_cast<std::uint64_t>(number) << 3 | WireValue::kBytes);
  append(content.size());
  message += content;
}

}  // namespace podlab::api::codec
