#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>

#include <asio.hpp>

#include "common/filesystem.hpp"
#include "common/rng.hpp"
#include "node/container_log.hpp"
#include "node/container_log_files.hpp"
#include "node/container_log_writer.hpp"

namespace podlab::node {
namespace {

constexpr WallTime kStart = WallTime(std::chrono::seconds(1'700'000'000));
constexpr std::size_t kHead = 40;  // of an entry, up to its content

Co<void> readInto(ContainerLogReader& reader, std::optional<Result<LogText>>& result) {
  result = co_await reader.read();
}

class LogRotationTest : public testing::Test {
 protected:
  LogRotationTest() {
    std::string pattern = testing::TempDir() + "podlab-log-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ + "/main.0.log";
  }
  ~LogRotationTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<ContainerLogReader> open(LogOptions options = {}) {
    auto reader = openContainerLog(io_.get_executor(), path_, options);
    EXPECT_TRUE(reader.ok()) << reader.status().toString();
    return std::move(*reader);
  }
  /// What is there to read now.
  std::string drain(ContainerLogReader& reader) {
    std::string text;
    for (;;) {
      auto result = std::make_shared<std::optional<Result<LogText>>>();
      asio::cancellation_signal stop;
      asio::co_spawn(io_, readInto(reader, *result),
                     asio::bind_cancellation_slot(stop.slot(), [result](std::exception_ptr) {}));
      io_.restart();
      io_.poll();
      if (!*result) {
        stop.emit(asio::cancellation_type::terminal);
        io_.restart();
        io_.poll();
        if (!*result || !(*result)->ok() || (**result)->empty()) return text;
      }
      if (!(*result)->ok()) return text;
      text += (**result)->text + (**result)->stderrText;
    }
  }
  std::string read(LogOptions options = {}) { return drain(*open(options)); }
  std::vector<std::string> files() {
    auto names = *makeRealFilesystem()->listDirectory(folder_);
    std::sort(names.begin(), names.end());
    return names;
  }

  asio::io_context io_;
  std::string folder_;
  std::string path_;
  ContainerLogWriter writer_;
};

TEST_F(LogRotationTest, FullFilesAreFollowedByOthersAndTheOldestGo) {
  ASSERT_EQ(writer_.open(path_, {100, 3}), Status());
  for (char c = 'a'; c <= 'j'; ++c) writer_.write(false, std::string(20, c) + "\n", kStart);
  // An entry has 61 bytes, so each file has one.
  EXPECT_EQ(files(), (std::vector<std::string>{"main.0.log.7", "main.0.log.8", "main.0.log.9"}));
  EXPECT_EQ(read(), std::string(20, 'h') + "\n" + std::string(20, 'i') + "\n" +
                        std::string(20, 'j') + "\n");
}

TEST_F(LogRotationTest, RemovingTakesAllFilesOfThisLogOnly) {
  for (const char* name : {"main.0.log", "main.0.log.1", "main.0.log.12", "main.1.log",
                           "main.0.log.x", "main.10.log", "record"})
    std::ofstream(folder_ + "/" + name) << "x";
  auto real = makeRealFilesystem();
  EXPECT_EQ(removeContainerLog(*real, path_), Status());
  EXPECT_EQ(files(),
            (std::vector<std::string>{"main.0.log.x", "main.1.log", "main.10.log", "record"}));
  EXPECT_EQ(removeContainerLog(*real, path_), Status());
  EXPECT_EQ(removeContainerLog(*real, folder_ + "/absent/log"), Status());
}

TEST_F(LogRotationTest, AFollowerThatFallsBehindSaysWhatItMissed) {
  ASSERT_EQ(writer_.open(path_, {100, 2}), Status());
  writer_.write(false, "begin ", kStart);
  LogOptions options;
  options.follow = true;
  auto reader = open(options);
  EXPECT_EQ(drain(*reader), "begin ");
  for (char c = 'a'; c <= 'e'; ++c) writer_.write(false, std::string(20, c) + "\n", kStart);
  EXPECT_EQ(drain(*reader),
            "\npodlab: output is missing here: 3 full log file(s) were removed before they were "
            "read\n" +
                std::string(20, 'd') + "\n" + std::string(20, 'e') + "\n");
}

TEST_F(LogRotationTest, LongLinesAndBinaryComeBack) {
  ASSERT_EQ(writer_.open(path_, {}), Status());
  std::string text = std::string(300'000, 'x') +
                     "\xff\xfe\x00\r\n"
                     "\x80 no end";
  text.insert(5, 1, '\0');
  writer_.write(false, text, kStart);
  EXPECT_TRUE(read() == text);
}

/// A full disk, by the limit for the size of files: the writer goes on, and says what is missing.
TEST_F(LogRotationTest, WhatAFullDiskCostIsCountedAndSaid) {
  ASSERT_EQ(writer_.open(path_, {1 << 20, 5}), Status());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* handler = ::signal(SIGXFSZ, SIG_IGN);
  // Room for two entries of "0123456789\n" and a piece of the third.
  for (const std::size_t torn : {0UL, 1UL, 20UL, 45UL, 51UL, 52UL}) {
    SCOPED_TRACE(torn);
    std::filesystem::remove(path_);
    ContainerLogWriter writer;
    ASSERT_EQ(writer.open(path_, {1 << 20, 5}), Status());
    const std::string line = "0123456789\n";
    const std::size_t entry = kHead + line.size();
    writer.write(false, "open", kStart);
    const rlimit full{kHead + 5 + 2 * entry + torn, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    writer.write(false, line + line + line + line, kStart);
    writer.write(true, "lost\n", kStart);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    writer.write(false, "later\n", kStart);
    const std::size_t kept = std::min(torn > kHead ? torn - kHead : 0, line.size());
    std::string third = line.substr(0, kept);
    // An entry that was cut in its content is ended where it was cut.
    if (torn >= kHead && kept < line.size()) third += "\n";
    if (torn == 52) third = line;
    const std::size_t lost = 2 * line.size() - kept + 5;
    EXPECT_EQ(read(), "open" + line + line + third + "podlab: " + std::to_string(lost) +
                          " bytes of output are missing here: File too large\nlater\n");
  }
  ::signal(SIGXFSZ, handler);
}

TEST_F(LogRotationTest, WhatIsMissingAtTheEndIsSaidAtTheEnd) {
  ASSERT_EQ(writer_.open(path_, {1 << 20, 5}), Status());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* handler = ::signal(SIGXFSZ, SIG_IGN);
  writer_.write(false, "half", kStart);
  const rlimit full{kHead + 5, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  writer_.write(false, "lost\n", kStart);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  writer_.finish(kStart);
  EXPECT_EQ(read(), "half\npodlab: 5 bytes of output are missing here: File too large\n");
}

/// What a log is, in memory.
class Model {
 public:
  explicit Model(LogLimits limits) : limits_(limits) {}

  struct Entry {
    WallTime time;
    std::string text;
  };

  void write(const std::string& data, WallTime now) {
    std::vector<Entry> entries;
    std::size_t bytes = 0;
    for (std::size_t at = 0; at < data.size();) {
      const auto end = std::min(data.find('\n', at), data.size() - 1) + 1;
      entries.push_back({now, data.substr(at, end - at)});
      bytes += kHead + (end - at) + (data[end - 1] == '\n' ? 0 : 1);
      at = end;
    }
    if (size_ > 0 && size_ + bytes > limits_.maxFileBytes) {
      files_.emplace_back();
      size_ = 0;
      if (files_.size() > limits_.maxFiles) files_.pop_front();
    }
    size_ += bytes;
    for (auto& entry : entries) files_.back().push_back(std::move(entry));
  }

  std::string read(const LogOptions& options) const {
    std::vector<Entry> lines;  // of pieces: each with the time of its piece
    std::vector<Entry> pieces;
    for (const auto& file : files_) pieces.insert(pieces.end(), file.begin(), file.end());
    std::size_t begin = 0;
    if (options.tailLines) {
      std::int64_t found = 0;
      for (begin = pieces.size(); begin > 0; --begin) {
        const bool ends = pieces[begin - 1].text.back() == '\n';
        if (!ends && begin != pieces.size()) continue;
        if (found++ == *options.tailLines) break;
      }
    }
    std::string text;
    bool since = !options.since;
    for (; begin < pieces.size(); ++begin) {
      since = since || pieces[begin].time >= *options.since;
      if (since) text += pieces[begin].text;
    }
    if (options.limitBytes) text.resize(std::min<std::size_t>(text.size(), *options.limitBytes));
    return text;
  }

 private:
  LogLimits limits_;
  std::deque<std::vector<Entry>> files_{1};
  std::uint64_t size_ = 0;
};

class LogModelTest : public LogRotationTest, public testing::WithParamInterface<int> {};

/// Reading, tailing and following a log that rotates give what the model says.
TEST_P(LogModelTest, ReadersSeeWhatTheModelSays) {
  const auto seed = static_cast<std::uint64_t>(GetParam());
  SCOPED_TRACE("seed " + std::to_string(seed));
  SeededRng rng(seed);
  const LogLimits limits{200 + rng.below(3000), 2 + rng.below(4)};
  ASSERT_EQ(writer_.open(path_, limits), Status());
  Model model(limits);
  LogOptions follow;
  follow.follow = true;
  auto follower = open(follow);
  std::string all, followed;
  int second = 0;
  for (int round = 0; round < 120; ++round) {
    const std::size_t length = rng.chance(0.05) ? 1 + rng.below(4000) : 1 + rng.below(60);
    const std::string piece = rng.text(length, "abc \n");
    const WallTime now = kStart + std::chrono::seconds(second += static_cast<int>(rng.below(2)));
    writer_.write(rng.chance(0.3), piece, now);
    model.write(piece, now);
    all += piece;
    followed += drain(*follower);
    ASSERT_TRUE(followed == all) << "round " << round;
    LogOptions options;
    if (rng.chance(0.5)) options.tailLines = static_cast<std::int64_t>(rng.below(80));
    if (rng.chance(0.3)) options.since = kStart + std::chrono::seconds(rng.below(second + 2));
    if (rng.chance(0.2)) options.limitBytes = static_cast<std::int64_t>(rng.below(500));
    ASSERT_EQ(read(options), model.read(options)) << "round " << round;
    ASSERT_LE(files().size(), limits.maxFiles);
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, LogModelTest, testing::Range(1, 9));

}  // namespace
}  // namespace podlab::node
