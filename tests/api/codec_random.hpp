#pragma once
#include <string>

#include "apiextensions_v1.pb.h"
#include "field_options.pb.h"
#include "intstr.pb.h"
#include "meta_v1.pb.h"
#include "resource.pb.h"
#include "runtime.pb.h"

#include "api/object.hpp"
#include "common/rng.hpp"

namespace podlab::api {

inline std::string randomText(Rng& rng) {
  constexpr std::string_view kParts[] = {"a",  "Z",  "0", "80", "true", "-",    ": ", "\n", "\"",
                                         "\\", "\t", " ", "é",  "😀",   "\x01", "#",  "/",  "{"};
  std::string text;
  for (auto left = 1 + rng.below(6); left > 0; --left) text += kParts[rng.below(std::size(kParts))];
  return text;
}

/// Fills a message with what JSON can express, as the codec itself would set it: no unset field has
/// a zero value set, unless its presence counts.
class RandomMessage {
 public:
  RandomMessage(Rng& rng, int depth) : rng_(rng), depth_(depth) {}

  void fill(google::protobuf::Message& message) { fill(message, depth_); }

 private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  void fill(Message& message, int depth) {
    if (scalarForm(message) || schemaOr(message, depth)) return;
    const auto& reflection = *message.GetReflection();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const Field* field = message.GetDescriptor()->field(i);
      const bool isMessage = field->cpp_type() == Field::CPPTYPE_MESSAGE && !field->is_repeated();
      const bool required = isMessage && (field->options().GetExtension(podlab::always) ||
                                          field->options().GetExtension(podlab::inline_));
      if (!required && (depth == 0 || rng_.chance(0.6))) continue;
      if (field->is_repeated()) {
        for (auto left = rng_.below(4); left > 0; --left) {
          if (field->is_map()) {
            entry(message, field, depth);
          } else {
            element(message, field, depth);
          }
        }
      } else if (isMessage) {
        Message& child = *reflection.MutableMessage(&message, field);
        fill(child, depth == 0 ? 0 : depth - 1);
        if (field->options().GetExtension(podlab::inline_) && child.ByteSizeLong() == 0)
          reflection.ClearField(&message, field);
      } else {
        single(message, field);
      }
    }
  }

