// Kinds that are served in several forms.
#include <gtest/gtest.h>

#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "tests/api/codec_random.hpp"

namespace podlab::api {
namespace {

constexpr int kRounds = 300;

MutableObjectPtr throughForm(const Kind& kind, const google::protobuf::Message& stored) {
  const auto shown = kind.make();
  kind.form->fromStored(stored, *shown);
  auto again = kind.stored().make();
  kind.form->toStored(*shown, *again);
  return again;
}

class KindForms : public testing::TestWithParam<std::uint64_t> {};

TEST_P(KindForms, WhatIsReadAndWrittenBackStaysTheSame) {
  SeededRng rng(GetParam());
  int forms = 0;
  for (const Kind& kind : servedKinds()) {
    if (!kind.form) continue;
    ++forms;
    EXPECT_NE(&kind.stored(), &kind);
    EXPECT_FALSE(kind.stored().form);
    EXPECT_TRUE(kind.columns.empty());
    for (int round = 0; round < kRounds; ++round) {
      const auto stored = kind.stored().make();
      RandomMessage(rng, round % 6).fill(*stored);
      const auto once = throughForm(kind, *stored);
      // An autoscaler's metrics are put in order, and what no metric can say is left out.
      const auto& expected = kind.kind == "HorizontalPodAutoscaler" ? *once : *stored;
      EXPECT_EQ(toJson(expected), toJson(*throughForm(kind, expected))) << "seed " << GetParam();
    }
  }
  EXPECT_EQ(forms, 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, KindForms, testing::Range<std::uint64_t>(1, 4));

}  // namespace
}  // namespace podlab::api
