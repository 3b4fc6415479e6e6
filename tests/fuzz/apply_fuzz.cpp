// Whatever is applied to a pod: it ends with an object or an error, what is owned reads back the
// same, and the same configuration again changes nothing. Up to the first zero byte the input is
// the fieldsV1 of an earlier manager.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "api/codec.hpp"
#include "api/field_set.hpp"
#include "api/managed_fields.hpp"

namespace {

using namespace podlab;

void require(bool holds, std::string_view what, std::string_view input) {
  if (holds) return;
  std::cerr << what << ": " << input << "\n";
  std::abort();
}

corev1::Pod makeLive(const std::string& fields) {
  corev1::Pod pod;
  (void)api::fromJson(
      R"({"metadata":{"name":"p","labels":{"a":"1"},"finalizers":["x/y"]},"spec":{"containers":[
          {"name":"a","image":"i","ports":[{"containerPort":80,"protocol":"TCP"}],
           "env":[{"name":"A","value":"1"}]},{"name":"b"}],"volumes":[{"name":"v","emptyDir":{}}]}})",
      pod);
  auto& entry = *pod.mutable_metadata()->add_managedfields();
  entry.set_manager("fuzz");
  entry.set_operation("Apply");
  entry.set_apiversion("v1");
  entry.set_fieldstype("FieldsV1");
  entry.mutable_fieldsv1()->set_raw(fields);
  return pod;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string fields(input.substr(0, input.find('\0')));
  const std::string_view config =
      fields.size() == input.size() ? std::string_view("") : input.substr(fields.size() + 1);
  if (const auto set = api::FieldSet::parse(fields)) {
    const std::string text = set->toFieldsV1();
    const auto again = api::FieldSet::parse(text);
    require(again.ok() && *again == *set && again->toFieldsV1() == text, "another set", text);
  }
  const corev1::Pod live = makeLive(fields);
  api::ApplyOptions options;
  options.writer = {"fuzz", "", WallTime()};
  options.force = true;
  const api::Kind& kind = api::kindFor<corev1::Pod>();
  const auto made = api::applyConfiguration(kind, &live, config, options);
  if (!made) return 0;
  const auto again = api::applyConfiguration(kind, made->object.get(), config, options);
  require(again.ok(), "refused the second time", config);
  require(api::toJson(*again->object) == api::toJson(*made->object), "another the second time",
          config);
  return 0;
}
