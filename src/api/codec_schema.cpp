#include <map>
#include <set>

#include "api/codec.hpp"
#include "api/codec_table.hpp"

namespace podlab::api {
namespace {

using codec::Field;
using codec::Form;
using codec::Shape;
using codec::Table;
using google::protobuf::Descriptor;

class SchemaWriter {
 public:
  explicit SchemaWriter(std::string& out) : out_(out, 2) {}

  void document(const Descriptor* root) {
    out_.beginObject();
    member("$schema", "https://json-schema.org/draft/2020-12/schema");
    member("$ref", reference(root));
    out_.key("$defs");
    out_.beginObject();
    // Definitions add those that they refer to.
    while (!pending_.empty()) {
      const auto [name, descriptor] = *pending_.begin();
      pending_.erase(pending_.begin());
      out_.key(name);
      object(descriptor, descriptor == root);
    }
    out_.endObject();
    out_.endObject();
  }

 private:
  std::string reference(const Descriptor* descriptor) {
    if (known_.insert(descriptor).second) pending_.emplace(descriptor->full_name(), descriptor);
    return "#/$defs/" + descriptor->full_name();
  }

  void member(std::string_view name, std::string_view value) {
    out_.key(name);
    out_.string(value);
  }

  void object(const Descriptor* descriptor, bool root) {
    out_.beginObject();
    member("type", "object");
    out_.key("properties");
    out_.beginObject();
    const Table& table = Table::of(descriptor);
    for (const std::string_view name : {"apiVersion", "kind"}) {
      if (!root || table.find(name)) continue;
      out_.key(name);
      out_.beginObject();
      member("type", "string");
      out_.endObject();
    }
    for (const Field& field : table.fields()) {
      out_.key(field.name);
      out_.beginObject();
      switch (field.shape) {
        case Shape::kSingle:
          value(field);
          break;
        case Shape::kList:
          member("type", "array");
          nested("items", field);
          break;
        case Shape::kMap:
          member("type", "object");
          nested("additionalProperties", field);
          break;
      }
      out_.endObject();
    }
    out_.endObject();
    out_.key("additionalProperties");
    out_.boolean(false);
    out_.endObject();
  }

  void nested(std::string_view name, const Field& field) {
    out_.key(name);
    out_.beginObject();
    value(field);
    out_.endObject();
  }

  void types(std::string_view one, std::string_view other) {
    out_.key("type");
    out_.beginArray();
    out_.string(one);
    out_.string(other);
    out_.endArray();
  }

  /// The keywords of one value, inside its schema object.
  void value(const Field& field) {
    switch (field.form) {
      case Form::kBool:
        return member("type", "boolean");
      case Form::kInt32:
      case Form::kInt64:
      case Form::kUint32:
      case Form::kUint64:
        return member("type", "integer");
      case Form::kDouble:
        return member("type", "number");
      case Form::kString:
      case Form::kDuration:
        return member("type", "string");
      case Form::kBytes:
        member("type", "string");
        return member("contentEncoding", "base64");
      case Form::kTime:
      case Form::kMicroTime:
        member("type", "string");
        return member("format", "date-time");
      case Form::kQuantity:
        return types("string", "number");
      case Form::kIntOrString:
        return types("string", "integer");
      case Form::kFieldsV1:
      case Form::kRawExtension:
      case Form::kJson:
      case Form::kSchemaOr:
        return;  // anything
      case Form::kBareList:
        member("type", "array");
        return nested("items", Table::of(field.value->message_type()).fields()[0]);
      case Form::kMessage:
        return member("$ref", reference(field.value->message_type()));
      case Form::kEnum:
        out_.key("enum");
        out_.beginArray();
        for (int i = 0; i < field.value->enum_type()->value_count(); ++i) {
          out_.string(field.value->enum_type()->value(i)->name());
        }
        return out_.endArray();
    }
  }

  JsonWriter out_;
  std::set<const Descriptor*> known_;
  std::map<std::string, const Descriptor*> pending_;
};

}  // namespace

std::string jsonSchema(const Descriptor* descriptor) {
  std::string text;
  SchemaWriter(text).document(descriptor);
  text += '\n';
  return text;
}

}  // namespace podlab::api
