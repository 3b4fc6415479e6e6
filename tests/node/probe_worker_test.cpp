#include "node/probe_worker.hpp"

#include <gtest/gtest.h>

namespace podlab::node {
namespace {

using std::chrono::seconds;

constexpr MonoTime at(int second) {
  return MonoTime(seconds(second));
}

corev1::Probe spec(int delay, int period, int successes, int failures) {
  corev1::Probe probe;
  probe.set_initialdelayseconds(delay);
  probe.set_periodseconds(period);
  probe.set_successthreshold(successes);
  probe.set_failurethreshold(failures);
  return probe;
}

TEST(ProbeWorker, CountsEqualOutcomesInARow) {
  struct Step {
    bool success;
    bool ready;
  };
  const Step steps[] = {{true, false}, {false, false}, {true, false}, {true, true},
                        {false, true}, {false, true},  {true, true},  {false, true},
                        {false, true}, {false, false}, {true, false}, {true, true}};
  ProbeWorker worker(ProbeKind::kReadiness, spec(0, 10, 2, 3));
  worker.begin(at(0), at(0));
  for (std::size_t i = 0; i < std::size(steps); ++i) {
    worker.add(steps[i].success);
    EXPECT_EQ(worker.result(), steps[i].ready) << i;
    EXPECT_FALSE(worker.onHold());
  }
  // Unset thresholds are Kubernetes' defaults, 1 and 3.
  ProbeWorker defaults(ProbeKind::kReadiness, corev1::Probe());
  defaults.begin(at(0), at(0));
  defaults.add(true);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(defaults.result(), true);
    defaults.add(false);
  }
  EXPECT_EQ(defaults.result(), false);
}

TEST(ProbeWorker, AssumesAtFirstWhatKubeletDoes) {
  const auto first = [](ProbeKind kind) {
    ProbeWorker worker(kind, spec(0, 1, 1, 1));
    worker.begin(at(0), at(0));
    return worker.result();
  };
  EXPECT_EQ(first(ProbeKind::kReadiness), false);
  EXPECT_EQ(first(ProbeKind::kLiveness), true);
  EXPECT_EQ(first(ProbeKind::kStartup), std::nullopt);
}

TEST(ProbeWorker, TicksFromTheStartOfTheInstance) {
  ProbeWorker worker(ProbeKind::kLiveness, spec(5, 10, 1, 3));
  worker.begin(at(100), at(100));
  EXPECT_EQ(worker.due(), at(105));
  worker.skipTo(at(105));
  EXPECT_EQ(worker.due(), at(115));
  worker.skipTo(at(126));  // a slow probe: one tick is left out
  EXPECT_EQ(worker.due(), at(135));
  // An agent that comes back keeps the beat.
  worker.begin(at(100), at(142));
  EXPECT_EQ(worker.due(), at(145));
  // Asked at once, but not before its delay.
  worker.begin(at(100), at(100));
  worker.skipTo(at(103), true);
  EXPECT_EQ(worker.due(), at(105));
  worker.skipTo(at(108), true);
  EXPECT_EQ(worker.due(), at(108));
}

TEST(ProbeWorker, HoldsAfterAFailureUntilTheNextInstance) {
  for (const auto kind : {ProbeKind::kLiveness, ProbeKind::kStartup}) {
    ProbeWorker worker(kind, spec(0, 1, 1, 2));
    worker.begin(at(0), at(0));
    worker.add(false);
    EXPECT_FALSE(worker.onHold());
    worker.add(false);
    EXPECT_TRUE(worker.onHold());
    EXPECT_EQ(worker.result(), false);
    worker.begin(at(9), at(9));
    EXPECT_FALSE(worker.onHold());
    worker.add(false);
    EXPECT_FALSE(worker.onHold());
  }
}

}  // namespace
}  // namespace podlab::node
