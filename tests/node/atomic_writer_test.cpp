#include "node/atomic_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "node/simulated_filesystem.hpp"
#include "sim/crashing_host.hpp"

namespace podlab::node {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

constexpr const char* kFolder = "/v";
const WallTime kNow{seconds(1'700'000'000)};

/// What a reader of the volume finds: path to content, by the links. Two readers that look at one
/// moment see the same data folder.
std::map<std::string, std::string> contentOf(SimulatedFilesystem& files) {
  std::map<std::string, std::string> seen;
  const auto data = files.readLink("/v/..data");
  if (!data.ok()) return seen;
  const std::string prefix = std::string("/v/") + *data + "/";
  for (const auto& [path, content] : files.files()) {
    if (path.starts_with(prefix)) seen[path.substr(prefix.size())] = content;
  }
  return seen;
}

std::map<std::string, std::string> contentOf(const Payload& payload) {
  std::map<std::string, std::string> content;
  for (const auto& [path, file] : payload) content[path] = file.content;
  return content;
}

/// The names that users see, each of which must be a link into the data.
std::set<std::string> namesIn(SimulatedFilesystem& files) {
  std::set<std::string> names;
  const auto entries = files.listDirectory(kFolder);
  for (const auto& name : *entries) {
    if (name.starts_with("..")) continue;
    EXPECT_EQ(*files.readLink("/v/" + name), "..data/" + name);
    names.insert(name);
  }
  return names;
}

TEST(AtomicWriter, WritesReplacesAndRemoves) {
  SimulatedFilesystem files;
  ASSERT_TRUE(files.createDirectories(kFolder, 0755).ok());
  EXPECT_FALSE(holdsPayload(files, kFolder));
  ASSERT_EQ(writePayload(files, kFolder, {{"a", {"1"}}, {"sub/b", {"2"}}, {"sub/c", {"3"}}}, kNow),
            Status());
  EXPECT_TRUE(holdsPayload(files, kFolder));
  EXPECT_THAT(namesIn(files), ElementsAre("a", "sub"));
  const std::string first = *files.readLink("/v/..data");
  ASSERT_TRUE(files.writeFileAtomic("/v/others", "x", 0644, false).ok());

  // Nothing is written when nothing has changed.
  ASSERT_EQ(writePayload(files, kFolder, {{"a", {"1"}}, {"sub/b", {"2"}}, {"sub/c", {"3"}}},
                         kNow + seconds(5)),
            Status());
  EXPECT_EQ(*files.readLink("/v/..data"), first);

  const Payload next{{"a", {"1"}}, {"d", {"4"}}};
  ASSERT_EQ(writePayload(files, kFolder, next, kNow + seconds(9)), Status());
  EXPECT_EQ(contentOf(files), contentOf(next));
  EXPECT_NE(*files.readLink("/v/..data"), first);
  EXPECT_FALSE(files.exists("/v/" + first)) << "the old files are gone";
  EXPECT_FALSE(files.exists("/v/sub")) << "and so is a name without a key";
  EXPECT_EQ(*files.readFile("/v/others"), "x") << "what others have put there stays";
  ASSERT_EQ(writePayload(files, kFolder, {}, kNow + seconds(9)), Status());
  EXPECT_TRUE(contentOf(files).empty());
  EXPECT_TRUE(holdsPayload(files, kFolder));
}

/// Dies at each call in turn, before and after its effect. At any moment a reader sees all of the
/// old or all of the new files, and the next write completes what was begun and leaves nothing
/// else.
TEST(AtomicWriter, ConvergesAfterACrashAnywhere) {
  const Payload old{{"a", {"1"}}, {"b", {"1"}}, {"gone", {"1"}}};
  const Payload next{{"a", {"2"}}, {"b", {"2"}}, {"new/c", {"2"}}};
  int calls = 0;
  for (const bool afterEffect : {false, true}) {
    for (int at = 0;; ++at) {
      SimulatedFilesystem files;
      ASSERT_TRUE(files.createDirectories(kFolder, 0755).ok());
      ASSERT_EQ(writePayload(files, kFolder, old, kNow), Status());
      sim::CrashPoint point(at, afterEffect);
      sim::CrashingFilesystem crashing(files, point);
      (void)writePayload(crashing, kFolder, next, kNow);
      const auto seen = contentOf(files);
      EXPECT_TRUE(seen == contentOf(old) || seen == contentOf(next)) << at;
      if (!point.dead()) {
        calls = point.calls();
        break;
      }
      ASSERT_EQ(writePayload(files, kFolder, next, kNow + seconds(1)), Status()) << at;
      EXPECT_EQ(contentOf(files), contentOf(next)) << at;
      EXPECT_THAT(namesIn(files), ElementsAre("a", "b", "new")) << at;
      EXPECT_EQ(files.listDirectory(kFolder)->size(), 5U) << at << ": the names and the data only";
    }
  }
  EXPECT_GT(calls, 8);
}

TEST(AtomicWriter, AFullDiskLeavesTheOldFiles) {
  SimulatedFilesystem files;
  ASSERT_TRUE(files.createDirectories(kFolder, 0755).ok());
  const Payload old{{"a", {"1"}}};
  ASSERT_EQ(writePayload(files, kFolder, old, kNow), Status());
  files.failWrites({Code::kExhausted, "No space left on device"});
  EXPECT_TRUE(writePayload(files, kFolder, {{"a", {"2"}}}, kNow).is(Code::kExhausted));
  EXPECT_EQ(contentOf(files), contentOf(old));
}

}  // namespace
}  // namespace podlab::node
