#include "cli/describe_object.hpp"

#include <nlohmann/json.hpp>

#include "api/codec.hpp"

namespace podlab::cli {
namespace {

using nlohmann::json;

void addMeta(Description& out, const metav1::ObjectMeta& meta, bool namespaced) {
  out.field(0, "Name", meta.name());
  if (namespaced) out.field(0, "Namespace", meta.namespace_());
  out.pairs(0, "Labels", meta.labels());
  out.pairs(0, "Annotations", meta.annotations(), ": ");
}

void addUnderlined(Description& out, const std::string& title, char with) {
  out.line(0, {title});
  out.line(0, {std::string(title.size(), with)});
}

/// "leaseDurationSeconds" as "Lease Duration Seconds"; "uid" and the like in capitals.
std::string labelOf(const std::string& field) {
  if (field == "uid" || field == "ip" || field == "id") {
    std::string capitals = field;
    for (char& c : capitals) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return capitals;
  }
  std::string label;
  bool lower = false;
  for (const char c : field) {
    const auto byte = static_cast<unsigned char>(c);
    if (lower && std::isupper(byte)) label += ' ';
    label += label.empty() ? static_cast<char>(std::toupper(byte)) : c;
    lower = std::islower(byte);
  }
  return label;
}

std::string scalar(const json& value) {
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
      out.field(level, label, scalar(value));
    }
  }
}

}  // namespace

std::string describeNamespace(const corev1::Namespace& ns) {
  Description out;
  addMeta(out, ns.metadata(), false);
  out.field(0, "Status", ns.status().phase());
  return out.text();
}

std::string describeConfigMap(const corev1::ConfigMap& map, const Events& events, WallTime now) {
  Description out;
  addMeta(out, map.metadata(), true);
  out.blank();
  addUnderlined(out, "Data", '=');
  for (const auto& [key, value] : sorted(map.data())) {
    addUnderlined(out, key + ":", '-');
    out.line(0, {value});
    out.blank();
  }
  out.blank();
  addUnderlined(out, "BinaryData", '=');
  for (const auto& [key, value] : sorted(map.binarydata()))
    out.line(0, {key + ": " + std::to_string(value.size()) + " bytes"});
  out.blank();
  out.events(events, now);
  return out.text();
}

std::string describeSecret(const corev1::Secret& secret) {
  Description out;
  addMeta(out, secret.metadata(), true);
  out.blank();
  out.field(0, "Type", secret.type());
  out.blank();
  addUnderlined(out, "Data", '=');
  for (const auto& [key, value] : sorted(secret.data()))
    out.field(0, key, std::to_string(value.size()) + " bytes");
  return out.text();
}

std::string describeObject(const api::Kind& kind, const google::protobuf::Message& object,
                           const Events& events, WallTime now) {
  Description out;
  addMeta(out, api::meta(object), kind.namespaced());
  out.field(0, "API Version", kind.apiVersion());
  out.field(0, "Kind", std::string(kind.kind));
  json fields = json::parse(api::toJson(object), nullptr, false);
  // What stands above already.
  if (const auto meta = fields.find("metadata"); meta != fields.end()) {
    for (const char* name : {"name", "namespace", "labels", "annotations", "managedFields"})
      meta->erase(name);
  }
  addFields(out, 0, fields);
  out.events(events, now);
  return out.text();
}

}  // namespace podlab::cli
