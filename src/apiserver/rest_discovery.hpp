#pragma once
#include "apiserver/rest_path.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// The answer to a GET of anything but objects: versions, groups, resources (legacy and
/// aggregated discovery), health, OpenAPI.
http::Response discoveryAnswer(const http::Request& request, const RestPath& path);

}  // namespace podlab::apiserver
