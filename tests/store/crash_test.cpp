// A child process writes with many writers and reports each acknowledged write over a pipe; the
// parent kills it at random points and checks that all of them are there, in order.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "common/rng.hpp"
#include "common/unique_fd.hpp"
#include "tests/store/store_fixture.hpp"

namespace podlab::store {
namespace {

constexpr const char* kChildPath = "PODLAB_CRASH_CHILD_PATH";
constexpr const char* kChildRound = "PODLAB_CRASH_CHILD_ROUND";
constexpr int kChildPipe = 3;
constexpr int kWriters = 24;

void report(const std::string& line) {
  // A pipe takes a line of this length whole.
  if (::write(kChildPipe, line.data(), line.size()) != std::ssize(line)) std::_Exit(2);
}

/// Puts its own keys, deletes every third again, and counts in a key that all share.
Co<void> writeForever(Store& store, std::string name) {
  for (int n = 0;; ++n) {
    const std::string key = "w/" + name + "/" + std::to_string(n);
    Txn create;
    create.compares.push_back({key, 0});
    create.puts.push_back({key, key + "=" + std::string(500, 'v')});
    auto created = co_await store.txn(std::move(create));
    if (!created || !created->succeeded) std::_Exit(3);
    report("P " + key + " " + std::to_string(created->revision) + "\n");
    if (n % 3 == 0) {
      Txn remove;
      remove.deletes.push_back(key);
      auto removed = co_await store.txn(std::move(remove));
      if (!removed) std::_Exit(3);
      report("D " + key + " " + std::to_string(removed->revision) + "\n");
    }
    RangeRequest read;
    read.start = "counter";
    auto counter = co_await store.range(read);
    Txn count;
    const bool there = !counter->items.empty();
    const std::string value = std::to_string(there ? std::stoll(*counter->items[0].value) + 1 : 1);
    count.compares.push_back({"counter", there ? counter->items[0].modRevision : 0});
    count.puts.push_back({"counter", value});
    auto counted = co_await store.txn(std::move(count));
    if (!counted) std::_Exit(3);
    if (counted->succeeded) report("C " + value + " " + std::to_string(counted->revision) + "\n");
    if (n % 50 == 49) {
      auto compacted = co_await store.compact(store.currentRevision() - 100);
      if (!compacted.ok()) std::_Exit(3);
    }
  }
}

// Not a test by itself: what the child process runs.
TEST(CrashChild, DISABLED_Run) {
  const char* path = std::getenv(kChildPath);
  ASSERT_NE(path, nullptr);
  Loop loop;
  SqliteOptions options;
  options.historyBytes = 256 << 10;
  auto store = openSqliteStore(loop.executor(), path, options);
  ASSERT_TRUE(store.ok()) << store.status().toString();
  for (int i = 0; i < kWriters; ++i) {
    loop.spawn(
        writeForever(**store, std::string(std::getenv(kChildRound)) + "." + std::to_string(i)));
  }
  loop.join();
}

pid_t startChild(const std::string& path, int round, int pipe) {
  std::vector<std::string> env = {kChildPath + ("=" + path),
                                  kChildRound + ("=" + std::to_string(round))};
  std::vector<std::string> argv = {"/proc/self/exe", "--gtest_also_run_disabled_tests",
                                   "--gtest_filter=CrashChild.DISABLED_Run"};
  auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (auto& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
  };
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe, kChildPipe);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, pointers(argv).data(),
                                  pointers(env).data());
  ::posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0);
  return pid;
}

/// All that the child reports until it is killed, after `lines` lines.
std::string runAndKill(const std::string& path, int round, std::uint64_t lines) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  const pid_t pid = startChild(path, round, in.get());
  in.reset();
  std::string text;
  std::uint64_t seen = 0;
  bool killed = false;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(out.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    for (ssize_t i = 0; i < n; ++i) seen += buffer[i] == '\n' ? 1 : 0;
    text.append(buffer, static_cast<std::size_t>(n));
    if (seen >= lines && !std::exchange(killed, true)) ::kill(pid, SIGKILL);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "status " << status;
  return text;
}

class CrashTest : public StoreFixture {};

TEST_F(CrashTest, EveryAcknowledgedWriteSurvivesSigkill) {
  std::uint64_t seed = 7;
  if (const char* given = std::getenv("PODLAB_SEED")) seed = std::strtoull(given, nullptr, 10);
  SeededRng rng(seed);
  std::map<std::string, Revision> present;  ///< acknowledged puts, and no delete acknowledged
  std::int64_t counted = 0;
  Revision newest = 0;
  for (int round = 0; round < 25; ++round) {
    const std::string context = "seed " + std::to_string(seed) + " round " + std::to_string(round);
    std::istringstream lines(runAndKill(dir_ / "store.db", round, 1 + rng.below(2000)));
    std::map<Revision, std::string> byRevision;
    std::string verb;
    std::string key;
    Revision revision = 0;
    std::map<std::string, Revision> erased;
    while (lines >> verb >> key >> revision) {
      // No revision is given twice, nor below those of earlier rounds.
      EXPECT_TRUE(byRevision.emplace(revision, key).second) << context;
      EXPECT_GT(revision, newest) << context;
      if (verb == "P") present[key] = revision;
      if (verb == "D") erased[key] = revision;
      if (verb == "C") counted = std::max(counted, static_cast<std::int64_t>(std::stoll(key)));
    }
    for (const auto& [name, at] : erased) present.erase(name);
    ASSERT_FALSE(byRevision.empty()) << context;

    open(sqliteBackend());
    ASSERT_GE(store_->currentRevision(), byRevision.rbegin()->first) << context;
    newest = store_->currentRevision();
    auto all = range("w/", prefixEnd("w/"));
    std::map<std::string, KeyValue> found;
    for (auto& kv : all->items) found[kv.key] = kv;
    for (const auto& [name, at] : erased) EXPECT_FALSE(found.contains(name)) << context << name;
    for (auto it = present.begin(); it != present.end();) {
      const auto& [name, at] = *it;
      auto kv = found.find(name);
      const bool thirdOfItsWriter = std::stoi(name.substr(name.rfind('/') + 1)) % 3 == 0;
      if (kv == found.end()) {
        // Its delete may have been done without being acknowledged.
        EXPECT_TRUE(thirdOfItsWriter) << context << " lost " << name;
        it = present.erase(it);
        continue;
      }
      EXPECT_EQ(kv->second.modRevision, at) << context << " " << name;
      EXPECT_EQ(*kv->second.value, name + "=" + std::string(500, 'v')) << context;
      ++it;
    }
    auto counter = range("counter");
    if (counted > 0) {
      ASSERT_EQ(counter->items.size(), 1u) << context;
      EXPECT_GE(std::stoll(*counter->items[0].value), counted) << context;
    }
    // The history goes on revision by revision up to now.
    Revision at = store_->compactedRevision();
    auto watcher = watch("", prefixEnd(""), at);
    while (at < newest) {
      auto batch = next(*watcher);
      ASSERT_TRUE(batch.ok()) << context;
      for (const auto& event : batch->events) EXPECT_EQ(event.kv.modRevision, ++at) << context;
      ASSERT_EQ(batch->revision, at) << context;
    }
    watcher.reset();
    close();
  }
}

}  // namespace
}  // namespace podlab::store
