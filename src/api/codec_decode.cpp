#include <algorithm>
#include <bitset>
#include <charconv>
#include <limits>
#include <type_traits>

#include "apiextensions_v1.pb.h"
#include "custom_object.pb.h"
#include "intstr.pb.h"
#include "runtime.pb.h"

#include "api/codec.hpp"
#include "api/codec_base64.hpp"
#include "api/codec_map.hpp"
#include "api/codec_table.hpp"
#include "api/custom/custom_object.hpp"
#include "api/quantity.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using codec::Field;
using codec::Form;
using codec::Shape;
using codec::Table;
using google::protobuf::FieldDescriptor;
using google::protobuf::MapKey;
using google::protobuf::MapValueRef;
using google::protobuf::Message;
using google::protobuf::Reflection;
namespace intstr = k8s::io::apimachinery::pkg::util::intstr;
namespace runtime = k8s::io::apimachinery::pkg::runtime;

/// Where the reader is: a chain of the names and indices on the stack.
struct Path {
  const Path* parent = nullptr;
  std::string_view name;    // of a member, or
  std::int64_t index = -1;  // of a list's element

  std::string text() const {
    std::string above = parent ? parent->text() : std::string();
    if (index >= 0) return above + "[" + std::to_string(index) + "]";
    if (!above.empty()) above += '.';
    return above += name;
  }
};

/// The message that holds the field, through the inlined ones.
Message& ownerOf(Message& message, const Field& field) {
  Message* owner = &message;
  for (const FieldDescriptor* step : field.via)
    owner = owner->GetReflection()->MutableMessage(owner, step);
  return *owner;
}

// Where a value goes: a field, a new element of a list, or a map's value.

struct SingleTarget {
  Message& message;
  const Field& field;

