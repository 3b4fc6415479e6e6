#include "api/made_fields.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "common/json.hpp"

namespace podlab::api {
namespace {

using Kind = ValueType::Kind;
using IsLeft = std::function<bool(bool, std::string_view)>;

constexpr std::string_view kMetadata = "metadata";
constexpr std::string_view kNothing = "{}";

class Writer {
 public:
  explicit Writer(const IsLeft& isLeft) : isLeft_(isLeft) {}

  std::string object(std::string_view json, const ValueType& type) {
    JsonReader reader(json);
    members(reader, type, kRoot, false);
    return std::move(out_);
  }

 private:
  enum Level { kRoot, kInMetadata, kInside };

  /// The next value's part of the set, "{}" for one that is owned as a whole. `isItem`: an element
  /// of a list, which counts beside what is in it.
  void value(JsonReader& reader, const ValueType& type, Level level, bool isItem) {
    const JsonType form = reader.type();
    const bool isObject = type.kind() == Kind::kStruct || type.kind() == Kind::kMap;
    const bool isList = type.kind() == Kind::kSet || type.kind() == Kind::kKeyed;
    const bool self = isItem || (type.kind() != Kind::kStruct && !type.isAlways());
    if (isObject && form == JsonType::kObject) {
      members(reader, type, level, self);
    } else if (isList && form == JsonType::kArray) {
      elements(reader, type, self);
    } else {
      reader.skip();
      out_ += kNothing;
    }
  }

  void begin(bool self) {
    out_ += '{';
    if (self) out_ += "\".\":{}";
  }
  void key(std::string_view element) {
    if (out_.back() != '{') out_ += ',';
    appendJsonString(out_, element);
    out_ += ':';
  }
  /// What has no parts counts by being there.
  void end(std::size_t start, bool empty) {
    if (empty) out_.resize(start + 1);
    out_ += '}';
  }

  void members(JsonReader& reader, const ValueType& type, Level level, bool self) {
    const std::size_t start = out_.size();
    begin(self);
    bool empty = true;
    std::string_view name;
    reader.beginObject();
    while (reader.nextKey(&name)) {
      if (reader.type() == JsonType::kNull ||
          (level != kInside && isLeft_(level == kInMetadata, name))) {
        reader.skip();
        continue;
      }
      const bool metadata = level == kRoot && name == kMetadata;
      const ValueType member = type.member(name).value_or(ValueType());
      const std::size_t before = out_.size();
      key("f:" + std::string(name));
      const std::size_t at = out_.size();
      value(reader, member, metadata ? kInMetadata : kInside, false);
      // Of metadata there may be nothing but what does not count.
      if (metadata && std::string_view(out_).substr(at) == kNothing) {
        out_.resize(before);
      } else {
        empty = false;
      }
    }
    end(start, empty);
  }

  void elements(JsonReader& reader, const ValueType& type, bool self) {
    std::map<std::string, std::string_view> items;
    reader.beginArray();
    while (reader.nextElement()) {
      std::string_view text;
      if (!reader.skip(&text)) break;
      std::string element =
          type.kind() == Kind::kSet ? "v:" + std::string(text) : keysOf(text, type);
      if (!element.empty()) items.emplace(std::move(element), text);
    }
    const std::size_t start = out_.size();
    begin(self);
    for (const auto& [element, text] : items) {
      key(element);
      JsonReader item(text);
      value(item, type.element(), kInside, true);
    }
    end(start, items.empty());
  }

  /// "" for an element without keys.
  static std::string keysOf(std::string_view item, const ValueType& type) {
    std::map<std::string, std::string> found;
    JsonReader reader(item);
    std::string_view name;
    reader.beginObject();
    while (reader.nextKey(&name)) {
      const auto wanted = std::ranges::find(type.keys(), name);
      std::string_view text;
      if (!reader.skip(&text)) break;
      if (wanted != type.keys().end()) found.emplace(*wanted, text);
    }
    if (found.empty()) return "";
    for (const std::string& key : type.keys()) {
      const std::string fallback = type.defaultOf(key);
      if (!fallback.empty()) found.emplace(key, fallback);
    }
    std::string element = "k:{";
    for (const auto& [key, text] : found) {
      if (element.back() != '{') element += ',';
      appendJsonString(element, key);
      element += ":" + text;
    }
    return element + "}";
  }

  const IsLeft& isLeft_;
  std::string out_;
};

}  // namespace

std::string madeFields(std::string_view json, const ValueType& type, const IsLeft& isLeft) {
  return Writer(isLeft).object(json, type);
}

}  // namespace podlab::api
