// Whatever bytes come: decoding ends with a message or an error, and what was decoded reads back
// the same. The first byte picks the message type.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "coordination_v1.pb.h"
#include "core_v1.pb.h"

#include "api/codec.hpp"

namespace {

using google::protobuf::Message;

const Message& prototype(std::uint8_t choice) {
  using namespace podlab;
  const Message* const prototypes[] = {
      &corev1::Pod::default_instance(),     &corev1::Node::default_instance(),
      &corev1::Secret::default_instance(),  &corev1::Event::default_instance(),
      &corev1::PodList::default_instance(), &coordinationv1::Lease::default_instance(),
      &metav1::Status::default_instance(),  &metav1::ManagedFieldsEntry::default_instance(),
  };
  return *prototypes[choice % std::size(prototypes)];
}

void require(bool holds, std::string_view what, std::string_view json) {
  if (holds) return;
  std::cerr << what << ": " << json << "\n";
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view json(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::unique_ptr<Message> message(prototype(data[0]).New());
  std::vector<podlab::api::FieldProblem> problems;
  if (!podlab::api::fromJson(json, *message, {}, &problems).ok()) {
    require(message->ByteSizeLong() == 0, "something was left of a refused object", json);
    return 0;
  }
  const bool strict = podlab::api::fromJson(json, *message, {.strict = true}).ok();
  require(strict == problems.empty(), "strict mode and the list of problems disagree", json);

  (void)podlab::api::fromJson(json, *message);
  const std::string first = podlab::api::toJson(*message);
  const std::unique_ptr<Message> again(message->New());
  require(podlab::api::fromJson(first, *again, {.strict = true}).ok(),
          "cannot read what was written", first);
  require(podlab::api::toJson(*again) == first, "decoded again it differs", first);
  (void)podlab::api::readTypeMeta(json);
  return 0;
}
