#pragma once
#include <vector>

#include "api/kinds.hpp"
#include "common/status.hpp"

namespace podlab::api {

/// Field errors of an object's metadata, which are the same for all kinds but for the rule of
/// names.
std::vector<Cause> validateMetadata(const Kind& kind, const metav1::ObjectMeta& metadata);
/// Field errors of a change of metadata (name, uid, deletionTimestamp, ... are immutable).
std::vector<Cause> validateMetadataUpdate(const metav1::ObjectMeta& now,
                                          const metav1::ObjectMeta& before);

/// All rules for a new object of a stored kind, defaults applied and name generated: OK, or
/// kInvalid with every cause.
Status validateCreate(const google::protobuf::Message& object);
/// All rules for a replaced object; for its status or one part alone.
Status validateUpdate(const google::protobuf::Message& now,
                      const google::protobuf::Message& before);
Status validateStatusUpdate(const google::protobuf::Message& now,
                            const google::protobuf::Message& before);
/// The rules of a part that has its own subresource.
Status validatePartUpdate(const Strategy::Part& part, const google::protobuf::Message& now,
                          const google::protobuf::Message& before);

}  // namespace podlab::api
