#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apiextensions_v1.pb.h"
#include "custom_object.pb.h"
#include "intstr.pb.h"
#include "runtime.pb.h"

#include "api/codec.hpp"
#include "api/codec_base64.hpp"
#include "api/codec_map.hpp"
#include "api/codec_table.hpp"
#include "api/codec_values.hpp"
#include "api/custom/custom_object.hpp"
#include "api/quantity.hpp"
#include "api/times.hpp"
#include "common/yaml.hpp"

namespace podlab::api {
namespace {

using codec::Field;
using codec::Form;
using codec::Shape;
using codec::Table;
using google::protobuf::FieldDescriptor;
using google::protobuf::MapValueConstRef;
using google::protobuf::Message;
using google::protobuf::Reflection;
namespace intstr = k8s::io::apimachinery::pkg::util::intstr;
namespace runtime = k8s::io::apimachinery::pkg::runtime;

// Where a value comes from: a field, a list's element, or a map's value.

struct SingleSource {
  const Message& owner;
  const Reflection& reflection;
  const FieldDescriptor* field;

  bool boolean() const { return reflection.GetBool(owner, field); }
  std::int32_t int32() const { return reflection.GetInt32(owner, field); }
  std::int64_t int64() const { return reflection.GetInt64(owner, field); }
  std::uint32_t uint32() const { return reflection.GetUInt32(owner, field); }
  std::uint64_t uint64() const { return reflection.GetUInt64(owner, field); }
  double float64() const { return reflection.GetDouble(owner, field); }
  int enumNumber() const { return reflection.GetEnumValue(owner, field); }
  const std::string& string() const { return reflection.GetStringReference(owner, field, nullptr); }
  const Message& message() const { return reflection.GetMessage(owner, field); }
};

struct ListSource {
  const Message& owner;
  const Reflection& reflection;
  const FieldDescriptor* field;
  int index;

  bool boolean() const { return reflection.GetRepeatedBool(owner, field, index); }
  std::int32_t int32() const { return reflection.GetRepeatedInt32(owner, field, index); }
  std::int64_t int64() const { return reflection.GetRepeatedInt64(owner, field, index); }
  std::uint32_t uint32() const { return reflection.GetRepeatedUInt32(owner, field, index); }
  std::uint64_t uint64() const { return reflection.GetRepeatedUInt64(owner, field, index); }
  double float64() const { return reflection.GetRepeatedDouble(owner, field, index); }
  int enumNumber() const { return reflection.GetRepeatedEnumValue(owner, field, index); }
  const std::string& string() const {
    return reflection.GetRepeatedStringReference(owner, field, index, nullptr);
  }
  const Message& message() const { return reflection.GetRepeatedMessage(owner, field, index); }
};

struct MapSource {
  const MapValueConstRef& value;

  bool boolean() const { return value.GetBoolValue(); }
  std::int32_t int32() const { return value.GetInt32Value(); }
  std::int64_t int64() const { return value.GetInt64Value(); }
  std::uint32_t uint32() const { return value.GetUInt32Value(); }
  std::uint64_t uint64() const { return value.GetUInt64Value(); }
  double float64() const { return value.GetDoubleValue(); }
  int enumNumber() const { return value.GetEnumValue(); }
  const std::string& string() const { return value.GetStringValue(); }
  const Message& message() const { return value.GetMessageValue(); }
};

class Encoder {
 public:
  explicit Encoder(JsonWriter& out) : out_(out) {}

  void object(const Message& message, const Table& table) {
    out_.beginObject();
    members(message, table, [](std::string_view) {});
    out_.endObject();
  }

  void root(const Message& message, const Table& table, const TypeMeta& type) {
    codec::TypeMembers typeMembers(out_, type);
    out_.beginObject();
    members(message, table, [&](std::string_view name) { typeMembers.before(name); });
    typeMembers.rest();
    out_.endObject();
  }

