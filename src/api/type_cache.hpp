#pragma once
#include <google/protobuf/message.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <typeinfo>

namespace podlab::api {

/// What is asked of each type of message again and again, for the types that were asked for last:
/// found by the address of the type's description, which takes less than a message's descriptor.
template <typename Value>
class TypeCache {
 public:
  /// The value of the object's type, which `make` gives the first time, or once more. Valid until
  /// the next call.
  template <typename Make>
  const Value& of(const google::protobuf::Message& object, Make make) {
    const std::type_info* type = &typeid(object);
    Entry& entry = entries_[reinterpret_cast<std::uintptr_t>(type) / sizeof(void*) % kEntries];
    if (entry.type != type) entry = {type, make()};
    return entry.value;
  }

 private:
  static constexpr std::size_t kEntries = 128;  // some three times the kinds

  struct Entry {
    const std::type_info* type = nullptr;
    Value value = {};
  };
  std::array<Entry, kEntries> entries_;
};

}  // namespace podlab::api
