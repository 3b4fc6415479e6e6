#include "node/container_log.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include <asio.hpp>

#include "common/rng.hpp"
#include "node/container_log_writer.hpp"

namespace podlab::node {
namespace {

constexpr WallTime kStart = WallTime(std::chrono::seconds(1'700'000'000));

Co<void> readInto(ContainerLogReader& reader, std::optional<Result<LogText>>& result) {
  result = co_await reader.read();
}

class ContainerLogTest : public testing::Test {
 protected:
  ContainerLogTest() {
    std::string pattern = testing::TempDir() + "podlab-log-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ + "/log";
    EXPECT_EQ(writer_.open(path_), Status());
  }
  ~ContainerLogTest() override { std::filesystem::remove_all(folder_); }

  void write(std::string_view text, bool isStderr = false) {
    writer_.write(isStderr, text, kStart + std::chrono::seconds(entries_++));
  }
  void append(std::string_view raw) { std::ofstream(path_, std::ios::app) << raw; }

  /// All until the end, or until nothing is there to read now.
  std::string readAll(ContainerLogReader& reader) {
    std::string text;
    for (;;) {
      std::optional<Result<LogText>> result;
      asio::co_spawn(io_, readInto(reader, result), asio::detached);
      io_.restart();
      io_.poll();
      if (!result) return text + "<waits>";
      if (!*result) return text + (result->status().is(Code::kEndOfStream) ? "" : "<error>");
      text += (*result)->text;
    }
  }
  std::string read(LogOptions options = {}) {
    auto reader = openContainerLog(io_.get_executor(), path_, options);
    if (!reader) return reader.status().toString();
    return readAll(**reader);
  }

  asio::io_context io_;
  std::string folder_;
  std::string path_;
  ContainerLogWriter writer_;
  int entries_ = 0;
};

TEST_F(ContainerLogTest, TheFileIsInTheCriFormat) {
  write("one\ntwo");
  write("\n", true);
  std::ifstream file(path_);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text,
            "2023-11-14T22:13:20.000000000Z stdout F one\n"
            "2023-11-14T22:13:20.000000000Z stdout P two\n"
            "2023-11-14T22:13:21.000000000Z stderr F \n");
}

TEST_F(ContainerLogTest, ReadsBackWhatWasWritten) {
  EXPECT_EQ(read(), "");
  write("one\ntw");
  write("o\n\nthree ");
  write("four", true);
  EXPECT_EQ(read(), "one\ntwo\n\nthree four");
}

TEST_F(ContainerLogTest, TailCountsLines) {
  write("1\n2\n");
  write("3 ");
  write("3\n4");
  const auto tail = [this](std::int64_t lines) {
    LogOptions options;
    options.tailLines = lines;
    return read(options);
  };
  EXPECT_EQ(tail(0), "");
  EXPECT_EQ(tail(1), "4");
  EXPECT_EQ(tail(2), "3 3\n4");
  EXPECT_EQ(tail(3), "2\n3 3\n4");
  EXPECT_EQ(tail(4), "1\n2\n3 3\n4");
  EXPECT_EQ(tail(100), "1\n2\n3 3\n4");
  append("2023-11-14T22:13:20.000000000Z stdout F torn");
  EXPECT_EQ(tail(1), "4");
}

TEST_F(ContainerLogTest, SinceTimestampsAndLimit) {
  write("a\n");
  write("b ");
  write("c\n");
  LogOptions options;
  options.since = kStart + std::chrono::seconds(1);
  EXPECT_EQ(read(options), "b c\n");
  options.timestamps = true;
  EXPECT_EQ(read(options), "2023-11-14T22:13:21.000000000Z b c\n");
  LogOptions limited;
  limited.limitBytes = 3;
  EXPECT_EQ(read(limited), "a\nb");
  limited.limitBytes = 0;
  EXPECT_EQ(read(limited), "");
}

TEST_F(ContainerLogTest, WhatIsNotInTheFormatIsLeftOut) {
  write("a\n");
  append("\nnonsense\n2023-11-14T22:13:20Z stdout X b\n2023-11-14T22:13:20Z else F b\n");
  append("2023-11-14T22:13:20Z stdout F:tag b\n");
  append("2023-11-14T22:13:20Z std");
  EXPECT_EQ(read(), "a\nb\n");
  LogOptions options;
  options.tailLines = 1;
  EXPECT_EQ(read(options), "b\n");
}

TEST_F(ContainerLogTest, FollowWaitsForMoreUntilFinished) {
  write("a\n");
  LogOptions options;
  options.follow = true;
  auto reader = openContainerLog(io_.get_executor(), path_, options);
  ASSERT_TRUE(reader.ok());
  std::optional<Result<LogText>> result;
  const auto next = [&]() -> std::string {
    if (!result) return "<waits>";
    return *result ? (*result)->text : "<end>";
  };
  const auto step = [&] {
    io_.restart();
    io_.poll();
    return next();
  };
  const auto start = [&] {
    result.reset();
    asio::co_spawn(io_, readInto(**reader, result), asio::detached);
    return step();
  };
  EXPECT_EQ(start(), "a\n");
  EXPECT_EQ(start(), "<waits>");
  append("2023-11-14T22:13:20Z stdout F b");
  EXPECT_EQ(step(), "<waits>");
  append("c\n");
  EXPECT_EQ(step(), "bc\n");
  EXPECT_EQ(start(), "<waits>");
  write("last");
  (*reader)->finish();
  EXPECT_EQ(step(), "last");
  EXPECT_EQ(start(), "<end>");
}

TEST_F(ContainerLogTest, AMissingLogIsNamed) {
  auto reader = openContainerLog(io_.get_executor(), folder_ + "/none", {});
  EXPECT_EQ(reader.status().code(), Code::kNotFound);
}

/// Any output in any pieces comes back whole; the tail of it is that of its lines.
TEST_F(ContainerLogTest, RandomOutputsComeBack) {
  const std::uint64_t seed = 20260102;
  SCOPED_TRACE(seed);
  SeededRng rng(seed);
  std::string all;
  for (int round = 0; round < 300; ++round) {
    const std::size_t length = rng.chance(0.05) ? 1 + rng.below(32 * 1024) : 1 + rng.below(40);
    const std::string piece = rng.text(length, "ab \n");
    all += piece;
    write(piece, rng.chance(0.3));
  }
  EXPECT_TRUE(read() == all);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < all.size();) {
    const auto end = std::min(all.find('\n', at), all.size() - 1) + 1;
    lines.push_back(all.substr(at, end - at));
    at = end;
  }
  for (std::size_t count : {1ul, 2ul, 17ul, 1000ul, lines.size() - 1, lines.size()}) {
    LogOptions options;
    options.tailLines = static_cast<std::int64_t>(count);
    std::string expected;
    for (std::size_t i = lines.size() - count; i < lines.size(); ++i) expected += lines[i];
    EXPECT_TRUE(read(options) == expected) << count;
  }
}

}  // namespace
}  // namespace podlab::node
