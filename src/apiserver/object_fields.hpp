#pragma once
#include <string>

#include "api/kinds.hpp"
#include "api/object.hpp"

namespace podlab::apiserver {

/// What the store keeps of an object: all but its resourceVersion, which is the key's. Equal
/// objects give equal bytes. The object is as before when it returns.
std::string storedValue(google::protobuf::Message& object);

/// A copy of an object, whose fields are single messages and texts, with the status of another;
/// that becomes it when nobody else has it, and is null then.
api::MutableObjectPtr copyWithStatus(const google::protobuf::Message& object, api::ObjectPtr& from);
/// Makes the top-level field `name` ("spec", "status") of `to` equal to that of `from`.
void copyField(const google::protobuf::Message& from, google::protobuf::Message& to,
               const char* name);
/// Whether two objects of the kind differ in what counts for their generation: in anything but
/// metadata and, where it is a subresource, status.
bool specDiffers(const api::Kind& kind, const google::protobuf::Message& a,
                 const google::protobuf::Message& b);

/// Whether metadata.finalizers, or a Namespace's spec.finalizers, hold the object back from
/// removal.
bool hasFinalizers(const google::protobuf::Message& object);
/// Whether the kind has spec.finalizers; and makes those of `to` equal to those of `from`.
bool hasSpecFinalizers(const google::protobuf::Message& object);
void copySpecFinalizers(const google::protobuf::Message& from, google::protobuf::Message& to);

}  // namespace podlab::apiserver
