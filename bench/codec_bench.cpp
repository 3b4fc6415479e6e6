// The JSON codec against protobuf's own json_util: a pod of two containers with its status, each
// codec on its own JSON form (json_util knows neither inlined messages nor Kubernetes' scalar
// forms). Prints MB/s of JSON text, and the ratios at the end.
#include <benchmark/benchmark.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>

#include "core_v1.pb.h"

#include "api/codec.hpp"

namespace {

namespace corev1 = k8s::io::api::core::v1;

/// The pod of the codec's tests, as a message and in both JSON forms, compact.
struct Sample {
  corev1::Pod pod;
  std::string ours;
  std::string theirs;

  Sample() {
    std::ifstream file(PODLAB_SOURCE_DIR "/tests/data/codec/pod.json");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (!podlab::api::fromJson(text, pod).ok() ||
        !google::protobuf::util::MessageToJsonString(pod, &theirs).ok()) {
      std::fputs("tests/data/codec/pod.json is missing or damaged\n", stderr);
      std::exit(1);
    }
    ours = podlab::api::toJson(pod);
  }
};

const Sample& sample() {
  static const Sample made;
  return made;
}

void report(benchmark::State& state, const std::string& json) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(json.size()));
}

void encodePodlab(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(podlab::api::toJson(sample().pod));
  report(state, sample().ours);
}

void transcodePodlab(benchmark::State& state) {
  const std::string bytes = sample().pod.SerializeAsString();
  for (auto _ : state) {
    std::string json;
    podlab::JsonWriter writer(json);
    podlab::api::transcodeJson(writer, bytes, corev1::Pod::descriptor());
    benchmark::DoNotOptimize(json);
  }
  report(state, sample().ours);
}

void parseProtobuf(benchmark::State& state) {
  const std::string bytes = sample().pod.SerializeAsString();
  for (auto _ : state) {
    corev1::Pod pod;
    benchmark::DoNotOptimize(pod.ParseFromString(bytes));
  }
  report(state, sample().ours);
}

void encodeJsonUtil(benchmark::State& state) {
  for (auto _ : state) {
    std::string json;
    (void)google::protobuf::util::MessageToJsonString(sample().pod, &json);
    benchmark::DoNotOptimize(json);
  }
  report(state, sample().theirs);
}

void decodePodlab(benchmark::State& state) {
  for (auto _ : state) {
    corev1::Pod pod;
    (void)podlab::api::fromJson(sample().ours, pod);
    benchmark::DoNotOptimize(pod);
  }
  report(state, sample().ours);
}

void decodeStrictPodlab(benchmark::State& state) {
  for (auto _ : state) {
    corev1::Pod pod;
    (void)podlab::api::fromJson(sample().ours, pod, {.strict = true});
    benchmark::DoNotOptimize(pod);
  }
  report(state, sample().ours);
}

void decodeJsonUtil(benchmark::State& state) {
  for (auto _ : state) {
    corev1::Pod pod;
    (void)google::protobuf::util::JsonStringToMessage(sample().theirs, &pod);
    benchmark::DoNotOptimize(pod);
  }
  report(state, sample().theirs);
}

void decodeYamlPodlab(benchmark::State& state) {
  const std::string yaml = podlab::api::toYaml(sample().pod, {"v1", "Pod"});
  const podlab::api::PrototypeLookup lookup = [](const podlab::api::TypeMeta&) {
    return &corev1::Pod::default_instance();
  };
  for (auto _ : state) benchmark::DoNotOptimize(podlab::api::decodeManifest(yaml, lookup));
  report(state, yaml);
}

void encodeYamlPodlab(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(podlab::api::toYaml(sample().pod, {"v1", "Pod"}));
  report(state, sample().ours);
}

BENCHMARK(encodePodlab);
BENCHMARK(transcodePodlab);
BENCHMARK(parseProtobuf);
BENCHMARK(encodeJsonUtil);
BENCHMARK(decodePodlab);
BENCHMARK(decodeStrictPodlab);
BENCHMARK(decodeJsonUtil);
BENCHMARK(decodeYamlPodlab);
BENCHMARK(encodeYamlPodlab);

/// How much processor time theirs takes against ours, best of rounds that alternate between the
/// two, so that the machine's moods hit both.
template <typename Ours, typename Theirs>
double ratio(const Ours& ours, const Theirs& theirs) {
  constexpr int kRounds = 20;
  constexpr int kRepeats = 500;
  const auto seconds = [](const auto& work) {
    const std::clock_t start = std::clock();
    for (int i = 0; i < kRepeats; ++i) work();
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  double best[2] = {1e9, 1e9};
  for (int round = 0; round < kRounds; ++round) {
    best[0] = std::min(best[0], seconds(ours));
    best[1] = std::min(best[1], seconds(theirs));
  }
  return best[1] / best[0];
}

void printRatios() {
  const Sample& pod = sample();
  const double encode = ratio([&] { benchmark::DoNotOptimize(podlab::api::toJson(pod.pod)); },
                              [&] {
                                std::string json;
                                (void)google::protobuf::util::MessageToJsonString(pod.pod, &json);
                                benchmark::DoNotOptimize(json);
                              });
  const double decode = ratio(
      [&] {
        corev1::Pod made;
        (void)podlab::api::fromJson(pod.ours, made);
        benchmark::DoNotOptimize(made);
      },
      [&] {
        corev1::Pod made;
        (void)google::protobuf::util::JsonStringToMessage(pod.theirs, &made);
        benchmark::DoNotOptimize(made);
      });
  std::printf(
      "pod of %zu bytes of JSON (json_util: %zu), times as fast as json_util: encode %.1f, decode "
      "%.1f\n",
      pod.ours.size(), pod.theirs.size(), encode, decode);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  printRatios();
  return 0;
}
