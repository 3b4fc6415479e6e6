#include "sim/arrivals.hpp"

#include <algorithm>
#include <cmath>

#include "apps_v1.pb.h"
#include "batch_v1.pb.h"

#include "api/quantity.hpp"

namespace podlab::sim {
namespace {

constexpr const char* kNamespace = "default";
/// A finished Job is looked at for a while.
constexpr int kJobTtlSeconds = 60;

int wholeNumber(double value) {
  return static_cast<int>(std::clamp(std::round(value), 1.0, 100'000.0));
}

corev1::PodSpec podSpec(const Workload& workload, const Arrival& arrival) {
  corev1::PodSpec spec = workload.pod;
  auto& container = *spec.add_containers();
  container.set_name("main");
  container.set_image("host");
  container.add_command("sleep");
  const bool ends = arrival.lifetime && workload.kind != Workload::Kind::kDeployment;
  container.add_command(
      ends ? std::to_string(std::chrono::duration<double>(*arrival.lifetime).count()) : "infinity");
  auto& requests = *container.mutable_resources()->mutable_requests();
  requests["cpu"] = api::Quantity::ofMilli(arrival.shape.milliCpu).toMessage();
  requests["memory"] =
      api::Quantity::of(arrival.shape.memory, api::Quantity::Format::kBinary).toMessage();
  if (workload.kind == Workload::Kind::kJob || (workload.kind == Workload::Kind::kPod && ends))
    spec.set_restartpolicy("Never");
  return spec;
}

template <typename T>
std::shared_ptr<T> named(const Workload& workload, const Arrival& arrival) {
  auto object = std::make_shared<T>();
  object->mutable_metadata()->set_name(arrival.name);
  object->mutable_metadata()->set_namespace_(kNamespace);
  (*object->mutable_metadata()->mutable_labels())[kWorkloadLabel] = workload.name;
  return object;
}

void fillTemplate(const Workload& workload, const Arrival& arrival, corev1::PodTemplateSpec& pods) {
  auto& labels = *pods.mutable_metadata()->mutable_labels();
  labels[kWorkloadLabel] = workload.name;
  labels["app"] = arrival.name;
  *pods.mutable_spec() = podSpec(workload, arrival);
}

}  // namespace

Arrivals::Arrivals(const Workload& workload, std::uint64_t seed)
    : workload_(workload), rng_(seed, "arrivals/" + workload.name), at_(workload.start) {
  for (const Shape& shape : workload.shapes) totalWeight_ += shape.weight;
}

std::optional<Arrival> Arrivals::next() {
  Arrival arrival;
  if (workload_.limit && made_ >= static_cast<std::uint64_t>(*workload_.limit)) return std::nullopt;
  if (workload_.trace) {
    if (made_ == workload_.trace->size()) return std::nullopt;
    const auto& entry = (*workload_.trace)[made_];
    arrival.at = workload_.start + entry.arrival;
    arrival.shape = entry.shape;
    arrival.lifetime = entry.lifetime;
    arrival.replicas = entry.replicas;
  } else {
    if (together_ == 0) {
      // What never lets time pass would never end.
      at_ += std::max<Duration>(workload_.every.sampleDuration(rng_), std::chrono::microseconds(1));
      together_ = static_cast<std::uint64_t>(wholeNumber(workload_.size.sample(rng_)));
    }
    --together_;
    arrival.at = at_;
    double point = rng_.unit() * totalWeight_;
    arrival.shape = workload_.shapes.back();
    for (const Shape& shape : workload_.shapes) {
      if ((point -= shape.weight) >= 0) continue;
      arrival.shape = shape;
      break;
    }
    if (workload_.lifetime) arrival.lifetime = workload_.lifetime->sampleDuration(rng_);
    arrival.replicas = wholeNumber(workload_.replicas.sample(rng_));
  }
  if (workload_.until && arrival.at > *workload_.until) return std::nullopt;
  arrival.name = workload_.name + "-" + std::to_string(++made_);
  return arrival;
}

api::MutableObjectPtr objectOf(const Workload& workload, const Arrival& arrival) {
  if (workload.kind == Workload::Kind::kPod) {
    auto pod = named<corev1::Pod>(workload, arrival);
    *pod->mutable_spec() = podSpec(workload, arrival);
    return pod;
  }
  if (workload.kind == Workload::Kind::kJob) {
    auto job = named<batchv1::Job>(workload, arrival);
    auto& spec = *job->mutable_spec();
    spec.set_completions(arrival.replicas);
    spec.set_parallelism(arrival.replicas);
    spec.set_ttlsecondsafterfinished(kJobTtlSeconds);
    fillTemplate(workload, arrival, *spec.mutable_template_());
    spec.mutable_template_()->mutable_metadata()->mutable_labels()->erase("app");
    return job;
  }
  auto deployment = named<appsv1::Deployment>(workload, arrival);
  auto& spec = *deployment->mutable_spec();
  spec.set_replicas(arrival.replicas);
  (*spec.mutable_selector()->mutable_matchlabels())["app"] = arrival.name;
  fillTemplate(workload, arrival, *spec.mutable_template_());
  return deployment;
}

}  // namespace podlab::sim
