#include "apiserver/rest_discovery.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "api/custom/custom_kinds.hpp"
#include "api/kinds.hpp"
#include "apiserver/rest_answer.hpp"
#include "common/json.hpp"

namespace podlab::apiserver {
namespace {

/// The version of Kubernetes whose API this is: what kubectl compares its own with.
constexpr const char* kMajor = "1";
constexpr const char* kMinor = "34";

using Members = Subresource::Members;

void members(JsonWriter& writer, const Members& all) {
  for (const auto& [name, value] : all) {
    writer.key(name);
    writer.string(value);
  }
}

void strings(JsonWriter& writer, std::string_view name,
             const std::vector<std::string_view>& values) {
  writer.key(name);
  writer.beginArray();
  for (const auto value : values) writer.string(value);
  writer.endArray();
}

template <typename Body>
std::string document(Body body) {
  std::string text;
  JsonWriter writer(text);
  writer.beginObject();
  body(writer);
  writer.endObject();
  return text;
}

std::vector<std::string_view> separated(std::string_view list) {
  std::vector<std::string_view> all;
  while (true) {
    const auto comma = list.find(',');
    all.push_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return all;
    list.remove_prefix(comma + 1);
  }
}

std::vector<std::string_view> verbsOf(const api::Kind& kind) {
  if (!kind.verbs.empty()) return kind.verbs;
  return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
}

/// As in the APIResourceList of 1.x.
void writeLegacyResource(JsonWriter& writer, const api::Kind& kind) {
  writer.beginObject();
  members(writer, {{"name", kind.plural}, {"singularName", kind.singular}});
  writer.key("namespaced");
  writer.boolean(kind.namespaced());
  members(writer, {{"kind", kind.kind}});
  strings(writer, "verbs", verbsOf(kind));
  if (!kind.shortNames.empty()) strings(writer, "shortNames", kind.shortNames);
  if (!kind.categories.empty()) strings(writer, "categories", kind.categories);
  writer.endObject();
  for (const auto& subresource : subresourcesOf(kind)) {
    writer.beginObject();
    members(writer, {{"name", std::string(kind.plural) + "/" + std::string(subresource.name)},
                     {"singularName", ""}});
    writer.key("namespaced");
    writer.boolean(kind.namespaced());
    if (subresource.kind.empty()) {
      members(writer, {{"kind", kind.kind}});
    } else {
      members(writer, subresource.kind);
    }
    strings(writer, "verbs", subresource.verbs);
    writer.endObject();
  }
}

/// As in the APIGroupDiscoveryList (apidiscovery.k8s.io/v2).
void writeAggregatedResource(JsonWriter& writer, const api::Kind& kind) {
  const auto responseKind = [&](const Members& given) {
    writer.key("responseKind");
    writer.beginObject();
    if (given.empty()) {
      members(writer, {{"group", kind.group}, {"version", kind.version}, {"kind", kind.kind}});
    } else {
      members(writer, given);
    }
    writer.endObject();
  };
  writer.beginObject();
  members(writer, {{"resource", kind.plural}});
  responseKind({});
  members(writer, {{"scope", kind.namespaced() ? "Namespaced" : "Cluster"},
                   {"singularResource", kind.singular}});
  strings(writer, "verbs", verbsOf(kind));
  if (!kind.shortNames.empty()) strings(writer, "shortNames", kind.shortNames);
  if (!kind.categories.empty()) strings(writer, "categories", kind.categories);
  const auto subresources = subresourcesOf(kind);
  if (!subresources.empty()) {
    writer.key("subresources");
    writer.beginArray();
    for (const auto& subresource : subresources) {
      writer.beginObject();
      members(writer, {{"subresource", subresource.name}});
      responseKind(subresource.kind);
      strings(writer, "verbs", subresource.verbs);
      writer.endObject();
    }
    writer.endArray();
  }
  writer.endObject();
}

/// The versions of each group, and the kinds of each version, in the table's order.
using Versions = std::vector<std::pair<std::string_view, std::vector<const api::Kind*>>>;
std::vector<std::pair<std::string_view, Versions>> groupsServed() {
  std::vector<std::pair<std::string_view, Versions>> groups;
  const auto entry = [](auto& list, std::string_view name) -> auto& {
    for (auto& one : list) {
      if (one.first == name) return one.second;
    }
    return list.emplace_back(name, typename std::decay_t<decltype(list)>::value_type::second_type())
        .second;
  };
  for (const auto& kind : api::servedKinds())
    entry(entry(groups, kind.group), kind.version).push_back(&kind);
  for (auto& [group, versions] : groups) {
    if (!versions.front().second.front()->custom) continue;
    std::ranges::sort(versions, api::isPreferredVersion,
                      [](const auto& version) { return version.first; });
  }
  return groups;
}

std::string groupVersion(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

void writeGroup(JsonWriter& writer, std::string_view group, const Versions& versions) {
  const auto version = [&](std::string_view name) {
    writer.beginObject();
    members(writer, {{"groupVersion", groupVersion(group, name)}, {"version", name}});
    writer.endObject();
  };
  members(writer, {{"name", group}});
  writer.key("versions");
  writer.beginArray();
  for (const auto& [name, kinds] : versions) version(name);
  writer.endArray();
  writer.key("preferredVersion");
  version(versions.front().first);
}

std::string aggregated(bool core, std::string_view metaVersion) {
  return document([&](JsonWriter& writer) {
    members(writer, {{"kind", "APIGroupDiscoveryList"},
                     {"apiVersion", "apidiscovery.k8s.io/" + std::string(metaVersion)}});
    writer.key("metadata");
    writer.beginObject();
    writer.endObject();
    writer.key("items");
    writer.beginArray();
    for (const auto& [group, versions] : groupsServed()) {
      if (group.empty() != core) continue;
      writer.beginObject();
      writer.key("metadata");
      writer.beginObject();
      if (!group.empty()) members(writer, {{"name", group}});
      writer.endObject();
      writer.key("versions");
      writer.beginArray();
      for (const auto& [version, kinds] : versions) {
        writer.beginObject();
        members(writer, {{"version", version}});
        writer.key("resources");
        writer.beginArray();
        for (const auto* kind : kinds) writeAggregatedResource(writer, *kind);
        writer.endArray();
        members(writer, {{"freshness", "Current"}});
        writer.endObject();
      }
      writer.endArray();
      writer.endObject();
    }
    writer.endArray();
  });
}

/// The version of apidiscovery.k8s.io that the client takes, or "".
std::string_view aggregatedVersion(const http::Request& request) {
  const std::string* accept = request.header("accept");
  if (accept == nullptr || accept->find("as=APIGroupDiscoveryList") == std::string::npos) return "";
  if (accept->find("v=v2;") != std::string::npos || accept->find("v=v2,") != std::string::npos)
    return "v2";
  return accept->find("v=v2beta1") != std::string::npos ? "v2beta1" : "";
}

http::Response aggregatedAnswer(bool core, std::string_view version) {
  auto response = jsonAnswer(200, aggregated(core, version));
  response.headers.front().second =
      "application/json;g=apidiscovery.k8s.io;v=" + std::string(version) +
      ";as=APIGroupDiscoveryList";
  return response;
}

std::string versionDocument() {
  return document([](JsonWriter& writer) {
    members(writer, {{"major", kMajor},
                     {"minor", kMinor},
                     {"gitVersion", std::string("v") + kMajor + "." + kMinor + ".0+podlab"},
                     {"gitCommit", ""},
                     {"gitTreeState", "clean"},
                     {"buildDate", "1970-01-01T00:00:00Z"},
                     {"goVersion", ""},
                     {"compiler", "clang"},
                     {"platform", "linux/amd64"}});
  });
}

std::string coreVersions() {
  return document([](JsonWriter& writer) {
    members(writer, {{"kind", "APIVersions"}});
    strings(writer, "versions", {"v1"});
    writer.key("serverAddressByClientCIDRs");
    writer.beginArray();
    writer.endArray();
  });
}

std::string groupList() {
  return document([](JsonWriter& writer) {
    members(writer, {{"kind", "APIGroupList"}, {"apiVersion", "v1"}});
    writer.key("groups");
    writer.beginArray();
    for (const auto& [group, versions] : groupsServed()) {
      if (group.empty()) continue;
      writer.beginObject();
      writeGroup(writer, group, versions);
      writer.endObject();
    }
    writer.endArray();
  });
}

std::string oneGroup(std::string_view name) {
  return document([&](JsonWriter& writer) {
    members(writer, {{"kind", "APIGroup"}, {"apiVersion", "v1"}});
    for (const auto& [group, versions] : groupsServed()) {
      if (group == name) writeGroup(writer, group, versions);
    }
  });
}

std::string resourceList(const RestPath& path) {
  return document([&](JsonWriter& writer) {
    members(writer, {{"kind", "APIResourceList"},
                     {"apiVersion", "v1"},
                     {"groupVersion", groupVersion(path.group, path.version)}});
    writer.key("resources");
    writer.beginArray();
    for (const auto& kind : api::servedKinds()) {
      if (kind.group == path.group && kind.version == path.version)
        writeLegacyResource(writer, kind);
    }
    writer.endArray();
  });
}

}  // namespace

std::vector<Subresource> subresourcesOf(const api::Kind& kind) {
  std::vector<Subresource> all;
  const std::vector<std::string_view> write{"get", "patch", "update"};
  if (kind.strategy.scaling)
    all.push_back(
        {"scale", {{"group", "autoscaling"}, {"version", "v1"}, {"kind", "Scale"}}, write});
  if (kind.strategy.hasStatus) all.push_back({"status", {}, write});
  for (const auto& part : kind.strategy.parts) all.push_back({part.subresource, {}, write});
  for (const auto& action : kind.actions)
    all.push_back({action.name,
                   {{"group", action.group}, {"version", action.version}, {"kind", action.kind}},
                   separated(action.verb)});
  return all;
}

http::Response discoveryAnswer(const http::Request& request, const RestPath& path) {
  using What = RestPath::What;
  const std::string_view version = aggregatedVersion(request);
  switch (path.what) {
    case What::kVersion:
      return jsonAnswer(200, versionDocument());
    case What::kHealth:
      return {200, {{"Content-Type", "text/plain; charset=utf-8"}}, "ok"};
    case What::kCoreVersions:
      return version.empty() ? jsonAnswer(200, coreVersions()) : aggregatedAnswer(true, version);
    case What::kGroups:
      return version.empty() ? jsonAnswer(200, groupList()) : aggregatedAnswer(false, version);
    case What::kGroup:
      return jsonAnswer(200, oneGroup(path.group));
    case What::kResources:
      return jsonAnswer(200, resourceList(path));
    default:
      return {404, {{"Content-Type", "text/plain; charset=utf-8"}}, "404 page not found\n"};
  }
}

}  // namespace podlab::apiserver