  template <typename T>
  void set(T value) const {
    if (!field.presence && value == T{}) return;
    Message& owner = ownerOf(message, field);
    const Reflection& reflection = *owner.GetReflection();
    if constexpr (std::is_same_v<T, bool>) {
      reflection.SetBool(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
      reflection.SetInt32(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      reflection.SetInt64(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::uint32_t>) {
      reflection.SetUInt32(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      reflection.SetUInt64(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, double>) {
      reflection.SetDouble(&owner, field.descriptor, value);
    } else {
      reflection.SetString(&owner, field.descriptor, std::move(value));
    }
  }
  void setEnum(int number) const {
    Message& owner = ownerOf(message, field);
    owner.GetReflection()->SetEnumValue(&owner, field.descriptor, number);
  }
  Message& child() const {
    Message& owner = ownerOf(message, field);
    return *owner.GetReflection()->MutableMessage(&owner, field.descriptor);
  }
};

struct ListTarget {
  Message& message;
  const Field& field;

  template <typename T>
  void set(T value) const {
    Message& owner = ownerOf(message, field);
    const Reflection& reflection = *owner.GetReflection();
    if constexpr (std::is_same_v<T, bool>) {
      reflection.AddBool(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
      reflection.AddInt32(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      reflection.AddInt64(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::uint32_t>) {
      reflection.AddUInt32(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      reflection.AddUInt64(&owner, field.descriptor, value);
    } else if constexpr (std::is_same_v<T, double>) {
      reflection.AddDouble(&owner, field.descriptor, value);
    } else {
      reflection.AddString(&owner, field.descriptor, std::move(value));
    }
  }
  void setEnum(int number) const {
    Message& owner = ownerOf(message, field);
    owner.GetReflection()->AddEnumValue(&owner, field.descriptor, number);
  }
  Message& child() const {
    Message& owner = ownerOf(message, field);
    return *owner.GetReflection()->AddMessage(&owner, field.descriptor);
  }
};

struct MapTarget {
  MapValueRef& value;

  template <typename T>
  void set(const T& typed) const {
    if constexpr (std::is_same_v<T, bool>) {
      value.SetBoolValue(typed);
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
      value.SetInt32Value(typed);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      value.SetInt64Value(typed);
    } else if constexpr (std::is_same_v<T, std::uint32_t>) {
      value.SetUInt32Value(typed);
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      value.SetUInt64Value(typed);
    } else if constexpr (std::is_same_v<T, double>) {
      value.SetDoubleValue(typed);
    } else {
      value.SetStringValue(std::move(typed));
    }
  }
  void setEnum(int number) const { value.SetEnumValue(number); }
  Message& child() const { return *value.MutableMessageValue(); }
};

/// Whether an object is one of the API's, with apiVersion and kind.
enum class Role { kRoot, kItem, kPart };

class Decoder {
 public:
  Decoder(std::string_view json, std::vector<FieldProblem>* problems)
      : in_(json), problems_(problems) {}

  Status decode(Message& out) {
    if (in_.type() != JsonType::kObject) {
      return in_.ok()
                 ? Status(Code::kBadRequest, in_.position(in_.offset()) + ": expected an object")
                 : in_.status();
    }
    const Path top;
    if (!object(out, Table::of(out.GetDescriptor()), top, Role::kRoot) || !in_.finish()) {
      return in_.ok() ? error_ : in_.status();
    }
    return {};
  }

 private:
  bool object(Message& message, const Table& table, const Path& path, Role role) {
    std::bitset<Table::kMaxFields> seen;
    bool seenType[2] = {false, false};
    std::string_view key;
    if (!in_.beginObject()) return false;
    while (in_.nextKey(&key)) {
      const Field* field = table.find(key);
      if (!field) {
        const bool apiVersion = key == "apiVersion";
        if (role != Role::kPart && (apiVersion || key == "kind")) {
          if (seenType[apiVersion]) problem("duplicate", {&path, key});
          seenType[apiVersion] = true;
          std::string_view ignored;
          if (in_.type() == JsonType::kNull
                  ? !in_.readNull()
                  : !string({&path, apiVersion ? "apiVersion" : "kind"}, &ignored)) {
            return false;
          }
          continue;
        }
        problem("unknown", {&path, key});
        if (!in_.skip()) return false;
        continue;
      }
      const Path member{&path, field->name};
      if (seen[field->index]) {
        problem("duplicate", member);
        clear(message, *field);
      }
      seen[field->index] = true;
      if (in_.type() == JsonType::kNull) {
        if (!in_.readNull()) return false;
        continue;
      }
      const bool items = role == Role::kRoot && field->name == "items";
      if (!read(message, *field, member, items ? Role::kItem : Role::kPart)) return false;
    }
    return in_.ok();
  }

  void problem(std::string_view what, const Path& path) {
    if (!problems_) return;
    std::string text = path.text();
    std::string message = std::string(what) + " field \"" + text + "\"";
    problems_->push_back({std::move(text), std::move(message)});
  }

  static void clear(Message& message, const Field& field) {
    Message& owner = ownerOf(message, field);
    owner.GetReflection()->ClearField(&owner, field.descriptor);
  }

  bool read(Message& message, const Field& field, const Path& path, Role role) {
    switch (field.shape) {
      case Shape::kSingle:
        return value(field, path, role, SingleTarget{message, field});
      case Shape::kList:
        return list(message, field, path, role);
      case Shape::kMap:
        return map(message, field, path);
    }
    return false;
  }

  bool list(Message& message, const Field& field, const Path& path, Role role) {
    if (in_.type() != JsonType::kArray) return wrong(path, "a list");
    in_.beginArray();
    const ListTarget target{message, field};
    for (Path element{&path, {}, 0}; in_.nextElement(); ++element.index) {
      // A null in a list or map is a zero value there, as in Go.
      const bool read = in_.type() == JsonType::kNull ? in_.readNull() && zero(field, target)
                                                      : value(field, element, role, target);
      if (!read) return false;
    }
    return in_.ok();
  }

  bool map(Message& message, const Field& field, const Path& path) {
    if (in_.type() != JsonType::kObject) return wrong(path, "an object");
    in_.beginObject();
    std::string_view name;
    while (in_.nextKey(&name)) {
      MapKey key;
      key.SetStringValue(std::string(name));
      const std::string& stable = key.GetStringValue();
      const Path member{&path, stable};
      MapValueRef ref;
      if (!codec::MapAccess::insertOrLookup(ownerOf(message, field), field.descriptor, key, &ref)) {
        problem("duplicate", member);
        if (field.value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
          ref.MutableMessageValue()->Clear();
      }
      const MapTarget target{ref};
      const bool read = in_.type() == JsonType::kNull ? in_.readNull() && zero(field, target)
                                                      : value(field, member, Role::kPart, target);
      if (!read) return false;
    }
    return in_.ok();
  }

  template <typename Target>
  bool zero(const Field& field, const Target& target) {
    switch (field.form) {
      case Form::kBool:
        target.set(false);
        break;
      case Form::kInt32:
        target.set(std::int32_t{0});
        break;
      case Form::kInt64:
        target.set(std::int64_t{0});
        break;
      case Form::kUint32:
        target.set(std::uint32_t{0});
        break;
      case Form::kUint64:
        target.set(std::uint64_t{0});
        break;
      case Form::kDouble:
        target.set(0.0);
        break;
      case Form::kString:
      case Form::kBytes:
        target.set(std::string());
        break;
      case Form::kEnum:
        target.setEnum(field.value->default_value_enum()->number());
        break;
      default:
        target.child();
    }
    return true;
  }

  template <typename Target>
  bool value(const Field& field, const Path& path, Role role, const Target& target) {
    switch (field.form) {
      case Form::kBool:
        return boolean(path, target);
      case Form::kInt32:
        return integer<std::int32_t>(path, target);
      case Form::kInt64:
        return integer<std::int64_t>(path, target);
      case Form::kUint32:
        return integer<std::uint32_t>(path, target);
      case Form::kUint64:
        return integer<std::uint64_t>(path, target);
      case Form::kDouble:
        return floating(path, target);
      case Form::kString: {
        std::string_view text;
        if (!string(path, &text)) return false;
        target.set(std::string(text));
        return true;
      }
      case Form::kBytes:
        return bytes(path, target);
      case Form::kEnum:
        return enumeration(field, path, target);
      case Form::kMessage:
        if (in_.type() != JsonType::kObject) return wrong(path, "an object");
        return object(target.child(), *field.message, path, role);
      case Form::kQuantity:
        return quantity(path, target);
      case Form::kIntOrString:
        return intOrString(path, static_cast<intstr::IntOrString&>(target.child()));
      case Form::kTime:
        return time(path, static_cast<metav1::Time&>(target.child()));
      case Form::kMicroTime:
        return time(path, static_cast<metav1::MicroTime&>(target.child()));
      case Form::kDuration:
        return duration(path, static_cast<metav1::Duration&>(target.child()));
      case Form::kFieldsV1:
        return raw(*static_cast<metav1::FieldsV1&>(target.child()).mutable_raw());
      case Form::kRawExtension:
        return raw(*static_cast<runtime::RawExtension&>(target.child()).mutable_raw());
      case Form::kJson:
        return raw(*static_cast<apiextensionsv1::JSON&>(target.child()).mutable_raw());
      case Form::kSchemaOr:
        return schemaOr(target.child(), path);
      case Form::kBareList: {
        Message& bare = target.child();
        return list(bare, Table::of(bare.GetDescriptor()).fields()[0], path, Role::kPart);
      }
    }
    return false;
  }

  /// The schema, or what may stand in its place: a boolean or a list.
  bool schemaOr(Message& message, const Path& path) {
    const auto isSchema = [](const Field& field) { return field.name == "schema"; };
    const auto& fields = Table::of(message.GetDescriptor()).fields();
    const bool isObject = in_.type() == JsonType::kObject;
    const auto field = isObject ? std::ranges::find_if(fields, isSchema)
                                : std::ranges::find_if_not(fields, isSchema);
    if (field->shape == Shape::kList) return list(message, *field, path, Role::kPart);
    return value(*field, path, Role::kPart, SingleTarget{message, *field});
  }

  /// Refuses the next value.
  bool wrong(const Path& path, std::string_view expected) {
    std::string_view text;
    if (!in_.skip(&text)) return false;
    return invalid(path, text, expected);
  }

  bool invalid(const Path& path, std::string_view value, std::string_view expected) {
    constexpr std::size_t kShown = 64;
    std::string shown(value.substr(0, kShown));
    if (value.size() > kShown) {
      while (!shown.empty() && (static_cast<unsigned char>(value[shown.size()]) & 0xC0) == 0x80)
        shown.pop_back();
      shown += "...";
    }
    Cause cause{"FieldValueTypeInvalid", path.text(),
                "Invalid value: " + shown + ": expected " + std::string(expected)};
    std::string message = cause.field + ": " + cause.message;
    error_ = Status(Code::kBadRequest, std::move(message), {std::move(cause)});
    return false;
  }

  /// Refuses a string that was read, quoted again for the message.
  bool invalidString(const Path& path, std::string_view value, std::string_view expected) {
    std::string quoted;
    appendJsonString(quoted, value);
    return invalid(path, quoted, expected);
  }

  bool string(const Path& path, std::string_view* text) {
    switch (in_.type()) {
      case JsonType::kString:
        return in_.readString(text);
      case JsonType::kNumber:
        return wrong(path, "a string: put the number in quotes");
      case JsonType::kBool:
        return wrong(
            path,
            "a string: put it in quotes (unquoted true, yes, on, false, no and off are booleans)");
      default:
        return wrong(path, "a string");
    }
  }

  template <typename Target>
  bool boolean(const Path& path, const Target& target) {
    if (in_.type() == JsonType::kString) return wrong(path, "true or false, without quotes");
    if (in_.type() != JsonType::kBool) return wrong(path, "true or false");
    bool flag = false;
    if (!in_.readBool(&flag)) return false;
    target.set(flag);
    return true;
  }

  template <typename T, typename Target>
  bool integer(const Path& path, const Target& target) {
    if (in_.type() == JsonType::kString) return wrong(path, "an integer, without quotes");
    if (in_.type() != JsonType::kNumber) return wrong(path, "an integer");
    std::string_view text;
    if (!in_.readNumber(&text)) return false;
    T number{};
    if (!parseInteger(path, text, &number)) return false;
    target.set(number);
    return true;
  }

  template <typename T>
  bool parseInteger(const Path& path, std::string_view text, T* number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (error == std::errc() && end == text.data() + text.size()) return true;
    if (text.find_first_of(".eE") != text.npos)
      return invalid(path, text, "an integer, without fraction or exponent");
    return invalid(path, text,
                   "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                       std::to_string(std::numeric_limits<T>::max()));
  }

  template <typename Target>
  bool floating(const Path& path, const Target& target) {
    if (in_.type() != JsonType::kNumber) return wrong(path, "a number");
    std::string_view text;
    if (!in_.readNumber(&text)) return false;
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return invalid(path, text, "a number in range");
    target.set(number);
    return true;
  }

  template <typename Target>
  bool bytes(const Path& path, const Target& target) {
    std::string_view text;
    if (!string(path, &text)) return false;
    auto decoded = codec::base64Decode(text);
    if (!decoded)
      return invalidString(path, text, "base64 (for plain text in a Secret use stringData)");
    target.set(*std::move(decoded));
    return true;
  }

  template <typename Target>
  bool enumeration(const Field& field, const Path& path, const Target& target) {
    std::string_view text;
    if (!string(path, &text)) return false;
    const auto* type = field.value->enum_type();
    if (const auto* known = type->FindValueByName(std::string(text))) {
      target.setEnum(known->number());
      return true;
    }
    std::string expected = "one of";
    for (int i = 0; i < type->value_count(); ++i) {
      expected += (i ? ", \"" : " \"") + type->value(i)->name() + "\"";
    }
    return invalidString(path, text, expected);
  }

  template <typename Target>
  bool quantity(const Path& path, const Target& target) {
    constexpr std::string_view kExpected = "a quantity, e.g. 500m, 2 or 64Mi";
    std::string_view text;
    switch (in_.type()) {
      case JsonType::kString:
        if (!in_.readString(&text)) return false;
        break;
      case JsonType::kNumber:
        if (!in_.readNumber(&text)) return false;
        break;
      default:
        return wrong(path, kExpected);
    }
    const auto parsed = Quantity::parse(text);
    if (!parsed) return invalidString(path, text, kExpected);
    static_cast<resourcev1::Quantity&>(target.child()).set_string(parsed->toString());
    return true;
  }

  bool intOrString(const Path& path, intstr::IntOrString& out) {
    std::string_view text;
    if (in_.type() == JsonType::kString) {
      if (!in_.readString(&text)) return false;
      out.set_type(1);
      out.set_strval(std::string(text));
      return true;
    }
    if (in_.type() != JsonType::kNumber) return wrong(path, "an integer or a string");
    std::int32_t number = 0;
    if (!in_.readNumber(&text) || !parseInteger(path, text, &number)) return false;
    out.set_type(0);
    out.set_intval(number);
    return true;
  }

  template <typename Time>
  bool time(const Path& path, Time& out) {
    std::string_view text;
    if (!string(path, &text)) return false;
    const auto parsed = parseTime(text);
    if (!parsed)
      return invalidString(path, text, "a time as in RFC 3339, e.g. \"2026-01-02T03:04:05Z\"");
    if constexpr (std::is_same_v<Time, metav1::Time>) {
      out = toTime(*parsed);
    } else {
      out = toMicroTime(*parsed);
    }
    return true;
  }

  bool duration(const Path& path, metav1::Duration& out) {
    std::string_view text;
    if (!string(path, &text)) return false;
    const auto parsed = parseDuration(text);
    if (!parsed) return invalidString(path, text, "a duration, e.g. \"1m30s\"");
    out.set_duration(parsed->count());
    return true;
  }

  bool raw(std::string& out) {
    JsonWriter writer(out);
    return copyJson(in_, writer);
  }

  JsonReader in_;
  std::vector<FieldProblem>* problems_;
  Status error_;
};

Status strictError(const std::vector<FieldProblem>& problems) {
  std::string message = "strict decoding error: ";
  std::vector<Cause> causes;
  for (const FieldProblem& problem : problems) {
    if (!causes.empty()) message += ", ";
    message += problem.message;
    causes.push_back({"FieldValueInvalid", problem.path, problem.message});
  }
  return {Code::kBadRequest, std::move(message), std::move(causes)};
}

}  // namespace

Status fromJson(std::string_view json, Message& out, const DecodeOptions& options,
                std::vector<FieldProblem>* problems) {
  std::vector<FieldProblem> found;
  out.Clear();
  auto* noted = problems || options.strict ? &found : nullptr;
  auto* custom = dynamic_cast<CustomObject*>(&out);
  Status status =
      custom != nullptr ? readCustomObject(json, *custom, noted) : Decoder(json, noted).decode(out);
  if (status.ok() && options.strict && !found.empty()) status = strictError(found);
  if (!status.ok()) out.Clear();
  if (problems) *problems = std::move(found);
  return status;
}

Result<TypeMeta> readTypeMeta(std::string_view json) {
  TypeMeta type;
  JsonReader in(json);
  if (in.type() != JsonType::kObject) {
    return in.ok() ? Status(Code::kBadRequest, in.position(in.offset()) + ": expected an object")
                   : in.status();
  }
  in.beginObject();
  std::string_view key;
  while ((type.apiVersion.empty() || type.kind.empty()) && in.nextKey(&key)) {
    std::string* wanted = key == "apiVersion" ? &type.apiVersion
                          : key == "kind"     ? &type.kind
                                              : nullptr;
    if (!wanted || in.type() == JsonType::kNull) {
      in.skip();
    } else if (in.type() != JsonType::kString) {
      const std::string field(key);
      std::string_view text;
      if (!in.skip(&text)) break;
      const Cause cause{"FieldValueTypeInvalid", field,
                        "Invalid value: " + std::string(text) + ": expected a string"};
      return Status(Code::kBadRequest, field + ": " + cause.message, {cause});
    } else if (std::string_view text; in.readString(&text)) {
      *wanted = text;
    }
  }
  if (!in.ok()) return in.status();
  return type;
}

}  // namespace podlab::api
