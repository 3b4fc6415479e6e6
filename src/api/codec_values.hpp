#pragma once
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "meta_v1.pb.h"

#include "api/codec.hpp"
#include "api/codec_table.hpp"
#include "common/json.hpp"

/// How values look in JSON, for those who write them from messages and from bytes.
namespace podlab::api::codec {

/// null when unset or beyond what can be told.
void writeTime(JsonWriter& writer, const metav1::Time& time);
void writeTime(JsonWriter& writer, const metav1::MicroTime& time);
/// Embedded JSON; what is not JSON (other clients may store anything) becomes null.
void writeRaw(JsonWriter& writer, std::string_view json);
void writeQuantity(JsonWriter& writer, std::string_view text);
void writeEnum(JsonWriter& writer, const Field& field, int number);
/// A message of Form::kSchemaOr: its schema, or what stands in its place.
void writeSchemaOr(JsonWriter& writer, const google::protobuf::Message& message);

/// apiVersion and kind, where they belong among the sorted members of an object.
class TypeMembers {
 public:
  TypeMembers(JsonWriter& writer, const TypeMeta& type)
      : writer_(writer), members_{{{"apiVersion", type.apiVersion}, {"kind", type.kind}}} {}

  /// What comes before the member.
  void before(std::string_view name) {
    while (next_ < members_.size() && members_[next_].first < name) write();
  }
  void rest() {
    while (next_ < members_.size()) write();
  }

 private:
  void write() {
    const auto& [name, value] = members_[next_++];
    if (value.empty()) return;
    writer_.key(name);
    writer_.string(value);
  }

  JsonWriter& writer_;
  std::array<std::pair<std::string_view, std::string_view>, 2> members_;
  std::size_t next_ = 0;
};

}  // namespace podlab::api::codec
