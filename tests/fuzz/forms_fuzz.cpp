// Whatever the annotations of an autoscaler of autoscaling/v1 are: what they say survives the way
// back. The parts of the input between zero bytes are the annotations.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "autoscaling_v1.pb.h"

#include "api/codec.hpp"
#include "api/kinds.hpp"

using namespace podlab;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const api::Kind& kKind = api::kindFor<autoscalingv1::HorizontalPodAutoscaler>();
  std::string_view input(reinterpret_cast<const char*>(data), size);
  autoscalingv1::HorizontalPodAutoscaler shown;
  for (const char* name : {"metrics", "behavior", "current-metrics", "conditions"}) {
    const std::string_view part = input.substr(0, input.find('\0'));
    input.remove_prefix(std::min(input.size(), part.size() + 1));
    (*shown.mutable_metadata()
          ->mutable_annotations())["autoscaling.alpha.kubernetes.io/" + std::string(name)] = part;
  }
  const auto convert = [](const google::protobuf::Message& from) {
    auto stored = kKind.stored().make();
    kKind.form->toStored(from, *stored);
    return stored;
  };
  const auto once = convert(shown);
  const auto back = kKind.make();
  kKind.form->fromStored(*once, *back);
  if (api::toJson(*convert(*back)) == api::toJson(*once)) return 0;
  std::cerr << "another autoscaler: " << api::toJson(*once) << "\n";
  std::abort();
}
