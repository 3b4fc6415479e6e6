#include "net/ipam.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "common/rng.hpp"

namespace podlab::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPath[] = "/state/addresses";

/// One file in memory, whose writes can fail. Ipam writes from one thread at a time.
class OneFile final : public Filesystem {
 public:
  Result<std::string> readFile(const std::string& path) override {
    if (!content) return Status(Code::kNotFound, path);
    return *content;
  }
  Result<std::string> readTail(const std::string& path, std::size_t) override {
    return readFile(path);
  }
  Status writeFileAtomic(const std::string&, std::string_view text, std::uint32_t,
                         bool durable) override {
    EXPECT_TRUE(durable);
    if (!failure.ok()) return failure;
    ++writes;
    content = text;
    return {};
  }
  Status createDirectories(const std::string&, std::uint32_t) override { return {}; }
  Status removeTree(const std::string&) override { return {}; }
  Status removeFile(const std::string&) override { return {}; }
  Status rename(const std::string&, const std::string&) override { return {}; }
  bool exists(const std::string&) override { return content.has_value(); }
  Status createSymlink(const std::string&, const std::string&) override { return {}; }
  Result<std::string> readLink(const std::string& path) override {
    return Status(Code::kNotFound, path);
  }
  Result<std::vector<std::string>> listDirectory(const std::string&) override {
    return std::vector<std::string>();
  }

  std::optional<std::string> content;
  Status failure;
  int writes = 0;
};

class IpamTest : public testing::Test {
 protected:
  std::unique_ptr<Ipam> open(std::initializer_list<const char*> ranges) {
    std::vector<Cidr> parsed;
    for (const char* range : ranges) parsed.push_back(*Cidr::parse(range));
    auto ipam = Ipam::open(file_, kPath, std::move(parsed));
    EXPECT_TRUE(ipam.ok()) << ipam.status().toString();
    return ipam ? *std::move(ipam) : nullptr;
  }
  Status refused(std::initializer_list<const char*> ranges) {
    std::vector<Cidr> parsed;
    for (const char* range : ranges) parsed.push_back(*Cidr::parse(range));
    return Ipam::open(file_, kPath, std::move(parsed)).status();
  }
  static std::vector<std::string> texts(const Result<std::vector<IpAddress>>& addresses) {
    std::vector<std::string> out;
    if (!addresses) return {addresses.status().toString()};
    for (const auto& address : *addresses) out.push_back(address.toString());
    return out;
  }

  OneFile file_;
};

TEST_F(IpamTest, GivesOneOfEachRangeAndKeepsIt) {
  auto ipam = open({"10.244.1.0/24", "fd00:244:0:1::/64"});
  EXPECT_THAT(texts(ipam->allocate("a")), ElementsAre("10.244.1.2", "fd00:244:0:1::2"));
  EXPECT_THAT(texts(ipam->allocate("b")), ElementsAre("10.244.1.3", "fd00:244:0:1::3"));
  const int writes = file_.writes;
  EXPECT_THAT(texts(ipam->allocate("a")), ElementsAre("10.244.1.2", "fd00:244:0:1::2"));
  EXPECT_EQ(file_.writes, writes);
  EXPECT_THAT(ipam->owners(), ElementsAre("a", "b"));
  EXPECT_TRUE(ipam->find("c").empty());
  // Found again by the next agent.
  ipam = open({"10.244.1.0/24", "fd00:244:0:1::/64"});
  EXPECT_THAT(texts(ipam->find("b")), ElementsAre("10.244.1.3", "fd00:244:0:1::3"));
  EXPECT_THAT(texts(ipam->allocate("c")), ElementsAre("10.244.1.4", "fd00:244:0:1::4"));
}

