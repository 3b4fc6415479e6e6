#include "apiserver/rest_path.hpp"

#include <algorithm>
#include <vector>

#include "api/kinds.hpp"
#include "common/json.hpp"
#include "transport/http_request.hpp"

namespace podlab::apiserver {
namespace {

/// The decoded segments; nullopt when one is empty, ".", "..", has a '/' or is not UTF-8.
std::optional<std::vector<std::string>> segmentsOf(std::string_view path) {
  std::vector<std::string> segments;
  path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    auto segment = http::percentDecode(path.substr(0, slash));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (!segment || segment->empty() || *segment == "." || *segment == ".." || !isUtf8(*segment))
      return std::nullopt;
    const auto isForbidden = [](unsigned char c) { return c < 0x20 || c == '/'; };
    if (std::ranges::any_of(*segment, isForbidden)) return std::nullopt;
    segments.push_back(std::move(*segment));
  }
  return segments;
}

/// The segments behind the version: [namespaces NS] RESOURCE [NAME [SUBRESOURCE]].
std::optional<api::ResourceId> resourceOf(const RestPath& path, std::vector<std::string> segments) {
  api::ResourceId id;
  // /namespaces/NAME[/status|/finalize] is the Namespace itself.
  const bool inNamespace = segments.size() > 2 && segments[0] == "namespaces" &&
                           segments[2] != "status" && segments[2] != "finalize";
  if (inNamespace) {
    id.ns = segments[1];
    segments.erase(segments.begin(), segments.begin() + 2);
  }
  if (segments.size() > 3) return std::nullopt;
  id.kind = api::findResource(path.group, segments[0], path.version);
  if (id.kind == nullptr) return std::nullopt;
  if (segments.size() > 1) id.name = segments[1];
  if (segments.size() > 2) id.subresource = segments[2];
  if (!id.kind->namespaced() && inNamespace) return std::nullopt;
  if (id.kind->namespaced() && !inNamespace && !id.name.empty()) return std::nullopt;
  return id;
}

RestPath::What wellKnown(const std::vector<std::string>& segments) {
  using What = RestPath::What;
  using Segments = std::vector<std::string>;
  if (segments == Segments{"version"}) return What::kVersion;
  if (segments == Segments{"openapi", "v2"} || segments == Segments{"swagger-2.0.0.pb-v1"})
    return What::kOpenApiV2;
  if (segments == Segments{"openapi", "v3"}) return What::kOpenApi;
  if (segments == Segments{".well-known", "openid-configuration"}) return What::kTokenIssuer;
  if (segments == Segments{"openid", "v1", "jwks"}) return What::kTokenKeys;
  const bool health = !segments.empty() && (segments[0] == "healthz" || segments[0] == "livez" ||
                                            segments[0] == "readyz");
  return health ? What::kHealth : What::kUnknown;
}

}  // namespace

RestPath parseRestPath(std::string_view path) {
  RestPath parsed;
  auto segments = segmentsOf(path);
  if (!segments || segments->empty()) return parsed;
  if (segments->size() > 2 && (*segments)[0] == "openapi" && (*segments)[1] == "v3") {
    segments->erase(segments->begin(), segments->begin() + 2);
    const bool core = segments->size() == 2 && segments->front() == "api";
    if (!core && (segments->size() != 3 || segments->front() != "apis")) return parsed;
    parsed.what = RestPath::What::kOpenApiV3;
    parsed.version = segments->back();
    if (!core) parsed.group = (*segments)[1];
    return parsed;
  }
  const bool core = segments->front() == "api";
  if (!core && segments->front() != "apis") {
    parsed.what = wellKnown(*segments);
    return parsed;
  }
  const std::size_t prefix = core ? 2 : 3;
  if (!core && segments->size() > 1) parsed.group = (*segments)[1];
  if (segments->size() >= prefix) parsed.version = (*segments)[prefix - 1];
  if (segments->size() > prefix) {
    segments->erase(segments->begin(), segments->begin() + static_cast<std::ptrdiff_t>(prefix));
    auto id = resourceOf(parsed, std::move(*segments));
    if (!id) return parsed;
    parsed.what = RestPath::What::kObjects;
    parsed.id = std::move(*id);
    return parsed;
  }
  const auto serves = [&](const api::Kind& kind) {
    return kind.group == parsed.group && (parsed.version.empty() || kind.version == parsed.version);
  };
  if (segments->size() == 1) {
    parsed.what = core ? RestPath::What::kCoreVersions : RestPath::What::kGroups;
  } else if ((core || !parsed.group.empty()) && std::ranges::any_of(api::servedKinds(), serves)) {
    parsed.what = parsed.version.empty() ? RestPath::What::kGroup : RestPath::What::kResources;
  }
  return parsed;
}

}  // namespace podlab::apiserver
