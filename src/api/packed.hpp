#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "api/object.hpp"

namespace podlab::api {

class Packed;
using PackedPtr = std::shared_ptr<const Packed>;

/// An object as its bytes in the wire format, which take an eighth of the memory that it takes
/// decoded: for who keeps many. Immutable and shared; of one thread.
class Packed : public std::enable_shared_from_this<Packed> {
 public:
  Packed(const google::protobuf::Message& prototype, std::string bytes)
      : Packed(prototype, std::make_shared<const std::string>(std::move(bytes)), 0) {}
  /// A stored value, which is shared with the store, and its revision, which is not in it.
  Packed(const google::protobuf::Message& prototype, std::shared_ptr<const std::string> value,
         std::int64_t revision)
      : prototype_(prototype), value_(std::move(value)), revision_(revision) {}

  /// What the object was decoded from; any other is packed.
  static PackedPtr of(const ObjectPtr& object);
  /// The object's bytes: what it was decoded from, or encoded anew.
  static std::string bytesOf(const ObjectPtr& object);

  /// The whole object.
  std::string bytes() const;
  /// Of a stored value: without its revision.
  const std::string& value() const { return *value_; }
  /// The same, as the store has it.
  const std::shared_ptr<const std::string>& share() const { return value_; }
  /// What it takes in memory, about.
  std::size_t size() const { return value_->size(); }
  /// Of a stored value; else 0.
  std::int64_t revision() const { return revision_; }
  const google::protobuf::Descriptor* descriptor() const { return prototype_.GetDescriptor(); }
  /// The object, the same for all who have it at the same time; nullptr when the bytes are damaged.
  ObjectPtr decode() const;
  /// Into a message of the same type, whose memory is used again; false when they are damaged.
  bool decodeTo(google::protobuf::Message& object) const;
  /// What decode() gives from now on while somebody has it: the object, which is what the bytes
  /// say, or the same one that somebody has already.
  ObjectPtr adopt(ObjectPtr object) const;

 private:
  const google::protobuf::Message& prototype_;
  const std::shared_ptr<const std::string> value_;
  const std::int64_t revision_;
  mutable std::weak_ptr<const google::protobuf::Message> alive_;
};

/// The object, to be changed, when the caller is the only one who has it, who has it no more then;
/// else nullptr.
MutableObjectPtr takeOver(ObjectPtr& object);
/// The object, to be changed: itself when the caller is the only one who has it, else a copy.
MutableObjectPtr toChange(ObjectPtr object);

/// An object of a list, which is decoded when somebody looks at it, and stays so.
class ListItem {
 public:
  ListItem() = default;
  ListItem(PackedPtr packed) : packed_(std::move(packed)) {}  // NOLINT(*-explicit-*)
  template <typename T>
    requires std::convertible_to<std::shared_ptr<T>, ObjectPtr>
  ListItem(std::shared_ptr<T> object) : object_(std::move(object)) {}  // NOLINT(*-explicit-*)

  const ObjectPtr& object() const {
    if (!object_ && packed_) object_ = packed_->decode();
    return object_;
  }
  operator const ObjectPtr&() const { return object(); }  // NOLINT(*-explicit-*)
  const google::protobuf::Message& operator*() const { return *object(); }
  const google::protobuf::Message* operator->() const { return object().get(); }
  /// What it is decoded from; nullptr when it came decoded.
  const PackedPtr& packed() const { return packed_; }

 private:
  PackedPtr packed_;
  mutable ObjectPtr object_;
};

}  // namespace podlab::api
