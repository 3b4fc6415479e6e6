#include "api/object.hpp"

#include <stdexcept>

#include "api/type_cache.hpp"

namespace podlab::api {
namespace {

/// How a type's metadata is found.
struct MetadataField {
  const google::protobuf::Reflection* reflection = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
};

const MetadataField& metadataField(const google::protobuf::Message& object) {
  thread_local TypeCache<MetadataField> fields;
  return fields.of(object, [&] {
    // Upstream numbers metadata 1 in every kind.
    const auto* field = object.GetDescriptor()->FindFieldByNumber(1);
    if (field == nullptr || field->message_type() != metav1::ObjectMeta::descriptor()) {
      throw std::logic_error(object.GetTypeName() + " is no API object: it has no metadata");
    }
    return MetadataField{object.GetReflection(), field};
  });
}

}  // namespace

const metav1::ObjectMeta& meta(const google::protobuf::Message& object) {
  const auto& [reflection, field] = metadataField(object);
  return static_cast<const metav1::ObjectMeta&>(reflection->GetMessage(object, field));
}

metav1::ObjectMeta& mutableMeta(google::protobuf::Message& object) {
  const auto& [reflection, field] = metadataField(object);
  return static_cast<metav1::ObjectMeta&>(*reflection->MutableMessage(&object, field));
}

std::string keyOf(const google::protobuf::Message& object) {
  const metav1::ObjectMeta& metadata = meta(object);
  if (metadata.namespace_().empty()) return metadata.name();
  return metadata.namespace_() + "/" + metadata.name();
}

}  // namespace podlab::api
