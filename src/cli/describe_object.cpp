#include "cli/describe_object.hpp"

#include <nlohmann/json.hpp>

#include "api/codec.hpp"

namespace podlab::cli {
namespace {

using nlohmann::json;

void addTitle(Description& out, const std::string& title, const char* line = "====") {
  out.line(0, {title});
  out.line(0, {line});
}

/// Text as it is.
void addText(Description& out, const std::string& text) {
  std::size_t begin = 0;
  for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    out.line(0, {text.substr(begin, end - begin)});
    begin = end + 1;
  }
  out.line(0, {text.substr(begin)});
}

/// The words of a name in camel case: a capital that a small letter follows begins one.
std::vector<std::string> wordsOf(const std::string& name) {
  const auto classOf = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::islower(byte) ? 1 : std::isupper(byte) ? 2 : 3;
  };
  std::vector<std::string> words;
  int last = 0;
  for (const char c : name) {
    const int now = classOf(c);
    if (now == 1 && last == 2 && words.back().size() > 1) {
      const char capital = words.back().back();
      words.back().pop_back();
      words.push_back({capital, c});
    } else if (now == last || (now == 1 && last == 2)) {
      words.back() += c;
    } else {
      words.push_back({c});
    }
    last = now;
  }
  return words;
}

/// "leaseDurationSeconds" as "Lease Duration Seconds"; what is no name of letters stays.
std::string labelOf(const std::string& field) {
  if (!std::ranges::all_of(
          field, [](char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '-'; }))
    return field;
  auto words = wordsOf(field);
  for (auto& word : words) {
    std::string capitals = word;
    for (char& c : capitals) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const bool acronym = capitals == "API" || capitals == "URL" || capitals == "UID" ||
                         capitals == "OSB" || capitals == "GUID";
    word = acronym ? capitals : capitals.substr(0, 1) + word.substr(1);
  }
  return joined(words, " ");
}

std::string scalar(const json& value) {
  if (value.is_null()) return "<nil>";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void addFields(Description& out, int level, const json& object) {
  for (const auto& [name, value] : object.items()) {
    const std::string label = labelOf(name);
    if (value.is_object()) {
      out.line(level, {label + ":"});
      addFields(out, level + 1, value);
    } else if (value.is_array()) {
      out.line(level, {label + ":"});
      for (const auto& item : value) {
        if (item.is_object()) {
          addFields(out, level + 1, item);
        } else {
          out.line(level + 1, {scalar(item)});
        }
      }
    } else {
      out.line(level, {label + ":", scalar(value)});
    }
  }
}

}  // namespace

Description describeConfigMap(const corev1::ConfigMap& map) {
  Description out;
  out.identity(map.metadata(), true);
  out.blank();
  addTitle(out, "Data");
  for (const auto& [key, value] : sorted(map.data())) {
    addTitle(out, key + ":", "----");
    addText(out, value);
    out.blank();
  }
  out.blank();
  addTitle(out, "BinaryData");
  for (const auto& [key, value] : sorted(map.binarydata()))
    out.line(0, {key + ": " + std::to_string(value.size()) + " bytes"});
  out.blank();
  return out;
}

Description describeSecret(const corev1::Secret& secret) {
  Description out;
  out.identity(secret.metadata(), true);
  out.blank();
  out.field(0, "Type", secret.type());
  out.blank();
  addTitle(out, "Data");
  for (const auto& [key, value] : sorted(secret.data()))
    out.field(0, key, std::to_string(value.size()) + " bytes");
  return out;
}

Description describeServiceAccount(const corev1::ServiceAccount& account) {
  Description out;
  out.identity(account.metadata(), true);
  std::string key = "Image pull secrets:";
  if (account.imagepullsecrets().empty()) out.line(0, {key, "<none>"});
  for (const auto& secret : account.imagepullsecrets())
    out.line(0, {std::exchange(key, std::string(key.size(), ' ')), secret.name()});
  return out;
}

Description describeObject(const api::Kind& kind, const google::protobuf::Message& object) {
  Description out;
  const auto& meta = api::meta(object);
  out.identity(meta, true);
  api::EncodeOptions encode;
  encode.type = {kind.apiVersion(), std::string(kind.kind)};
  json fields = json::parse(api::toJson(object, encode), nullptr, false);
  // What stands above already.
  if (const auto shown = fields.find("metadata"); shown != fields.end()) {
    for (const char* name : {"name", "namespace", "labels", "annotations", "managedFields"})
      shown->erase(name);
  }
  addFields(out, 0, fields);
  return out;
}

}  // namespace podlab::cli