TEST_F(IpamTest, ExhaustionNamesTheRangeAndEndsWithARelease) {
  auto ipam = open({"10.244.1.0/29"});
  for (const char* uid : {"a", "b", "c", "d", "e"}) EXPECT_TRUE(ipam->allocate(uid).ok());
  const Status full = ipam->allocate("f").status();
  EXPECT_TRUE(full.is(Code::kExhausted));
  EXPECT_EQ(full.message(), "no free address in 10.244.1.0/29: all 5 are in use on this node");
  int told = 0;
  ipam->onRelease([&] {
    ++told;
    EXPECT_TRUE(ipam->allocate("f").ok());  // from within: no lock is held
  });
  EXPECT_TRUE(ipam->release("nobody").ok());
  EXPECT_EQ(told, 0);
  EXPECT_TRUE(ipam->release("c").ok());
  EXPECT_EQ(told, 1);
  EXPECT_THAT(texts(ipam->find("f")), ElementsAre("10.244.1.4"));
}

TEST_F(IpamTest, AFullRangeTakesNothingOfTheOther) {
  auto ipam = open({"fd00::/64", "10.244.1.0/30"});
  EXPECT_THAT(texts(ipam->allocate("a")), ElementsAre("fd00::2", "10.244.1.2"));
  EXPECT_FALSE(ipam->allocate("b").ok());
  EXPECT_TRUE(ipam->release("a").ok());
  EXPECT_THAT(texts(ipam->allocate("b")), ElementsAre("fd00::3", "10.244.1.2"));
}

TEST_F(IpamTest, RotationSurvivesRestarts) {
  auto ipam = open({"10.244.1.0/29"});
  std::vector<std::string> given;
  for (int i = 0; i < 7; ++i) {
    const std::string uid = "pod" + std::to_string(i);
    given.push_back(texts(ipam->allocate(uid)).front());
    EXPECT_TRUE(ipam->release(uid).ok());
    ipam = open({"10.244.1.0/29"});
  }
  EXPECT_THAT(given, ElementsAre("10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.5",
                                 "10.244.1.6", "10.244.1.2", "10.244.1.3"));
}

TEST_F(IpamTest, WhatWasNotWrittenWasNotGiven) {
  auto ipam = open({"10.244.1.0/24"});
  file_.failure = Status(Code::kExhausted, "disk full");
  const Status status = ipam->allocate("a").status();
  EXPECT_TRUE(status.is(Code::kExhausted));
  EXPECT_THAT(status.message(), HasSubstr("keep the address of pod a: disk full"));
  EXPECT_TRUE(ipam->find("a").empty());
  file_.failure = {};
  EXPECT_TRUE(ipam->allocate("b").ok());
  EXPECT_THAT(open({"10.244.1.0/24"})->owners(), ElementsAre("b"));
}

TEST_F(IpamTest, OtherRangesForgetWhatDoesNotFitThem) {
  file_.content =
      "next 10.244.0.0/16 77\n"
      "pod outside 10.244.2.9\n"
      "pod gateway 10.244.1.1\n"  // was an ordinary address of the larger range
      "pod network 10.244.1.0\n"
      "pod broadcast 10.244.1.255\n"
      "pod more 10.244.1.8 fd00::8\n"
      "pod inside 10.244.1.9\n";
  auto ipam = open({"10.244.1.0/24"});
  EXPECT_THAT(ipam->owners(), ElementsAre("inside"));
  EXPECT_THAT(texts(ipam->allocate("new")), ElementsAre("10.244.1.2"));
}

TEST_F(IpamTest, ACursorOutsideOfTheRangeIsNotFollowed) {
  for (const char* offset : {"0", "1", "255", "18446744073709551615"}) {
    file_.content = std::string("next 10.244.1.0/24 ") + offset + "\n";
    EXPECT_THAT(texts(open({"10.244.1.0/24"})->allocate("a")), ElementsAre("10.244.1.2")) << offset;
  }
  file_.content = "next 10.244.1.0/24 254\n";
  auto ipam = open({"10.244.1.0/24"});
  EXPECT_THAT(texts(ipam->allocate("a")), ElementsAre("10.244.1.254"));
  EXPECT_THAT(texts(ipam->allocate("b")), ElementsAre("10.244.1.2"));
}

