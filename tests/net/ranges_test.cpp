#include "net/ranges.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace podlab::net {
namespace {

using ::testing::HasSubstr;

NamedRange named(const std::string& name, const char* range) {
  return {name, *Cidr::parse(range)};
}

std::vector<std::string> chosen(const std::vector<Family>& families,
                                const std::vector<NamedRange>& taken) {
  std::vector<std::string> texts;
  const auto ranges = chooseClusterRanges(families, taken);
  EXPECT_TRUE(ranges.ok()) << ranges.status().toString();
  if (!ranges) return texts;
  for (const auto& range : *ranges) texts.push_back(range.toString());
  return texts;
}

TEST(ValidateRanges, NamesBothSidesOfAClash) {
  const auto pods = named("pod range", "10.244.0.0/16");
  const auto six = named("pod range", "fd00:244::/48");
  EXPECT_TRUE(validateRanges({pods, six}, {named("the host's route on eth0", "10.0.0.0/24")}).ok());
  const Status taken = validateRanges({pods}, {named("the host's route on eth0", "10.0.0.0/8")});
  EXPECT_TRUE(taken.is(Code::kInvalid));
  EXPECT_EQ(taken.message(),
            "pod range 10.244.0.0/16 overlaps the host's route on eth0 10.0.0.0/8: choose another "
            "range");
  EXPECT_THAT(validateRanges({pods, named("service range", "10.244.9.0/24")}, {}).message(),
              HasSubstr("service range 10.244.9.0/24 overlaps pod range 10.244.0.0/16"));
  // An IPv4 network never overlaps an IPv6 one, be they ever so wide.
  EXPECT_TRUE(validateRanges({six}, {named("all", "0.0.0.0/0")}).ok());
}

TEST(ChooseClusterRanges, TakesTheFirstThatIsFree) {
  using enum Family;
  EXPECT_EQ(chosen({kV4, kV6}, {}), (std::vector<std::string>{"10.244.0.0/16", "fd00:244::/48"}));
  EXPECT_EQ(chosen({kV6, kV4}, {named("a", "10.244.3.0/24"), named("b", "fd00:244::1/128")}),
            (std::vector<std::string>{"fd00:245::/48", "10.245.0.0/16"}));
  EXPECT_EQ(chosen({kV4}, {named("vpn", "10.0.0.0/8")}),
            (std::vector<std::string>{"172.30.0.0/16"}));
  const auto none =
      chooseClusterRanges({kV4}, {named("vpn", "10.0.0.0/8"), named("docker", "172.16.0.0/12")});
  EXPECT_TRUE(none.status().is(Code::kExhausted));
  EXPECT_THAT(none.status().message(), HasSubstr("give a free range"));
}

}  // namespace
}  // namespace podlab::net
