#pragma once
#include <cstddef>
#include <string>

#include "api/object.hpp"

namespace podlab::api {

/// An empty message of the prototype's type, in memory of its own that comes and goes as one piece
/// or few: objects are made and let go many thousand times a second. `bytes` is what it is going to
/// take in the wire format, about.
MutableObjectPtr makeOnArena(const google::protobuf::Message& prototype, std::size_t bytes);
/// The same, with room for about what `object` takes.
MutableObjectPtr makeLike(const google::protobuf::Message& object);
/// A copy to be changed, in such memory.
MutableObjectPtr copyOf(const google::protobuf::Message& object);

/// In the wire format, maps in the order of their keys: the same messages give the same bytes.
std::string bytesOf(const google::protobuf::Message& message);
/// Whether the messages, of one type, are the same in every field.
bool isSame(const google::protobuf::Message& a, const google::protobuf::Message& b);

}  // namespace podlab::api
