// The scheduler's index against the plain scan, over clusters, pods and events that the input
// chooses; each input is up to 100 decisions. A number of the input's own seeds what it does not
// say.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/scheduler/random_cluster.hpp"

namespace podlab::scheduler {
namespace {

/// Says what the input says, and goes on from there by itself.
class InputRng final : public Rng {
 public:
  InputRng(const std::uint8_t* data, std::size_t size)
      : data_(data), size_(size), rest_(size == 0 ? 0 : data[0] * size) {}
  std::uint64_t next() override {
    // A byte a choice: most are among few.
    return at_ < size_ ? static_cast<std::uint64_t>(data_[at_++]) << 56 | rest_.next() >> 8
                       : rest_.next();
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  SeededRng rest_;
};

}  // namespace
}  // namespace podlab::scheduler

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace podlab::scheduler;
  InputRng rng(data, size);
  RandomCluster cluster(
      rng, {.mostValues = rng.chance(0.5) ? 3u : 64u, .often = rng.chance(0.5) ? 0u : 256u});
  for (int step = 0; step < 100; ++step) {
    for (auto events = rng.below(4); events > 0; --events) cluster.happen();
    const auto comparison = cluster.compare();
    if (comparison.difference.empty()) continue;
    std::fprintf(stderr, "step %d: %s\n", step, comparison.difference.c_str());
    std::abort();
  }
  return 0;
}
