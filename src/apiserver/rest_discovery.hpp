#pragma once
#include <string_view>
#include <utility>
#include <vector>

#include "api/kinds.hpp"
#include "apiserver/rest_path.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// Part of a kind's objects, or what can be done to one.
struct Subresource {
  using Members = std::vector<std::pair<std::string_view, std::string_view>>;
  std::string_view name;
  Members kind;  ///< group, version and kind of what is read or written, where it is not the object
  std::vector<std::string_view> verbs;
};

std::vector<Subresource> subresourcesOf(const api::Kind& kind);

/// What the server serves: versions, groups and resources, in the legacy or the aggregated form,
/// whichever the client asks for; and whether it is well.
http::Response discoveryAnswer(const http::Request& request, const RestPath& path);

}  // namespace podlab::apiserver