  bool scalarForm(Message& message) {
    namespace pkg = k8s::io::apimachinery::pkg;
    if (auto* quantity = dynamic_cast<pkg::api::resource::Quantity*>(&message)) {
      constexpr std::string_view kQuantities[] = {"0",   "1",   "250m", "64Mi", "1500Mi",
                                                  "3Gi", "1e3", "100k", "7n",   "-2"};
      quantity->set_string(std::string(kQuantities[rng_.below(std::size(kQuantities))]));
    } else if (auto* either = dynamic_cast<pkg::util::intstr::IntOrString*>(&message)) {
      if (rng_.chance(0.5)) {
        either->set_type(0);
        either->set_intval(static_cast<std::int32_t>(rng_.next()));
      } else {
        either->set_type(1);
        either->set_strval(rng_.chance(0.2) ? "" : randomText(rng_));
      }
    } else if (auto* time = dynamic_cast<pkg::apis::meta::v1::Time*>(&message)) {
      time->set_seconds(seconds());
    } else if (auto* micro = dynamic_cast<pkg::apis::meta::v1::MicroTime*>(&message)) {
      micro->set_seconds(seconds());
      micro->set_nanos(static_cast<std::int32_t>(rng_.below(1'000'000)) * 1000);
    } else if (auto* fields = dynamic_cast<pkg::apis::meta::v1::FieldsV1*>(&message)) {
      fields->set_raw(R"({"f:a":{".":{},"k:{\"name\":\"b\"}":[1,null,"x"]}})");
    } else if (auto* raw = dynamic_cast<pkg::runtime::RawExtension*>(&message)) {
      raw->set_raw(rawJson());
    } else if (auto* json = dynamic_cast<apiextensionsv1::JSON*>(&message)) {
      json->set_raw(rawJson());
    } else {
      return false;
    }
    return true;
  }

  const char* rawJson() {
    return rng_.chance(0.5) ? R"({"kind":"Pod","n":[12345678901234567890,true]})" : "7";
  }

  /// A schema, or what stands in its place: the other field.
  bool schemaOr(Message& message, int depth) {
    if (!message.GetDescriptor()->name().starts_with("JSONSchemaPropsOr")) return false;
    const Field* schema = message.GetDescriptor()->FindFieldByName("schema");
    const Field* other = message.GetDescriptor()->field(schema->index() == 0 ? 1 : 0);
    if (depth > 0 && rng_.chance(0.5)) {
      fill(*message.GetReflection()->MutableMessage(&message, schema), depth - 1);
    } else if (!other->is_repeated()) {
      single(message, other);
    } else if (depth > 0) {
      element(message, other, depth);
    }
    return true;
  }

  std::int64_t seconds() {
    return static_cast<std::int64_t>(rng_.below(18'000'000'000)) - 9'000'000'000;
  }

  std::int64_t number(const Field* field) {
    const bool zeroCounts = field->options().GetExtension(podlab::presence) || field->is_repeated();
    if (zeroCounts && rng_.chance(0.3)) return 0;
    const auto value = static_cast<std::int64_t>(rng_.next() >> rng_.below(63));
    return value == 0 ? 1 : value;
  }

  std::string text(const Field* field) {
    const bool zeroCounts = field->options().GetExtension(podlab::presence) || field->is_repeated();
    return zeroCounts && rng_.chance(0.3) ? "" : randomText(rng_);
  }

  void single(Message& message, const Field* field) {
    const auto& reflection = *message.GetReflection();
    switch (field->cpp_type()) {
      case Field::CPPTYPE_BOOL:
        return reflection.SetBool(
            &message, field, !field->options().GetExtension(podlab::presence) || rng_.chance(0.5));
      case Field::CPPTYPE_INT32: {
        const auto value = static_cast<std::int32_t>(number(field));
        return value || field->options().GetExtension(podlab::presence)
                   ? reflection.SetInt32(&message, field, value)
                   : void();
      }
      case Field::CPPTYPE_INT64:
        return reflection.SetInt64(&message, field, number(field));
      case Field::CPPTYPE_DOUBLE:
        return reflection.SetDouble(&message, field, static_cast<double>(rng_.below(1000)) / 8);
      default:
        return reflection.SetString(&message, field, text(field));
    }
  }

  void element(Message& message, const Field* field, int depth) {
    const auto& reflection = *message.GetReflection();
    switch (field->cpp_type()) {
      case Field::CPPTYPE_INT32:
        return reflection.AddInt32(&message, field, static_cast<std::int32_t>(number(field)));
      case Field::CPPTYPE_INT64:
        return reflection.AddInt64(&message, field, number(field));
      case Field::CPPTYPE_MESSAGE:
        return fill(*reflection.AddMessage(&message, field), depth - 1);
      default:
        return reflection.AddString(&message, field, text(field));
    }
  }

  /// Parsed from its encoding: that reaches the map itself, and keys stay unique.
  void entry(Message& message, const Field* field, int depth) {
    std::unique_ptr<Message> copy(message.New());
    Message& made = *copy->GetReflection()->AddMessage(copy.get(), field);
    const auto& reflection = *made.GetReflection();
    reflection.SetString(&made, field->message_type()->map_key(), randomText(rng_));
    const Field* value = field->message_type()->map_value();
    if (value->cpp_type() == Field::CPPTYPE_MESSAGE) {
      fill(*reflection.MutableMessage(&made, value), depth - 1);
    } else {
      reflection.SetString(&made, value, rng_.chance(0.3) ? "" : randomText(rng_));
    }
    message.MergeFromString(copy->SerializePartialAsString());
  }

  Rng& rng_;
  int depth_;
};

}  // namespace podlab::api
