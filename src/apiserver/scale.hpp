#pragma once
#include "autoscaling_v1.pb.h"

#include "api/kinds.hpp"
#include "common/status.hpp"

namespace podlab::apiserver {

/// What the subresource scale shows of an object whose kind has one.
api::ObjectPtr scaleOf(const api::Kind& kind, const google::protobuf::Message& object);
/// The object as it is to become by a write of its scale, with the preconditions that the scale
/// carries (uid, resourceVersion). kInvalid names what is wrong with the scale.
Result<api::ObjectPtr> scaled(const api::Kind& kind, const google::protobuf::Message& object,
                              const google::protobuf::Message& scale);

}  // namespace podlab::apiserver
