#include "lab/subordinate_ids.hpp"

#include <gtest/gtest.h>

namespace podlab::lab {
namespace {

TEST(SubordinateIds, TheLargestRangeOfTheUser) {
  const std::string text =
      "alice:100000:65536\n1000:300000:10\nbob:200000:1000\nalice:900000:100000\nbroken\n:1:1\n";
  EXPECT_EQ(findRange(text, "alice", 1000), (IdRange{900000, 100000}));
  EXPECT_EQ(findRange(text, "bob", 1001), (IdRange{200000, 1000}));
  EXPECT_EQ(findRange(text, "carol", 1000), (IdRange{300000, 10}));
  EXPECT_EQ(findRange(text, "carol", 1002), std::nullopt);
  EXPECT_EQ(findRange("alice:x:1\nalice:1:\nalice:5:0\n", "alice", 1), std::nullopt);
}

}  // namespace
}  // namespace podlab::lab
