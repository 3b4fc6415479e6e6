#include "node/address_pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio.hpp>

#include "node/simulated_filesystem.hpp"
#include "sim/sim_clock.hpp"

namespace podlab::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AddressPoolTest : public testing::Test {
 protected:
  static std::vector<net::Cidr> ranges(const char* range) { return {*net::Cidr::parse(range)}; }
  std::string allocate(AddressPool& pool, const std::string& uid) {
    const auto addresses = sim::runInSim(clock_, pool.allocate(uid));
    return addresses ? addresses->front().toString() : addresses.status().toString();
  }
  Status release(AddressPool& pool, const std::string& uid) {
    return sim::runInSim(clock_, pool.release(uid));
  }

  asio::io_context io_;
  sim::SimClock clock_{io_};
  SimulatedFilesystem files_;
  std::unique_ptr<BlockingPool> blocking_ = makeInlinePool();
};

TEST_F(AddressPoolTest, WithoutARangeThereIsNoAddressYet) {
  AddressPool pool(files_, *blocking_, "/state/addresses");
  EXPECT_TRUE(sim::runInSim(clock_, pool.allocate("a")).status().is(Code::kUnavailable));
  EXPECT_TRUE(release(pool, "a").ok());
  EXPECT_THAT(pool.owners(), IsEmpty());
}

TEST_F(AddressPoolTest, KeepsAddressesOverRestarts) {
  {
    AddressPool pool(files_, *blocking_, "/state/addresses");
    ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/24")).ok());
    EXPECT_EQ(allocate(pool, "a"), "10.244.1.2");
    EXPECT_EQ(allocate(pool, "b"), "10.244.1.3");
    EXPECT_EQ(allocate(pool, "a"), "10.244.1.2");
    ASSERT_TRUE(release(pool, "a").ok());
  }
  AddressPool pool(files_, *blocking_, "/state/addresses");
  ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/24")).ok());
  EXPECT_THAT(pool.owners(), ElementsAre("b"));
  EXPECT_EQ(allocate(pool, "b"), "10.244.1.3");
  EXPECT_EQ(allocate(pool, "c"), "10.244.1.4");
}

TEST_F(AddressPoolTest, TheSameRangesAgainChangeNothingAndOthersBeginAnew) {
  AddressPool pool(files_, *blocking_, "/state/addresses");
  ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/24")).ok());
  EXPECT_EQ(allocate(pool, "a"), "10.244.1.2");
  ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/24")).ok());
  EXPECT_THAT(pool.owners(), ElementsAre("a"));
  ASSERT_TRUE(pool.setRanges(ranges("10.244.7.0/24")).ok());
  EXPECT_THAT(pool.owners(), IsEmpty());
  EXPECT_EQ(allocate(pool, "a"), "10.244.7.2");
}

TEST_F(AddressPoolTest, RangesThatCannotServeLeaveThoseInUse) {
  AddressPool pool(files_, *blocking_, "/state/addresses");
  ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/24")).ok());
  EXPECT_THAT(pool.setRanges(ranges("10.244.2.0/31")).message(), HasSubstr("10.244.2.0/31"));
  EXPECT_EQ(allocate(pool, "a"), "10.244.1.2");
}

TEST_F(AddressPoolTest, ExhaustionEndsWithARelease) {
  AddressPool pool(files_, *blocking_, "/state/addresses");
  ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/30")).ok());
  EXPECT_EQ(allocate(pool, "a"), "10.244.1.2");
  EXPECT_TRUE(sim::runInSim(clock_, pool.allocate("b")).status().is(Code::kExhausted));
  ASSERT_TRUE(release(pool, "a").ok());
  EXPECT_EQ(allocate(pool, "b"), "10.244.1.2");
}

TEST_F(AddressPoolTest, AFullDiskGivesNothing) {
  AddressPool pool(files_, *blocking_, "/state/addresses");
  ASSERT_TRUE(pool.setRanges(ranges("10.244.1.0/24")).ok());
  files_.failWrites(Status(Code::kExhausted, "disk full"));
  EXPECT_THAT(allocate(pool, "a"), HasSubstr("disk full"));
  EXPECT_THAT(pool.owners(), IsEmpty());
}

}  // namespace
}  // namespace podlab::node