TEST_F(IpamTest, ADamagedFileIsNamedWithItsLine) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"next 10.244.1.0/24\n", "/state/addresses:1: an offset is missing"},
      {"next 10.244.1.0/24 2\nfoo\n", "/state/addresses:2: not \"pod\" or \"next\""},
      {"pod\n", ":1: not \"pod\""},
      {"pod a 10.244.1\n", ":1: \"10.244.1\" is not an IP address"},
      {"pod a 10.244.1.2\npod b 10.244.1.2\n", ":2: 10.244.1.2 appears twice"},
      {"pod a 10.244.1.2\npod a 10.244.1.3\n", ":2: pod a appears twice"},
  };
  for (const auto& one : cases) {
    file_.content = one.text;
    const Status status = refused({"10.244.1.0/24"});
    EXPECT_TRUE(status.is(Code::kInvalid)) << one.text;
    EXPECT_THAT(status.message(), HasSubstr(one.message));
    EXPECT_THAT(status.message(), HasSubstr("without this file the node's pods get new addresses"));
  }
}

TEST_F(IpamTest, RefusesRangesWithoutRoomAndStrangeUids) {
  EXPECT_THAT(refused({"10.244.1.0/31"}).message(), HasSubstr("its prefix must be at most 30"));
  EXPECT_THAT(refused({"fd00::/127"}).message(), HasSubstr("its prefix must be at most 126"));
  auto ipam = open({"10.244.1.0/24"});
  for (const char* uid : {"", "a b", "a\nb"}) {
    EXPECT_TRUE(ipam->allocate(uid).status().is(Code::kInvalid)) << uid;
  }
}

/// Against a list of free addresses in the order in which they are next.
TEST_F(IpamTest, AgreesWithAQueueOfFreeAddresses) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    file_.content.reset();
    const int prefix = 26 + static_cast<int>(rng.below(4));
    const std::string range = "10.244.1.0/" + std::to_string(prefix);
    auto ipam = open({range.c_str()});
    const Cidr cidr = *Cidr::parse(range);
    // The naive way: walk from the last one given.
    std::map<std::string, IpAddress> owners;
    std::uint64_t last = 1;
    const std::uint64_t end = cidr.size() - 1;
    const auto expected = [&]() -> std::optional<IpAddress> {
      for (std::uint64_t step = 1; step <= end; ++step) {
        const std::uint64_t offset = 2 + (last - 2 + step + (end - 2)) % (end - 2);
        const IpAddress address = cidr.at(offset);
        const bool used =
            std::ranges::any_of(owners, [&](const auto& owner) { return owner.second == address; });
        if (used) continue;
        last = offset;
        return address;
      }
      return std::nullopt;
    };
    for (int step = 0; step < 300; ++step) {
      const std::string uid = "pod" + std::to_string(rng.below(40));
      if (rng.chance(0.05)) ipam = open({range.c_str()});
      if (rng.chance(0.45)) {
        ASSERT_TRUE(ipam->release(uid).ok());
        owners.erase(uid);
        continue;
      }
      const auto given = ipam->allocate(uid);
      if (const auto owner = owners.find(uid); owner != owners.end()) {
        ASSERT_EQ(given->front(), owner->second);
        continue;
      }
      const auto wanted = expected();
      ASSERT_EQ(given.ok(), wanted.has_value());
      if (!wanted) continue;
      ASSERT_EQ(given->front(), *wanted);
      owners[uid] = *wanted;
    }
  }
}

TEST_F(IpamTest, ThreadsShareWritesAndNeverAnAddress) {
  auto ipam = open({"10.244.0.0/22"});
  std::vector<std::thread> threads;
  std::vector<std::vector<IpAddress>> given(8);
  for (std::size_t t = 0; t < given.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const auto addresses = ipam->allocate(std::to_string(t) + "-" + std::to_string(i));
        if (addresses) given[t].push_back(addresses->front());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<IpAddress> all;
  for (const auto& one : given) all.insert(one.begin(), one.end());
  EXPECT_EQ(all.size(), 800u);
  EXPECT_LE(file_.writes, 800);
  EXPECT_EQ(open({"10.244.0.0/22"})->owners().size(), 800u);
}

}  // namespace
}  // namespace podlab::net
