#include "apiserver/object_fields.hpp"

#include <stdexcept>
#include <utility>

#include "api/arena_object.hpp"
#include "api/packed.hpp"
#include "api/type_cache.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// Where a type has spec.finalizers; no `field` where it has none.
struct SpecFinalizers {
  const FieldDescriptor* spec = nullptr;
  const FieldDescriptor* field = nullptr;
};

SpecFinalizers specFinalizers(const Message& object) {
  thread_local api::TypeCache<SpecFinalizers> known;
  return known.of(object, [&] {
    SpecFinalizers found;
    found.spec = object.GetDescriptor()->FindFieldByName("spec");
    if (found.spec != nullptr && found.spec->message_type() != nullptr)
      found.field = found.spec->message_type()->FindFieldByName("finalizers");
    return found;
  });
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

api::MutableObjectPtr copyWithStatus(const Message& object, api::ObjectPtr& from) {
  const auto& reflection = *object.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  auto copy = api::takeOver(from);
  if (copy != nullptr) {
    reflection.ListFields(*copy, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->name() != "status") reflection.ClearField(copy.get(), field);
    }
    reflection.MutableUnknownFields(copy.get())->Clear();
  } else {
    copy = api::makeLike(object);
    copyField(*from, *copy, "status");
  }
  reflection.ListFields(object, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->name() == "status") continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      reflection.MutableMessage(copy.get(), field)->MergeFrom(reflection.GetMessage(object, field));
    } else {
      reflection.SetString(copy.get(), field, reflection.GetString(object, field));
    }
  }
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
  return specFinalizers(object).field != nullptr;
}

bool hasFinalizers(const Message& object) {
  if (!api::meta(object).finalizers().empty()) return true;
  const auto [spec, field] = specFinalizers(object);
  if (field == nullptr) return false;
  const Message& inner = object.GetReflection()->GetMessage(object, spec);
  return inner.GetReflection()->FieldSize(inner, field) > 0;
}

void copySpecFinalizers(const Message& from, Message& to) {
  const auto [spec, field] = specFinalizers(from);
  const Message& source = from.GetReflection()->GetMessage(from, spec);
  Message& target = *to.GetReflection()->MutableMessage(&to, spec);
  target.GetReflection()->ClearField(&target, field);
  for (int i = 0; i < source.GetReflection()->FieldSize(source, field); ++i) {
    target.GetReflection()->AddString(&target, field,
                                      source.GetReflection()->GetRepeatedString(source, field, i));
  }
}

}  // namespace podlab::apiserver
