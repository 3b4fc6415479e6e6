#pragma once
#include <memory>
#include <string>
#include <utility>

#include "api/arena_object.hpp"
#include "api/packed.hpp"

namespace podlab::api {

/// A message that is looked at now and then, and kept as its bytes in between: rest() lets go of
/// the decoded one, and the next look decodes it again. Of one thread.
template <typename Message>
class Dormant {
 public:
  Dormant(std::shared_ptr<const Message> message)  // NOLINT(*-explicit-*)
      : message_(std::move(message)) {}
  Dormant(Message message)  // NOLINT(*-explicit-*)
      : message_(std::make_shared<const Message>(std::move(message))) {}

  /// Valid until the next rest(), or until another message is assigned.
  const Message& operator*() const {
    if (message_ == nullptr) message_ = std::static_pointer_cast<const Message>(packed_->decode());
    return *message_;
  }
  const Message* operator->() const { return &**this; }
  /// For who keeps it beyond that.
  PackedPtr share() {
    if (message_ == nullptr) return packed_;
    packed_ = Packed::of(message_);
    // From now on it knows its bytes.
    message_ = std::static_pointer_cast<const Message>(packed_->adopt(message_));
    return packed_;
  }

  /// Whether the messages are the same in every field.
  bool isSame(Dormant& other) { return share()->value() == other.share()->value(); }

  void rest() {
    (void)share();
    message_ = nullptr;
  }

 private:
  mutable std::shared_ptr<const Message> message_;
  PackedPtr packed_;
};

}  // namespace podlab::api
