#include "api/object.hpp"

#include <stdexcept>

#include "api/type_cache.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Message;

/// How a type's metadata is found.
struct MetadataField {
  const metav1::ObjectMeta& (*get)(const Message&) = nullptr;  ///< null: by reflection
  metav1::ObjectMeta& (*change)(Message&) = nullptr;
  const google::protobuf::Reflection* reflection = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
};

/// Of a type that is known here, without reflection's work.
template <typename T>
bool findMetadata(const Message& object, MetadataField& found) {
  if (typeid(object) != typeid(T)) return false;
  found.get = [](const Message& of) -> const metav1::ObjectMeta& {
    return static_cast<const T&>(of).metadata();
  };
  found.change = [](Message& of) -> metav1::ObjectMeta& {
    return *static_cast<T&>(of).mutable_metadata();
  };
  return true;
}

const MetadataField& metadataField(const Message& object) {
  thread_local TypeCache<MetadataField> fields;
  return fields.of(object, [&] {
    MetadataField found;
    // Those that come and change by the thousand.
    if (findMetadata<corev1::Pod>(object, found) || findMetadata<corev1::Event>(object, found) ||
        findMetadata<corev1::Node>(object, found) ||
        findMetadata<coordinationv1::Lease>(object, found)) {
      return found;
    }
    // Upstream numbers metadata 1 in every kind.
    const auto* field = object.GetDescriptor()->FindFieldByNumber(1);
    if (field == nullptr || field->message_type() != metav1::ObjectMeta::descriptor()) {
      throw std::logic_error(object.GetTypeName() + " is no API object: it has no metadata");
    }
    found.reflection = object.GetReflection();
    found.field = field;
    return found;
  });
}

}  // namespace

const metav1::ObjectMeta& meta(const Message& object) {
  const MetadataField& found = metadataField(object);
  if (found.get != nullptr) return found.get(object);
  return static_cast<const metav1::ObjectMeta&>(found.reflection->GetMessage(object, found.field));
}

metav1::ObjectMeta& mutableMeta(Message& object) {
  const MetadataField& found = metadataField(object);
  if (found.change != nullptr) return found.change(object);
  return static_cast<metav1::ObjectMeta&>(*found.reflection->MutableMessage(&object, found.field));
}

std::string keyOf(const Message& object) {
  const metav1::ObjectMeta& metadata = meta(object);
  const std::string& ns = metadata.namespace_();
  if (ns.empty()) return metadata.name();
  std::string key;
  key.reserve(ns.size() + 1 + metadata.name().size());
  return std::move(key.append(ns).append(1, '/').append(metadata.name()));
}

}  // namespace podlab::api
