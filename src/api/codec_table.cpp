#include "api/codec_table.hpp"

#include <google/protobuf/wire_format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <unordered_map>

#include "apiextensions_v1.pb.h"
#include "field_options.pb.h"
#include "intstr.pb.h"
#include "meta_v1.pb.h"
#include "resource.pb.h"
#include "runtime.pb.h"

#include "common/json.hpp"

namespace podlab::api::codec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
namespace apiextensionsv1 = k8s::io::apiextensions_apiserver::pkg::apis::apiextensions::v1;
namespace meta = k8s::io::apimachinery::pkg::apis::meta::v1;
namespace runtime = k8s::io::apimachinery::pkg::runtime;

Form formOfMessage(const Descriptor* type) {
  if (type == k8s::io::apimachinery::pkg::api::resource::Quantity::descriptor())
    return Form::kQuantity;
  if (type == k8s::io::apimachinery::pkg::util::intstr::IntOrString::descriptor())
    return Form::kIntOrString;
  if (type == meta::Time::descriptor()) return Form::kTime;
  if (type == meta::MicroTime::descriptor()) return Form::kMicroTime;
  if (type == meta::Duration::descriptor()) return Form::kDuration;
  if (type == meta::FieldsV1::descriptor()) return Form::kFieldsV1;
  if (type == runtime::RawExtension::descriptor()) return Form::kRawExtension;
  if (type == apiextensionsv1::JSON::descriptor()) return Form::kJson;
  if (type == apiextensionsv1::JSONSchemaPropsOrBool::descriptor() ||
      type == apiextensionsv1::JSONSchemaPropsOrArray::descriptor() ||
      type == apiextensionsv1::JSONSchemaPropsOrStringArray::descriptor())
    return Form::kSchemaOr;
  // Upstream writes its named list types (Verbs, ExtraValue) to JSON without the message around
  // them.
  if (type->field_count() == 1 && type->field(0)->name() == "items" &&
      type->field(0)->is_repeated() &&
      type->field(0)->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return Form::kBareList;
  }
  return Form::kMessage;
}

Form formOf(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return Form::kBool;
    case FieldDescriptor::CPPTYPE_INT32:
      return Form::kInt32;
    case FieldDescriptor::CPPTYPE_INT64:
      return Form::kInt64;
    case FieldDescriptor::CPPTYPE_UINT32:
      return Form::kUint32;
    case FieldDescriptor::CPPTYPE_UINT64:
      return Form::kUint64;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Form::kDouble;
    case FieldDescriptor::CPPTYPE_FLOAT:
      throw std::logic_error(field->full_name() + ": use double, float has no JSON form here");
    case FieldDescriptor::CPPTYPE_ENUM:
      return Form::kEnum;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return formOfMessage(field->message_type());
    case FieldDescriptor::CPPTYPE_STRING:
      break;
  }
  return field->type() == FieldDescriptor::TYPE_BYTES ? Form::kBytes : Form::kString;
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 29);
}

}  // namespace

/// All tables of the process. A message type may contain itself, so a table is entered before its
/// fields are.
class TableRegistry {
 public:
  const Table& of(const Descriptor* descriptor) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = tables_.find(descriptor); found != tables_.end())
        return *found->second;
    }
    const std::unique_lock lock(mutex_);
    return build(descriptor);
  }

 private:
  const Table& build(const Descriptor* descriptor) {
    auto& entry = tables_[descriptor];
    if (entry) return *entry;
    entry = std::make_unique<Table>();
    Table& table = *entry;
    table.add(descriptor, {});
    table.index();
    for (Field& field : table.fields_) {
      if (field.form == Form::kMessage) field.message = &build(field.value->message_type());
    }
    return table;
  }

  std::shared_mutex mutex_;
  std::unordered_map<const Descriptor*, std::unique_ptr<Table>> tables_;
};

const Table& Table::of(const Descriptor* descriptor) {
  static TableRegistry& registry = *new TableRegistry;  // outlives every user at exit
  return registry.of(descriptor);
}

void Table::add(const Descriptor* descriptor, const std::vector<const FieldDescriptor*>& via) {
  const std::size_t group = groups_.size();
  int last = 0;
  for (int i = 0; i < descriptor->field_count(); ++i)
    last = std::max(last, descriptor->field(i)->number());
  groups_.push_back({via,
                     std::vector(static_cast<std::size_t>(descriptor->field_count()), Group::kNone),
                     std::vector(static_cast<std::size_t>(last) + 1, Group::kNone)});
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* from = descriptor->field(i);
    if (from->options().GetExtension(podlab::inline_)) {
      auto longer = via;
      longer.push_back(from);
      groups_[group].byNumber[static_cast<std::size_t>(from->number())] =
          static_cast<std::uint16_t>(Group::kInlined | groups_.size());
      add(from->message_type(), longer);
      continue;
    }
    Field field;
    field.name = from->json_name();
    appendJsonString(field.quoted, field.name);
    field.via = via;
    field.descriptor = from;
    field.group = group;
    field.position = static_cast<std::size_t>(i);
    field.value = from->is_map() ? from->message_type()->map_value() : from;
    field.form = formOf(field.value);
    field.shape = from->is_map()        ? Shape::kMap
                  : from->is_repeated() ? Shape::kList
                                        : Shape::kSingle;
    field.always = from->options().GetExtension(podlab::always);
    field.wireType = google::protobuf::internal::WireFormat::WireTypeForFieldType(from->type());
    field.presence = from->options().GetExtension(podlab::presence) || from->has_default_value();
    fields_.push_back(std::move(field));
  }
}

void Table::index() {
  std::sort(fields_.begin(), fields_.end(),
            [](const Field& a, const Field& b) { return a.name < b.name; });
  if (fields_.size() > kMaxFields)
    throw std::logic_error("message with too many fields for the JSON codec");
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    Field& field = fields_[i];
    field.index = i;
    Group& group = groups_[field.group];
    group.members[field.position] = static_cast<std::uint16_t>(i);
    group.byNumber[static_cast<std::size_t>(field.descriptor->number())] =
        static_cast<std::uint16_t>(i);
    if (field.always) always_[i / 64] |= std::uint64_t{1} << i % 64;
  }

  const auto place = [this] {
    std::fill(slots_.begin(), slots_.end(), 0);
    return std::all_of(fields_.begin(), fields_.end(), [this](const Field& field) {
      auto& entry = slots_[slot(field.name, seed_)];
      if (entry != 0) return false;
      entry = static_cast<std::uint16_t>(field.index + 1);
      return true;
    });
  };
  slots_.resize(std::max<std::size_t>(std::bit_ceil(fields_.size() * 4), 4));
  while (!place()) {
    if (++seed_ % 512 == 0) slots_.resize(slots_.size() * 2);
  }
}

std::size_t Table::slot(std::string_view name, std::uint64_t seed) const {
  std::uint64_t hash = mix(seed, name.size());
  const char* at = name.data();
  std::size_t left = name.size();
  std::uint64_t word = 0;
  for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
    std::memcpy(&word, at, sizeof word);
    hash = mix(hash, word);
  }
  if (left > 0) {
    word = 0;
    std::memcpy(&word, at, left);
    hash = mix(hash, word);
  }
  return (hash >> 32) & (slots_.size() - 1);
}

const Field* Table::find(std::string_view name) const {
  const auto entry = slots_[slot(name, seed_)];
  if (entry == 0) return nullptr;
  const Field& field = fields_[entry - 1];
  return field.name == name ? &field : nullptr;
}

}  // namespace podlab::api::codec
