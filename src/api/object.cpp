#include "api/object.hpp"

#include <stdexcept>

namespace podlab::api {
namespace {

const google::protobuf::FieldDescriptor& metadataField(const google::protobuf::Message& object) {
  // Upstream numbers metadata 1 in every kind.
  const auto* field = object.GetDescriptor()->FindFieldByNumber(1);
  if (field == nullptr || field->message_type() != metav1::ObjectMeta::descriptor()) {
    throw std::logic_error(object.GetTypeName() + " is no API object: it has no metadata");
  }
  return *field;
}

}  // namespace

const metav1::ObjectMeta& meta(const google::protobuf::Message& object) {
  return static_cast<const metav1::ObjectMeta&>(
      object.GetReflection()->GetMessage(object, &metadataField(object)));
}

metav1::ObjectMeta& mutableMeta(google::protobuf::Message& object) {
  return static_cast<metav1::ObjectMeta&>(
      *object.GetReflection()->MutableMessage(&object, &metadataField(object)));
}

std::string keyOf(const google::protobuf::Message& object) {
  const metav1::ObjectMeta& metadata = meta(object);
  if (metadata.namespace_().empty()) return metadata.name();
  return metadata.namespace_() + "/" + metadata.name();
}

}  // namespace podlab::api
