#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "api/typed_value.hpp"

namespace podlab::api {

/// The FieldsV1 of all that an object's JSON (as of toJson) has: the same as what compare() finds
/// added to nothing, in one pass over the text. Members of the object, or of its metadata, for
/// which `isLeft` holds do not count.
std::string madeFields(std::string_view json, const ValueType& type,
                       const std::function<bool(bool inMetadata, std::string_view name)>& isLeft);

}  // namespace podlab::api
