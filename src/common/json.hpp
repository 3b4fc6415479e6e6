#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab {

/// Length of the UTF-8 sequence at the start of `text` (1 to 4), or 0 when it is not well-formed
/// (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) or `text` is empty.
std::size_t utf8SequenceLength(std::string_view text);
bool isUtf8(std::string_view text);

enum class JsonType { kObject, kArray, kString, kNumber, kBool, kNull, kInvalid };

/// Pull parser of RFC 8259 over text that stays alive. The caller walks the document:
///   if (reader.beginObject()) while (reader.nextKey(&key)) ...read or skip one value...
/// After the first fault every call returns false, and status() says what and where (line and
/// column). Strings must be well-formed UTF-8 without lone surrogates; numbers stay text until
/// somebody gives them a type; nesting is limited to kMaxDepth.
class JsonReader {
 public:
  static constexpr int kMaxDepth = 100;

  explicit JsonReader(std::string_view text)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  /// The type of the next value, which is not consumed.
  JsonType type();
  bool beginObject();
  /// The next member's name (valid until the next call); false at the end of the object.
  bool nextKey(std::string_view* key);
  bool beginArray();
  /// Whether another element follows; false at the end of the array.
  bool nextElement();
  /// The decoded string, valid until the next call.
  bool readString(std::string_view* value);
  /// The number's text, checked against the grammar.
  bool readNumber(std::string_view* text);
  bool readBool(bool* value);
  bool readNull();
  /// Consumes the next value, whatever it is; `text` is its part of the document.
  bool skip(std::string_view* text = nullptr);
  /// Consumes white space; true when nothing else follows.
  bool atEnd();
  /// Fails unless nothing but white space follows.
  bool finish();

  bool ok() const { return error_.ok(); }
  /// kBadRequest: "line 3, column 7: expected ',' or '}'".
  const Status& status() const { return error_; }
  /// The bytes consumed so far.
  std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }
  /// "line 3, column 7" of a byte of the document, both counted from 1.
  std::string position(std::size_t offset) const;

 private:
  bool fail(std::string_view what);
  bool fail(const char* where, std::string_view what);
  void skipSpace();
  bool literal(std::string_view word);
  bool enter(char open, std::string_view what);
  bool separator(char close);
  bool unescape();
  bool unicodeEscape();

  const char* begin_;
  const char* at_;
  const char* end_;
  int depth_ = 0;
  bool first_ = true;    // nothing was read yet in the innermost container
  std::string scratch_;  // the last string with escapes
  Status error_;
};

/// Appends JSON to a string: compact, or with `indent` spaces a level (kubectl -o json: 4). Commas
/// and line breaks are put in by the writer; the caller keeps begin and end calls balanced.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out, int indent = 0) : out_(out), indent_(indent) {}

  void beginObject() { open('{'); }
  void endObject() { close('}'); }
  void beginArray() { open('['); }
  void endArray() { close(']'); }
  void key(std::string_view name);
  /// A name that is already quoted and escaped.
  void quotedKey(std::string_view quoted);
  /// Malformed UTF-8 becomes U+FFFD.
  void string(std::string_view value);
  /// Text that needs no escaping.
  void plainString(std::string_view value);
  void number(std::int64_t value);
  void number(std::uint64_t value);
  void number(double value);
  void boolean(bool value) { literal(value ? "true" : "false"); }
  void null() { literal("null"); }
  /// A value that is already JSON, e.g. a number's text.
  void literal(std::string_view json);

 private:
  void open(char bracket);
  void close(char bracket);
  void beforeValue();
  void newLine();

  std::string& out_;
  int indent_;
  int depth_ = 0;
  bool first_ = true;      // nothing was written yet in the innermost container
  bool afterKey_ = false;  // the next value stands behind its name
};

/// Appends the shortest digits that read back the same, without an exponent from 1e-6 to 1e21; NaN
/// and infinities become null.
void appendJsonNumber(std::string& out, double value);

/// Appends `value` with quotes and escapes.
void appendJsonString(std::string& out, std::string_view value);

/// Writes the reader's next value: whitespace goes, everything else stays. False when the reader
/// failed.
bool copyJson(JsonReader& reader, JsonWriter& writer);

}  // namespace podlab