  /// The schema, or what stands in its place.
  void schemaOr(const Message& message) {
    const auto* schema = message.GetDescriptor()->FindFieldByName("schema");
    const Reflection& reflection = *message.GetReflection();
    const bool given = reflection.HasField(message, schema);
    if (given) {
      return object(reflection.GetMessage(message, schema), Table::of(schema->message_type()));
    }
    for (const Field& field : Table::of(message.GetDescriptor()).fields()) {
      if (field.descriptor == schema) continue;
      if (field.shape == Shape::kSingle)
        return value(field, SingleSource{message, reflection, field.descriptor});
      elements(message, reflection, field, reflection.FieldSize(message, field.descriptor));
    }
  }

 private:
  /// A message whose fields are members.
  struct Owner {
    const Message* message = nullptr;
    const Reflection* reflection = nullptr;
  };

  /// Costs as much as there is in the message, not as there could be.
  template <typename Before>
  void members(const Message& message, const Table& table, const Before& before) {
    Table::FieldBits there{};
    const Owner self{&message, message.GetReflection()};
    Owner owner = self;
    std::size_t group = 0;  // of `owner`
    for (const Table::Group& fields : table.groups()) {
      const Owner one = ownerIn(self, fields);
      one.reflection->ListFields(*one.message, &listed_);
      for (const FieldDescriptor* field : listed_) {
        const std::size_t at = fields.members[static_cast<std::size_t>(field->index())];
        if (at != Table::Group::kNone) there[at / 64] |= std::uint64_t{1} << at % 64;
      }
    }
    for (std::size_t word = 0; word < there.size(); ++word) {
      for (std::uint64_t left = there[word] | table.always()[word]; left != 0; left &= left - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(left));
        const Field& field = table.fields()[word * 64 + bit];
        before(field.name);
        if (field.group != group) {
          group = field.group;
          owner = ownerIn(self, table.groups()[group]);
        }
        member(owner, field, (there[word] >> bit & 1) != 0);
      }
    }
  }

  static Owner ownerIn(Owner owner, const Table::Group& group) {
    for (const FieldDescriptor* step : group.via) {
      owner.message = &owner.reflection->GetMessage(*owner.message, step);
      owner.reflection = owner.message->GetReflection();
    }
    return owner;
  }

  void member(const Owner& owner, const Field& field, bool has) {
    switch (field.shape) {
      case Shape::kSingle:
        return single(owner, field, has);
      case Shape::kList:
        out_.quotedKey(field.quoted);
        return elements(*owner.message, *owner.reflection, field,
                        owner.reflection->FieldSize(*owner.message, field.descriptor));
      case Shape::kMap:
        return map(*owner.message, *owner.reflection, field);
    }
  }

  void single(const Owner& owner, const Field& field, bool has) {
    const SingleSource source{*owner.message, *owner.reflection, field.descriptor};
    if (!field.always && !field.presence && isZero(field, source)) return;
    out_.quotedKey(field.quoted);
    if (!has && field.presence) return out_.null();
    value(field, source);
  }

  static bool isZero(const Field& field, const SingleSource& source) {
    switch (field.form) {
      case Form::kBool:
        return !source.boolean();
      case Form::kInt32:
        return source.int32() == 0;
      case Form::kInt64:
        return source.int64() == 0;
      case Form::kUint32:
        return source.uint32() == 0;
      case Form::kUint64:
        return source.uint64() == 0;
      case Form::kDouble:
        return source.float64() == 0;
      case Form::kString:
      case Form::kBytes:
        return source.string().empty();
      case Form::kTime:
        return !isSet(static_cast<const metav1::Time&>(source.message()));
      case Form::kMicroTime:
        return !isSet(static_cast<const metav1::MicroTime&>(source.message()));
      default:
        return false;
    }
  }

  void elements(const Message& owner, const Reflection& reflection, const Field& field, int size) {
    out_.beginArray();
    for (int i = 0; i < size; ++i) value(field, ListSource{owner, reflection, field.descriptor, i});
    out_.endArray();
  }

