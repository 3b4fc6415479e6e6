#include "common/json.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

namespace podlab {
namespace {

constexpr std::uint64_t repeated(unsigned char byte) {
  return 0x0101010101010101ULL * byte;
}

/// Eight bytes at once: a non-zero byte's top bit marks each that ends a run of plain string
/// characters (controls, quote, backslash, and everything outside ASCII). Bits above the lowest
/// mark may be wrong: borrows run upwards.
std::uint64_t specialBytes(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  const auto zeroBytes = [](std::uint64_t value) { return (value - repeated(1)) & ~value; };
  const std::uint64_t controls = (word - repeated(0x20)) & ~word;
  const std::uint64_t quotes = zeroBytes(word ^ repeated('"'));
  const std::uint64_t backslashes = zeroBytes(word ^ repeated('\\'));
  return (word | controls | quotes | backslashes) & repeated(0x80);
}

bool isPlain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x80 &&
         c != '"' && c != '\\';
}

/// The first byte from `at` that is not a plain string character.
const char* skipPlain(const char* at, const char* end) {
  while (end - at >= 8) {
    if (const std::uint64_t marks = specialBytes(at)) return at + std::countr_zero(marks) / 8;
    at += 8;
  }
  while (at < end && isPlain(*at)) ++at;
  return at;
}

bool isDigit(char c) {
  return c >= '0' && c <= '9';
}

int hexDigit(char c) {
  if (isDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void appendUtf8(std::string& out, std::uint32_t rune) {
  if (rune < 0x80) {
    out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    out += static_cast<char>(0xC0 | (rune >> 6));
    out += static_cast<char>(0x80 | (rune & 0x3F));
  } else if (rune < 0x10000) {
    out += static_cast<char>(0xE0 | (rune >> 12));
    out += static_cast<char>(0x80 | ((rune >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (rune & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (rune >> 18));
    out += static_cast<char>(0x80 | ((rune >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((rune >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (rune & 0x3F));
  }
}

template <typename Number>
void appendNumber(std::string& out, Number value) {
  std::array<char, 32> text;
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), result.ptr);
}

}  // namespace

std::size_t utf8SequenceLength(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t count) {
    if (text.size() <= count) return false;
    for (std::size_t i = 1; i <= count; ++i) {
      if ((byte(i) & 0xC0) != 0x80) return false;
    }
    return true;
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;  // a continuation byte, or an overlong form
  if (lead < 0xE0) return continues(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (!continues(2)) return 0;
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead > 0xF4 || !continues(3)) return 0;
  const bool overlong = lead == 0xF0 && byte(1) < 0x90;
  const bool tooLarge = lead == 0xF4 && byte(1) >= 0x90;
  return overlong || tooLarge ? 0 : 4;
}

bool isUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string JsonReader::position(std::size_t offset) const {
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char* at = begin_; at < begin_ + offset && at < end_; ++at) {
    if (*at == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(*at) & 0xC0) != 0x80) {
      ++column;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

bool JsonReader::fail(const char* where, std::string_view what) {
  if (!error_.ok()) return false;
  std::string message = position(static_cast<std::size_t>(where - begin_)) + ": ";
  if (where == end_) message += "unexpected end of the document: ";
  message += what;
  error_ = Status(Code::kBadRequest, std::move(message));
  at_ = end_;  // nothing is read any more, so callers need no check after each step
  return false;
}

bool JsonReader::fail(std::string_view what) {
  return fail(at_, what);
}

void JsonReader::skipSpace() {
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
}

JsonType JsonReader::type() {
  skipSpace();
  if (at_ == end_) {
    fail("expected a value");
    return JsonType::kInvalid;
  }
  switch (*at_) {
    case '{':
      return JsonType::kObject;
    case '[':
      return JsonType::kArray;
    case '"':
      return JsonType::kString;
    case 't':
    case 'f':
      return JsonType::kBool;
    case 'n':
      return JsonType::kNull;
    default:
      if (*at_ == '-' || isDigit(*at_)) return JsonType::kNumber;
      fail("expected a value");
      return JsonType::kInvalid;
  }
}

bool JsonReader::enter(char open, std::string_view what) {
  skipSpace();
  if (at_ == end_ || *at_ != open) return fail(what);
  if (depth_ == kMaxDepth)
    return fail("nested more than " + std::to_string(kMaxDepth) + " levels deep");
  ++at_;
  ++depth_;
  first_ = true;
  return true;
}

/// Consumes what stands between two members; false at the container's end and on faults.
bool JsonReader::separator(char close) {
  skipSpace();
  if (at_ < end_ && *at_ == close) {
    ++at_;
    --depth_;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (at_ == end_ || *at_ != ',')
      return fail(close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
    ++at_;
    skipSpace();
  }
  first_ = false;
  return error_.ok();
}

bool JsonReader::beginObject() {
  return enter('{', "expected '{'");
}

bool JsonReader::nextKey(std::string_view* key) {
  if (!separator('}')) return false;
  if (at_ == end_ || *at_ != '"') return fail("expected a quoted member name");
  if (!readString(key)) return false;
  skipSpace();
  if (at_ == end_ || *at_ != ':') return fail("expected ':' after the member name");
  ++at_;
  return true;
}

bool JsonReader::beginArray() {
  return enter('[', "expected '['");
}

bool JsonReader::nextElement() {
  if (!separator(']')) return false;
  return type() != JsonType::kInvalid;  // so that "[1,]" is refused here
}

bool JsonReader::readString(std::string_view* value) {
  skipSpace();
  if (at_ == end_ || *at_ != '"') return fail("expected a string");
  const char* start = at_ + 1;
  const char* at = start;
  while (true) {
    at = skipPlain(at, end_);
    if (at == end_) return fail(end_, "unfinished string");
    if (*at == '"') break;
    if (*at == '\\') {
      scratch_.assign(start, at);
      at_ = at;
      if (!unescape()) return false;
      *value = scratch_;
      first_ = false;
      return true;
    }
    const auto length = utf8SequenceLength({at, static_cast<std::size_t>(end_ - at)});
    if (length < 2) {
      return fail(at, length == 1 ? "control character in a string: write it as an escape, e.g. \\n"
                                  : "malformed UTF-8 in a string");
    }
    at += length;
  }
  *value = {start, static_cast<std::size_t>(at - start)};
  at_ = at + 1;
  first_ = false;
  return true;
}

/// The rest of a string from its first escape on, into scratch_.
bool JsonReader::unescape() {
  while (true) {
    const char* run = at_;
    at_ = skipPlain(at_, end_);
    scratch_.append(run, at_);
    if (at_ == end_) return fail("unfinished string");
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    if (*at_ != '\\') {
      const auto length = utf8SequenceLength({at_, static_cast<std::size_t>(end_ - at_)});
      if (length == 1)
        return fail("control character in a string: write it as an escape, e.g. \\n");
      if (length == 0) return fail("malformed UTF-8 in a string");
      scratch_.append(at_, length);
      at_ += length;
      continue;
    }
    if (end_ - at_ < 2) return fail(end_, "unfinished string");
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (at_[1] == 'u') {
      if (!unicodeEscape()) return false;
    } else if (const auto found = kEscapes.find(at_[1]); found != kEscapes.npos) {
      scratch_ += kMeanings[found];
      at_ += 2;
    } else {
      return fail("unknown escape in a string");
    }
  }
}

/// One \uXXXX, or two of them that make a surrogate pair.
bool JsonReader::unicodeEscape() {
  const auto unit = [this](const char* at) -> int {
    if (end_ - at < 6 || at[0] != '\\' || at[1] != 'u') return -1;
    int value = 0;
    for (int i = 2; i < 6; ++i) {
      const int digit = hexDigit(at[i]);
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  };
  const int high = unit(at_);
  if (high < 0) return fail("expected four hexadecimal digits after \\u");
  if (high < 0xD800 || high > 0xDFFF) {
    appendUtf8(scratch_, static_cast<std::uint32_t>(high));
    at_ += 6;
    return true;
  }
  const int low = high < 0xDC00 ? unit(at_ + 6) : -1;
  if (low < 0xDC00 || low > 0xDFFF) return fail("lone surrogate in a string");
  appendUtf8(scratch_, 0x10000 + ((static_cast<std::uint32_t>(high) - 0xD800) << 10) +
                           (static_cast<std::uint32_t>(low) - 0xDC00));
  at_ += 12;
  return true;
}

bool JsonReader::readNumber(std::string_view* text) {
  skipSpace();
  const char* at = at_;
  const auto digits = [&] {
    const char* start = at;
    while (at < end_ && isDigit(*at)) ++at;
    return at > start;
  };
  if (at < end_ && *at == '-') ++at;
  const char* integer = at;
  if (!digits()) return fail(at == end_ ? end_ : at_, "expected a number");
  if (*integer == '0' && at > integer + 1) return fail(integer, "a number may not start with 0");
  if (at < end_ && *at == '.') {
    ++at;
    if (!digits()) return fail(at, "expected a digit after the decimal point");
  }
  if (at < end_ && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at < end_ && (*at == '+' || *at == '-')) ++at;
    if (!digits()) return fail(at, "expected a digit in the exponent");
  }
  *text = {at_, static_cast<std::size_t>(at - at_)};
  at_ = at;
  first_ = false;
  return true;
}

bool JsonReader::literal(std::string_view word) {
  if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return false;
  at_ += word.size();
  first_ = false;
  return true;
}

bool JsonReader::readBool(bool* value) {
  skipSpace();
  if (literal("true")) {
    *value = true;
    return true;
  }
  if (literal("false")) {
    *value = false;
    return true;
  }
  return fail("expected true or false");
}

bool JsonReader::readNull() {
  skipSpace();
  return literal("null") || fail("expected null");
}

bool JsonReader::skip(std::string_view* text) {
  const auto kind = type();
  const char* start = at_;
  std::string_view ignored;
  bool flag = false;
  switch (kind) {
    case JsonType::kObject:
      beginObject();
      while (nextKey(&ignored)) skip();
      break;
    case JsonType::kArray:
      beginArray();
      while (nextElement()) skip();
      break;
    case JsonType::kString:
      readString(&ignored);
      break;
    case JsonType::kNumber:
      readNumber(&ignored);
      break;
    case JsonType::kBool:
      readBool(&flag);
      break;
    case JsonType::kNull:
      readNull();
      break;
    case JsonType::kInvalid:
      break;
  }
  if (text) *text = {start, static_cast<std::size_t>(at_ - start)};
  return ok();
}

bool JsonReader::atEnd() {
  skipSpace();
  return at_ == end_;
}

bool JsonReader::finish() {
  if (!ok()) return false;
  return atEnd() || fail("unexpected text after the value");
}

void appendJsonNumber(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const double size = std::abs(value);
  const bool fixed = size == 0 || (size >= 1e-6 && size < 1e21);
  std::array<char, 64> text;
  const auto result =
      std::to_chars(text.data(), text.data() + text.size(), value,
                    fixed ? std::chars_format::fixed : std::chars_format::scientific);
  out.append(text.data(), result.ptr);
}

void appendJsonString(std::string& out, std::string_view value) {
  out += '"';
  const char* at = value.data();
  const char* end = at + value.size();
  while (true) {
    const char* run = at;
    at = skipPlain(at, end);
    out.append(run, at);
    if (at == end) break;
    const auto c = static_cast<unsigned char>(*at);
    if (c >= 0x80) {
      const auto length = utf8SequenceLength({at, static_cast<std::size_t>(end - at)});
      if (length == 0) {
        out += "\xEF\xBF\xBD";
        ++at;
      } else {
        out.append(at, length);
        at += length;
      }
      continue;
    }
    ++at;
    out += '\\';
    switch (c) {
      case '\n':
        out += 'n';
        break;
      case '\r':
        out += 'r';
        break;
      case '\t':
        out += 't';
        break;
      case '"':
      case '\\':
        out += static_cast<char>(c);
        break;
      default: {
        constexpr std::string_view kHex = "0123456789abcdef";
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 0xF];
      }
    }
  }
  out += '"';
}

void JsonWriter::newLine() {
  if (indent_ == 0) return;
  out_ += '\n';
  out_.append(static_cast<std::size_t>(depth_) * static_cast<std::size_t>(indent_), ' ');
}

void JsonWriter::beforeValue() {
  if (afterKey_) {
    afterKey_ = false;
    return;
  }
  if (depth_ > 0) {
    if (!first_) out_ += ',';
    newLine();
  }
  first_ = false;
}

void JsonWriter::open(char bracket) {
  beforeValue();
  out_ += bracket;
  ++depth_;
  first_ = true;
}

void JsonWriter::close(char bracket) {
  --depth_;
  if (!first_) newLine();
  out_ += bracket;
  first_ = false;
}

void JsonWriter::key(std::string_view name) {
  beforeValue();
  appendJsonString(out_, name);
  out_ += indent_ ? ": " : ":";
  afterKey_ = true;
}

void JsonWriter::quotedKey(std::string_view quoted) {
  beforeValue();
  out_ += quoted;
  out_ += indent_ ? ": " : ":";
  afterKey_ = true;
}

void JsonWriter::string(std::string_view value) {
  beforeValue();
  appendJsonString(out_, value);
}

void JsonWriter::plainString(std::string_view value) {
  beforeValue();
  out_ += '"';
  out_ += value;
  out_ += '"';
}

void JsonWriter::number(std::int64_t value) {
  beforeValue();
  appendNumber(out_, value);
}

void JsonWriter::number(std::uint64_t value) {
  beforeValue();
  appendNumber(out_, value);
}

void JsonWriter::number(double value) {
  beforeValue();
  appendJsonNumber(out_, value);
}

void JsonWriter::literal(std::string_view json) {
  beforeValue();
  out_ += json;
}

bool copyJson(JsonReader& reader, JsonWriter& writer) {
  std::string_view text;
  bool flag = false;
  switch (reader.type()) {
    case JsonType::kObject:
      if (!reader.beginObject()) return false;
      writer.beginObject();
      while (reader.nextKey(&text)) {
        writer.key(text);
        if (!copyJson(reader, writer)) return false;
      }
      writer.endObject();
      break;
    case JsonType::kArray:
      if (!reader.beginArray()) return false;
      writer.beginArray();
      while (reader.nextElement()) {
        if (!copyJson(reader, writer)) return false;
      }
      writer.endArray();
      break;
    case JsonType::kString:
      if (reader.readString(&text)) writer.string(text);
      break;
    case JsonType::kNumber:
      if (reader.readNumber(&text)) writer.literal(text);
      break;
    case JsonType::kBool:
      if (reader.readBool(&flag)) writer.boolean(flag);
      break;
    case JsonType::kNull:
      if (reader.readNull()) writer.null();
      break;
    case JsonType::kInvalid:
      break;
  }
  return reader.ok();
}

}  // namespace podlab
