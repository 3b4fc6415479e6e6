#include "common/distribution.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/yaml.hpp"

namespace podlab {
namespace {

using Unit = Distribution::Unit;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

Result<Distribution> read(const std::string& yaml, Unit unit = Unit::kDuration) {
  const auto documents = yamlToJson(yaml);
  EXPECT_TRUE(documents.ok()) << yaml;
  return Distribution::parse(documents->front().json, unit);
}

std::vector<double> draw(const Distribution& distribution, int count = 100'000) {
  SeededRng rng(7);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(distribution.sample(rng));
  std::ranges::sort(values);
  return values;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The value below which this share of the sorted values is.
double quantile(const std::vector<double>& values, double share) {
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size()))];
}

TEST(Distribution, IsReadFromYaml) {
  EXPECT_EQ(*read("2s"), Distribution::constant(2));
  EXPECT_EQ(*read("{uniform: [500ms, 3s]}"), Distribution::uniform(0.5, 3));
  EXPECT_EQ(*read("{exponential: 1m}"), Distribution::exponential(60));
  EXPECT_EQ(*read("{lognormal: {median: 9m, sigma: 2}}"), Distribution::lognormal(540, 2));
  EXPECT_EQ(*read("{pareto: {min: 1s, shape: 1.5}}"), Distribution::pareto(1, 1.5));
  EXPECT_EQ(*read("0.25", Unit::kNumber), Distribution::constant(0.25));
  EXPECT_EQ(*read("{uniform: [1, 4]}", Unit::kNumber), Distribution::uniform(1, 4));
}

TEST(Distribution, SaysWhatIsWrong) {
  const struct {
    const char* yaml;
    const char* words;
  } cases[] = {
      {"2", "must be a duration that is not negative, such as 500ms or 2s"},
      {"-2s", "must be a duration"},
      {"[1s]", "must be a duration"},
      {"{}", "must be a value, {uniform: [low, high]}"},
      {"{gauss: 1s}", "must be a value, {uniform: [low, high]}"},
      {"{uniform: 3s}", "uniform: must be [low, high]"},
      {"{uniform: [3s]}", "uniform: must be [low, high]"},
      {"{uniform: [3s, 1s]}", "low not above high"},
      {"{uniform: [1s, 2s, 3s]}", "uniform: must be [low, high]"},
      {"{exponential: soon}", "exponential: must be its mean, a duration"},
      {"{lognormal: 9m}", "lognormal: must have median"},
      {"{lognormal: {median: 9m}}", "and sigma"},
      {"{lognormal: {median: 9m, sigma: 1s}}", "and sigma, a number"},
      {"{lognormal: {median: 9m, sigma: 1, mean: 2s}}", "lognormal: must have median"},
      {"{pareto: {min: 1s, shape: 0}}", "shape, a number above 0"},
      {"{uniform: [1s, 3s], exponential: 2s}", "must be a value"},
  };
  for (const auto& test : cases) {
    const auto result = read(test.yaml);
    ASSERT_FALSE(result.ok()) << test.yaml;
    EXPECT_EQ(result.status().code(), Code::kBadRequest) << test.yaml;
    EXPECT_THAT(result.status().message(), HasSubstr(test.words)) << test.yaml;
  }
  EXPECT_THAT(read("2s", Unit::kNumber).status().message(), HasSubstr("must be a number"));
}

TEST(Distribution, SamplesHaveItsShape) {
  EXPECT_EQ(draw(Distribution::constant(3), 2), (std::vector<double>{3, 3}));

  const auto uniform = draw(Distribution::uniform(2, 6));
  EXPECT_GE(uniform.front(), 2);
  EXPECT_LT(uniform.back(), 6);
  EXPECT_NEAR(mean(uniform), 4, 0.02);
  EXPECT_NEAR(quantile(uniform, 0.25), 3, 0.04);

  const auto exponential = draw(Distribution::exponential(5));
  EXPECT_NEAR(mean(exponential), 5, 0.1);
  EXPECT_NEAR(quantile(exponential, 0.9), 5 * std::log(10), 0.2);

  const auto lognormal = draw(Distribution::lognormal(540, 2));
  EXPECT_NEAR(quantile(lognormal, 0.5), 540, 15);
  EXPECT_NEAR(quantile(lognormal, 0.8413447), 540 * std::exp(2), 120);

  const auto pareto = draw(Distribution::pareto(1, 1.5));
  EXPECT_GE(pareto.front(), 1);
  EXPECT_NEAR(quantile(pareto, 0.9), std::pow(10, 1 / 1.5), 0.1);
}

TEST(Distribution, DurationsAreCapped) {
  SeededRng rng(1);
  EXPECT_EQ(Distribution::constant(1.5).sampleDuration(rng), milliseconds(1500));
  EXPECT_EQ(Distribution().sampleDuration(rng), Duration::zero());
  // The logarithm of this is in the thousands.
  const auto wild = Distribution::lognormal(1, 1e4);
  for (int i = 0; i < 100; ++i) {
    const Duration drawn = wild.sampleDuration(rng);
    EXPECT_GE(drawn, Duration::zero());
    EXPECT_LE(drawn, Distribution::kLongest);
  }
}

}  // namespace
}  // namespace podlab
