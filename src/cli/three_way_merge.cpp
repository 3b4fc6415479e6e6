#include "cli/three_way_merge.hpp"

#include <nlohmann/json.hpp>

#include "api/field_set.hpp"
#include "api/typed_value.hpp"

namespace podlab::cli {
namespace {

using nlohmann::json;

api::FieldSet namedFieldsOf(const json& value, const api::ValueType& type) {
  auto fields = api::fieldsOf(value, type);
  api::addNamedFields(fields, type);
  return fields;
}

}  // namespace

Result<std::string> threeWayMerge(const std::string& last, const std::string& next,
                                  const std::string& live,
                                  const google::protobuf::Descriptor* type) {
  const json before = json::parse(last, nullptr, false);
  const json wanted = json::parse(next, nullptr, false);
  const json present = json::parse(live, nullptr, false);
  if (!wanted.is_object() || !present.is_object())
    return Status(Code::kInternal, "an object is not JSON");
  const auto root = api::ValueType::of(type);
  if (const auto path = api::faultOfKeys(wanted, root); !path.empty())
    return Status(Code::kInvalid, path + ": two elements with the same key, or one without it");
  json merged = api::merge(present, wanted, root);
  // A malformed annotation is as good as none.
  if (before.is_object()) {
    auto gone = namedFieldsOf(before, root);
    gone.subtract(namedFieldsOf(wanted, root));
    api::removeFields(merged, gone, root);
  }
  return merged.dump();
}

}  // namespace podlab::cli
