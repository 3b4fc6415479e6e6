#pragma once
#include <google/protobuf/map_field.h>
#include <google/protobuf/message.h>

#include <utility>

/// Protobuf's reflection on maps as maps is open to a few named friends only. The public way, a map
/// as a list of entries, keeps the list beside the map from then on: twice the memory in every
/// stored object.
class google::protobuf::expr::CelMapReflectionFriend {
 public:
  /// False when the key was there already; `value` is its value either way.
  static bool insertOrLookup(Message& message, const FieldDescriptor* field, const MapKey& key,
                             MapValueRef* value) {
    return message.GetReflection()->InsertOrLookupMapValue(&message, field, key, value);
  }
  static std::pair<MapIterator, MapIterator> range(const Message& message,
                                                   const FieldDescriptor* field) {
    // The iterator's type asks for a mutable message even for reading.
    auto* readOnly = const_cast<Message*>(&message);
    return {message.GetReflection()->MapBegin(readOnly, field),
            message.GetReflection()->MapEnd(readOnly, field)};
  }
};

namespace podlab::api::codec {

using MapAccess = google::protobuf::expr::CelMapReflectionFriend;

}  // namespace podlab::api::codec
