#include "api/packed.hpp"

#include <utility>

#include "api/arena_object.hpp"

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
  return std::make_shared<const Packed>(
      *object->GetReflection()->GetMessageFactory()->GetPrototype(object->GetDescriptor()),
      api::bytesOf(*object));
}

std::string Packed::bytesOf(const ObjectPtr& object) {
  const auto* unpacked = std::get_deleter<Unpacked>(object);
  return unpacked == nullptr ? object->SerializePartialAsString() : unpacked->packed->bytes();
}

std::string Packed::bytes() const {
  if (revision_ == 0) return *value_;
  // Of what comes twice the last counts: metadata is field 1 of every kind.
  metav1::ObjectMeta last;
  last.set_resourceversion(std::to_string(revision_));
  const std::string suffix = last.SerializeAsString();
  std::string bytes;
  bytes.reserve(value_->size() + suffix.size() + 2);
  return std::move(
      bytes.append(*value_).append({'\x0a', static_cast<char>(suffix.size())}).append(suffix));
}

ObjectPtr Packed::decode() const {
  if (auto alive = alive_.lock()) return alive;
  auto object = makeOnArena(prototype_, value_->size());
  if (!decodeTo(*object)) return nullptr;
  return adopt(std::move(object));
}

bool Packed::decodeTo(google::protobuf::Message& object) const {
  if (!object.ParseFromString(*value_)) return false;
  if (revision_ != 0) mutableMeta(object).set_resourceversion(std::to_string(revision_));
  return true;
}

ObjectPtr Packed::adopt(ObjectPtr object) const {
  // Of two owners the first to let go of it would have it forgotten.
  if (auto alive = alive_.lock()) return alive;
  const auto* raw = object.get();
  ObjectPtr unpacked(raw, Unpacked{std::move(object), shared_from_this()});
  alive_ = unpacked;
  return unpacked;
}

MutableObjectPtr takeOver(ObjectPtr& object) {
  // What was decoded is found again by what it was decoded from.
  const bool mayBeSeen = object.use_count() > 1 || std::get_deleter<Unpacked>(object) != nullptr;
  if (mayBeSeen) return nullptr;
  return std::const_pointer_cast<google::protobuf::Message>(std::exchange(object, nullptr));
}

MutableObjectPtr toChange(ObjectPtr object) {
  auto own = takeOver(object);
  return own != nullptr ? own : copyOf(*object);
}

}  // namespace podlab::api
