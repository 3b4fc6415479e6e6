#pragma once
#include <string_view>

namespace podlab::api {

/// What a schema ("io.k8s.api.core.v1.Pod") is, for `kubectl explain`; "" when there is no text.
std::string_view describeMessage(std::string_view schema);
/// What a field is that all objects, or their metadata, have; "" when there is no text.
std::string_view describeField(std::string_view name);

}  // namespace podlab::api
