#pragma once
#include <cstdint>
#include <functional>

#include "api/api.hpp"

namespace podlab::client {

/// Changes an object's copy; false: it is fine as it is.
using Change = std::function<bool(google::protobuf::Message&)>;

/// What is to be written in an object's place; nullptr: it is fine as it is.
using Replacement = std::function<api::MutableObjectPtr(const google::protobuf::Message&)>;

/// Reads, changes and writes an object until no other write comes between. `known` saves the first
/// read when it is not null. The object as it is then at the server; kConflict after many rounds.
Co<Result<api::ObjectPtr>> modify(api::Api& api, api::ResourceId id, api::ObjectPtr known,
                                  Change change);
Co<Result<api::ObjectPtr>> replace(api::Api& api, api::ResourceId id, api::ObjectPtr known,
                                   Replacement replacement);

/// The object's resourceVersion; 0 when it has none.
std::uint64_t revisionOf(const google::protobuf::Message& object);

/// Whether `a` is a later state of the object than `b`, which may be null.
bool isNewer(const google::protobuf::Message& a, const api::ObjectPtr& b);

}  // namespace podlab::client
