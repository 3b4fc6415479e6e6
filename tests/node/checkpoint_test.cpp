#include "node/checkpoint.hpp"

#include <gtest/gtest.h>

#include "common/rng.hpp"
#include "node/simulated_filesystem.hpp"

namespace podlab::node {
namespace {

records::PodRecord makeRecord(const std::string& uid) {
  records::PodRecord record;
  record.mutable_pod()->mutable_metadata()->set_uid(uid);
  record.mutable_pod()->mutable_metadata()->set_name("web");
  record.add_addresses("10.244.1.2");
  auto& container = *record.add_containers();
  container.set_name("main");
  container.set_attempt(3);
  return record;
}

Status save(CheckpointStore& store, const std::string& uid) {
  std::uint64_t saved = 0;
  return store.savePod(uid, makeRecord(uid).SerializeAsString(), saved);
}

TEST(CheckpointStore, GivesBackWhatWasSaved) {
  SimulatedFilesystem files;
  CheckpointStore store(files, "/state");
  ASSERT_TRUE(save(store, "a").ok());
  ASSERT_TRUE(save(store, "b").ok());
  auto loaded = store.loadPods();
  ASSERT_EQ(loaded.pods.size(), 2U);
  EXPECT_TRUE(loaded.unreadable.empty());
  EXPECT_EQ(loaded.pods[1].SerializeAsString(), makeRecord("b").SerializeAsString());
  ASSERT_TRUE(store.removePod("a").ok());
  EXPECT_EQ(store.loadPods().pods.size(), 1U);
  ASSERT_TRUE(store.removePod("a").ok());

  EXPECT_FALSE(store.loadNode().has_value());
  records::NodeRecord node;
  node.add_podranges("10.244.1.0/24");
  ASSERT_TRUE(store.saveNode(node).ok());
  EXPECT_EQ(store.loadNode()->podranges(0), "10.244.1.0/24");
}

// Any damage of the file is found, and the file kept aside for people.
TEST(CheckpointStore, SetsDamagedRecordsAside) {
  const std::uint64_t seed = 20260101;
  SeededRng rng(seed);
  for (int round = 0; round < 300; ++round) {
    SimulatedFilesystem files;
    CheckpointStore store(files, "/state");
    ASSERT_TRUE(save(store, "a").ok());
    const std::string path = PodFolder("/state", "a").record();
    std::string content = files.files().at(path);
    if (rng.chance(0.5)) {
      content.resize(rng.below(content.size()));
    } else {
      content[rng.below(content.size())] ^= static_cast<char>(1 + rng.below(255));
    }
    ASSERT_TRUE(files.writeFileAtomic(path, content, 0600, false).ok());
    auto loaded = store.loadPods();
    EXPECT_TRUE(loaded.pods.empty()) << "seed " << seed << " round " << round;
    EXPECT_EQ(loaded.unreadable, std::vector<std::string>{"a"});
    EXPECT_EQ(files.files().count(path), 0U);
    EXPECT_EQ(files.files().at(path + ".corrupt"), content);
  }
}

TEST(CheckpointStore, SaysWhenTheDiskIsFull) {
  SimulatedFilesystem files;
  CheckpointStore store(files, "/state");
  files.failWrites(Status(Code::kExhausted, "No space left on device"));
  std::uint64_t saved = 0;
  EXPECT_TRUE(store.savePod("a", "record", saved).is(Code::kExhausted));
  EXPECT_EQ(saved, 0U);
}

TEST(CheckpointStore, WritesAgainOnlyWhatHasChanged) {
  SimulatedFilesystem files;
  CheckpointStore store(files, "/state");
  const std::string path = PodFolder("/state", "a").record();
  std::uint64_t saved = 0;
  ASSERT_TRUE(store.savePod("a", "12345678 and a tail", saved).ok());
  const std::string first = files.files().at(path);
  ASSERT_TRUE(files.removeFile(path).ok());
  ASSERT_TRUE(store.savePod("a", "12345678 and a tail", saved).ok());
  EXPECT_EQ(files.files().count(path), 0U);
  for (const char* other : {"12345678 and a tale", "12345679 and a tail", "12345678"}) {
    ASSERT_TRUE(store.savePod("a", other, saved).ok());
    EXPECT_TRUE(files.files().at(path).ends_with(other));
    EXPECT_NE(files.files().at(path), first);
  }
}

}  // namespace
}  // namespace podlab::node
