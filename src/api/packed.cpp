#include "api/packed.hpp"

namespace podlab::api {
namespace {

/// Of an object that was decoded: knows from what. It forgets that when the object goes, since what
/// it was decoded from remembers this in turn.
struct Unpacked {
  ObjectPtr object;
  PackedPtr packed;

  void operator()(const google::protobuf::Message* /*object*/) {
    object = nullptr;
    packed = nullptr;
  }
};

}  // namespace

PackedPtr Packed::of(const ObjectPtr& object) {
  if (const auto* unpacked = std::get_deleter<Unpacked>(object)) return unpacked->packed;
  auto packed = std::make_shared<const Packed>(
      *object->GetReflection()->GetMessageFactory()->GetPrototype(object->GetDescriptor()),
      object->SerializePartialAsString());
  packed->alive_ = object;
  return packed;
}

ObjectPtr Packed::decode() const {
  if (auto alive = alive_.lock()) return alive;
  std::shared_ptr<google::protobuf::Message> object(prototype_.New());
  if (!object->ParseFromString(bytes_)) return nullptr;
  return adopt(std::move(object));
}

ObjectPtr Packed::adopt(ObjectPtr object) const {
  const auto* raw = object.get();
  ObjectPtr unpacked(raw, Unpacked{std::move(object), shared_from_this()});
  alive_ = unpacked;
  return unpacked;
}

}  // namespace podlab::api
