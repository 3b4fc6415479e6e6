#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/api.hpp"
#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "common/status.hpp"
#include "transport/http_request.hpp"

namespace podlab::apiserver {

struct RestBody {
  api::MutableObjectPtr object;
  std::vector<std::string> warnings;  ///< of unknown and duplicate fields
};

/// The object of a request's body: JSON (also without a Content-Type), YAML, or Kubernetes'
/// protobuf. A body without apiVersion and kind is taken for `type`; another type is kBadRequest
/// (but anything goes when `type` is empty). kUnsupportedMediaType for other forms. Fields that
/// strict decoding refuses are errors, warnings or nothing, as `validation` has it.
Result<RestBody> readRestBody(const http::Request& request,
                              const google::protobuf::Message& prototype, const api::TypeMeta& type,
                              api::FieldValidation validation);

/// The media type of the body, in lower case, without parameters; "" when there is none.
std::string mediaTypeOf(const http::Request& request);

}  // namespace podlab::apiserver