  void map(const Message& owner, const Reflection& reflection, const Field& field) {
    const int size = reflection.FieldSize(owner, field.descriptor);
    std::vector<std::pair<std::string, MapValueConstRef>> entries;
    if (size > 0) {
      entries.reserve(static_cast<std::size_t>(size));
      auto [at, end] = codec::MapAccess::range(owner, field.descriptor);
      for (; at != end; ++at) entries.emplace_back(at.GetKey().GetStringValue(), at.GetValueRef());
      std::sort(entries.begin(), entries.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out_.quotedKey(field.quoted);
    out_.beginObject();
    for (const auto& [key, ref] : entries) {
      out_.key(key);
      value(field, MapSource{ref});
    }
    out_.endObject();
  }

  template <typename Source>
  void value(const Field& field, const Source& source) {
    switch (field.form) {
      case Form::kBool:
        return out_.boolean(source.boolean());
      case Form::kInt32:
        return out_.number(std::int64_t{source.int32()});
      case Form::kInt64:
        return out_.number(source.int64());
      case Form::kUint32:
        return out_.number(std::uint64_t{source.uint32()});
      case Form::kUint64:
        return out_.number(source.uint64());
      case Form::kDouble:
        return out_.number(source.float64());
      case Form::kString:
        return out_.string(source.string());
      case Form::kBytes:
        return out_.plainString(codec::base64Encode(source.string()));
      case Form::kEnum:
        return codec::writeEnum(out_, field, source.enumNumber());
      case Form::kMessage:
        return object(source.message(), *field.message);
      case Form::kQuantity: {
        const auto& quantity = static_cast<const resourcev1::Quantity&>(source.message());
        return codec::writeQuantity(out_, quantity.string());
      }
      case Form::kIntOrString: {
        const auto& either = static_cast<const intstr::IntOrString&>(source.message());
        return either.type() == 0 ? out_.number(std::int64_t{either.intval()})
                                  : out_.string(either.strval());
      }
      case Form::kTime:
        return codec::writeTime(out_, static_cast<const metav1::Time&>(source.message()));
      case Form::kMicroTime:
        return codec::writeTime(out_, static_cast<const metav1::MicroTime&>(source.message()));
      case Form::kDuration:
        return out_.plainString(formatDuration(
            Duration(static_cast<const metav1::Duration&>(source.message()).duration())));
      case Form::kFieldsV1:
        return codec::writeRaw(out_, static_cast<const metav1::FieldsV1&>(source.message()).raw());
      case Form::kRawExtension:
        return codec::writeRaw(out_,
                               static_cast<const runtime::RawExtension&>(source.message()).raw());
      case Form::kJson:
        return codec::writeRaw(out_,
                               static_cast<const apiextensionsv1::JSON&>(source.message()).raw());
      case Form::kSchemaOr:
        return schemaOr(source.message());
      case Form::kBareList: {
        const Message& bare = source.message();
        const Field& items = Table::of(bare.GetDescriptor()).fields()[0];
        const Reflection& reflection = *bare.GetReflection();
        return elements(bare, reflection, items, reflection.FieldSize(bare, items.descriptor));
      }
    }
  }

  JsonWriter& out_;
  std::vector<const FieldDescriptor*> listed_;
};

}  // namespace

void codec::writeSchemaOr(JsonWriter& writer, const Message& message) {
  Encoder(writer).schemaOr(message);
}

void writeJson(JsonWriter& writer, const Message& message, const TypeMeta& type) {
  if (const auto* custom = dynamic_cast<const CustomObject*>(&message))
    return writeCustomObject(writer, *custom);
  Encoder(writer).root(message, Table::of(message.GetDescriptor()), type);
}

std::string toJson(const Message& message, const EncodeOptions& options) {
  std::string text;
  JsonWriter writer(text, options.indent);
  writeJson(writer, message, options.type);
  return text;
}

std::string toYaml(const Message& message, const TypeMeta& type) {
  return jsonToYaml(toJson(message, {.type = type})).valueOr({});
}

}  // namespace podlab::api
