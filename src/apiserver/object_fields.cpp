#include "apiserver/object_fields.hpp"

#include <stdexcept>
#include <utility>

#include "api/arena_object.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// spec.finalizers of the object's type, nullptr when it has none; `spec` is set to the outer
/// field.
const FieldDescriptor* specFinalizers(const Message& object, const FieldDescriptor*& spec) {
  spec = object.GetDescriptor()->FindFieldByName("spec");
  if (spec == nullptr || spec->message_type() == nullptr) return nullptr;
  return spec->message_type()->FindFieldByName("finalizers");
}

}  // namespace

std::string storedValue(Message& object) {
  metav1::ObjectMeta& metadata = api::mutableMeta(object);
  if (!metadata.has_resourceversion()) return api::bytesOf(object);
  std::string revision = std::move(*metadata.mutable_resourceversion());
  metadata.clear_resourceversion();
  std::string value = api::bytesOf(object);
  metadata.set_resourceversion(std::move(revision));
  return value;
}

void copyField(const Message& from, Message& to, const char* name) {
  const FieldDescriptor* field = from.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) throw std::logic_error(from.GetTypeName() + " has no field " + name);
  to.GetReflection()->ClearField(&to, field);
  if (!from.GetReflection()->HasField(from, field)) return;
  to.GetReflection()
      ->MutableMessage(&to, field)
      ->MergeFrom(from.GetReflection()->GetMessage(from, field));
}

api::MutableObjectPtr copyWithStatus(const Message& object, const Message& from) {
  auto copy = api::makeOnArena(object, object.ByteSizeLong() + from.ByteSizeLong() / 2);
  const auto& reflection = *object.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(object, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->name() == "status") continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      reflection.MutableMessage(copy.get(), field)->MergeFrom(reflection.GetMessage(object, field));
    } else {
      reflection.SetString(copy.get(), field, reflection.GetString(object, field));
    }
  }
  copyField(from, *copy, "status");
  return copy;
}

bool specDiffers(const api::Kind& kind, const Message& a, const Message& b) {
  const auto stripped = [&](const Message& object) {
    const auto copy = api::copyOf(object);
    for (const char* name : {"metadata", "status"}) {
      if (name == std::string_view("status") && !kind.strategy.hasStatus) continue;
      if (const auto* field = copy->GetDescriptor()->FindFieldByName(name)) {
        copy->GetReflection()->ClearField(copy.get(), field);
      }
    }
    return api::bytesOf(*copy);
  };
  return stripped(a) != stripped(b);
}

bool hasSpecFinalizers(const Message& object) {
  const FieldDescriptor* spec = nullptr;
  return specFinalizers(object, spec) != nullptr;
}

bool hasFinalizers(const Message& object) {
  if (!api::meta(object).finalizers().empty()) return true;
  const FieldDescriptor* spec = nullptr;
  const FieldDescriptor* field = specFinalizers(object, spec);
  if (field == nullptr) return false;
  const Message& inner = object.GetReflection()->GetMessage(object, spec);
  return inner.GetReflection()->FieldSize(inner, field) > 0;
}

void copySpecFinalizers(const Message& from, Message& to) {
  const FieldDescriptor* spec = nullptr;
  const FieldDescriptor* field = specFinalizers(from, spec);
  const Message& source = from.GetReflection()->GetMessage(from, spec);
  Message& target = *to.GetReflection()->MutableMessage(&to, spec);
  target.GetReflection()->ClearField(&target, field);
  for (int i = 0; i < source.GetReflection()->FieldSize(source, field); ++i) {
    target.GetReflection()->AddString(&target, field,
                                      source.GetReflection()->GetRepeatedString(source, field, i));
  }
}

}  // namespace podlab::apiserver
