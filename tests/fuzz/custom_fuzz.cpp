// Whatever stands in the schema of a CustomResourceDefinition and in an object of its kind: both
// are taken or refused, and what was taken, with its defaults, is the same when it is read again.
// Up to the first zero byte the input is the schema, then the object's JSON.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "custom_object.pb.h"

#include "api/codec.hpp"
#include "api/custom/custom_kinds.hpp"
#include "api/custom/definition_validation.hpp"
#include "api/custom/member_path.hpp"
#include "api/kinds.hpp"

namespace {

using namespace podlab;
using Crd = apiextensionsv1::CustomResourceDefinition;

void require(bool holds, std::string_view what, std::string_view input) {
  if (holds) return;
  std::cerr << what << ": " << input << "\n";
  std::abort();
}

/// A definition whose one version has the schema; unlisted when it is not valid.
const api::Kind* define(std::string_view schema, const void* owner) {
  Crd definition;
  const std::string json =
      R"({"metadata":{"name":"fuzzes.example.com"},"spec":{"group":"example.com","scope":"Cluster",
          "names":{"plural":"fuzzes","kind":"Fuzz"},"versions":[{"name":"v1","served":true,
          "storage":true,"schema":{"openAPIV3Schema":)" +
      std::string(schema) + "}}]}}";
  if (!api::fromJson(json, definition)) return nullptr;
  api::kindFor<Crd>().strategy.applyDefaults(definition);
  if (!api::validateDefinition(definition).empty()) return nullptr;
  Crd again;
  require(again.ParseFromString(definition.SerializeAsString()), "is not stored", schema);
  require(api::toJson(again) == api::toJson(definition), "another definition", schema);
  *definition.mutable_status()->mutable_acceptednames() = definition.spec().names();
  auto& condition = *definition.mutable_status()->add_conditions();
  condition.set_type("Established");
  condition.set_status("True");
  return api::listCustomKinds(definition, owner);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view schema = input.substr(0, input.find('\0'));
  const std::string_view body =
      schema.size() == input.size() ? std::string_view() : input.substr(schema.size() + 1);
  (void)api::MemberPath::parse(schema);
  const api::Kind* kind = define(schema, &input);
  if (kind == nullptr) return 0;
  CustomObject object;
  if (!api::fromJson(body, object) || api::kindOf(object) != kind) return 0;
  kind->strategy.applyDefaults(object);
  const std::string once = api::toJson(object);
  (void)kind->strategy.validate(object);
  CustomObject again;
  require(api::fromJson(once, again).ok(), "is not read back", once);
  kind->strategy.applyDefaults(again);
  require(api::toJson(again) == once, "another object", once);
  api::unlistCustomKinds(&input);
  return 0;
}
