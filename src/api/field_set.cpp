#include "api/field_set.hpp"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/json.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSelf = ".";

/// The element with its value written in one way, so that equal elements are equal texts; nullopt
/// for what is no path element.
std::optional<std::string> canonical(std::string_view element) {
  if (element.size() < 2 || element[1] != ':') return std::nullopt;
  const std::string_view value = element.substr(2);
  if (element[0] == 'f') return std::string(element);
  if (element[0] == 'i') {
    const bool digits =
        !value.empty() && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
    return digits ? std::optional<std::string>(element) : std::nullopt;
  }
  if (element[0] != 'k' && element[0] != 'v') return std::nullopt;
  JsonReader reader(value);
  reader.skip();
  if (!reader.finish()) return std::nullopt;
  const Json parsed = Json::parse(value, nullptr, false);
  if (parsed.is_discarded() || (element[0] == 'k' && !parsed.is_object())) return std::nullopt;
  return std::string(element.substr(0, 2)) + parsed.dump();
}

bool read(JsonReader& reader, FieldSet& set) {
  if (!reader.beginObject()) return false;
  std::string_view key;
  while (reader.nextKey(&key)) {
    if (key == kSelf) {
      set.member = true;
      if (!reader.skip()) return false;
      continue;
    }
    auto element = canonical(key);
    FieldSet child;
    if (!read(reader, child)) return false;
    if (!element) continue;
    // "{}" is a field without parts.
    if (child.children.empty()) child.member = true;
    set.children[std::move(*element)].unite(child);
  }
  return reader.ok();
}

void write(JsonWriter& writer, const FieldSet& set, bool isRoot) {
  writer.beginObject();
  if (set.member && (isRoot || !set.children.empty())) {
    writer.key(kSelf);
    writer.beginObject();
    writer.endObject();
  }
  for (const auto& [element, child] : set.children) {
    writer.key(element);
    write(writer, child, false);
  }
  writer.endObject();
}

/// As structured-merge-diff prints a path element.
std::string display(const std::string& element) {
  const std::string value = element.substr(2);
  switch (element[0]) {
    case 'f':
      return "." + value;
    case 'v':
      return "[=" + value + "]";
    case 'i':
      return "[" + value + "]";
    default:
      break;
  }
  std::string text;
  const Json keys = Json::parse(value, nullptr, false);
  for (const auto& [name, key] : keys.items())
    text += (text.empty() ? "" : ",") + name + "=" + key.dump();
  return "[" + text + "]";
}

void collect(const FieldSet& set, const std::string& path, std::vector<std::string>& paths) {
  if (set.member) paths.push_back(path);
  for (const auto& [element, child] : set.children) collect(child, path + display(element), paths);
}

}  // namespace

void FieldSet::put(std::string element, FieldSet child) {
  if (!element.empty() && !child.empty()) children.emplace(std::move(element), std::move(child));
}

void FieldSet::unite(const FieldSet& other) {
  member = member || other.member;
  for (const auto& [element, child] : other.children) children[element].unite(child);
}

void FieldSet::subtract(const FieldSet& other) {
  if (other.member) member = false;
  for (const auto& [element, child] : other.children) {
    const auto own = children.find(element);
    if (own == children.end()) continue;
    own->second.subtract(child);
    if (own->second.empty()) children.erase(own);
  }
}

void FieldSet::intersect(const FieldSet& other) {
  member = member && other.member;
  for (auto own = children.begin(); own != children.end();) {
    const auto theirs = other.children.find(own->first);
    if (theirs != other.children.end()) own->second.intersect(theirs->second);
    const bool keep = theirs != other.children.end() && !own->second.empty();
    own = keep ? std::next(own) : children.erase(own);
  }
}

std::vector<std::string> FieldSet::paths() const {
  std::vector<std::string> all;
  collect(*this, "", all);
  return all;
}

std::string FieldSet::toFieldsV1() const {
  std::string text;
  JsonWriter writer(text);
  write(writer, *this, true);
  return text;
}

Result<FieldSet> FieldSet::parse(std::string_view fieldsV1) {
  JsonReader reader(fieldsV1);
  FieldSet set;
  if (!read(reader, set) || !reader.finish())
    return Status(Code::kBadRequest, "fieldsV1: " + reader.status().message());
  return set;
}

}  // namespace podlab::api
