#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "api/api.hpp"

namespace podlab::apiserver {

/// What a path of the REST API names (Kubernetes API concepts, "Resource URIs").
struct RestPath {
  enum class What {
    kUnknown,
    kVersion,       ///< /version
    kHealth,        ///< /healthz, /livez, /readyz
    kCoreVersions,  ///< /api
    kGroups,        ///< /apis
    kGroup,         ///< /apis/GROUP
    kResources,     ///< /api/v1, /apis/GROUP/VERSION
    kOpenApiV2,     ///< /openapi/v2, /swagger-2.0.0.pb-v1
    kOpenApi,       ///< /openapi/v3
    kOpenApiV3,     ///< /openapi/v3/api/v1, /openapi/v3/apis/GROUP/VERSION
    kTokenIssuer,   ///< /.well-known/openid-configuration
    kTokenKeys,     ///< /openid/v1/jwks
    kObjects,       ///< an object or a collection
  };
  What what = What::kUnknown;
  std::string group;
  std::string version;
  api::ResourceId id;  ///< of kObjects
};

/// `path` as sent, percent-encoded. A malformed one, or one of a kind that is not served, is
/// kUnknown.
RestPath parseRestPath(std::string_view path);

}  // namespace podlab::apiserver
