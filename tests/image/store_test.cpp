#include "image/store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "image/build.hpp"
#include "image/source.hpp"
#include "tests/image/digest.hpp"
#include "tests/image/tar_builder.hpp"

namespace podlab::image {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    char pattern[] = "/tmp/podlab-store-XXXXXX";
    top_ = ::mkdtemp(pattern);
    store_ = std::make_unique<Store>(*files_, top_ + "/.images");
  }
  ~StoreTest() override { (void)files_->removeTree(top_); }

  StoreChange begin() {
    auto change = StoreChange::begin(*store_, [] { ADD_FAILURE() << "somebody has the lock"; });
    EXPECT_TRUE(change.ok()) << change.status().toString();
    return std::move(*change);
  }

  std::string writeBlob(const std::string& layout, const std::string& content) {
    const std::string digest = digestOf(content);
    std::ofstream(layout + "/blobs/sha256/" + digest.substr(7), std::ios::binary) << content;
    return "\"digest\": \"" + digest + "\", \"size\": " + std::to_string(content.size());
  }
  /// A layout with one image of one file `name`, whose layer has the id `diffId`, or its own.
  std::string layout(const std::string& name, std::string diffId = "",
                     const std::string& platform = R"("os": "linux")") {
    const std::string folder = top_ + "/layout" + std::to_string(++layouts_);
    fs::create_directories(folder + "/blobs/sha256");
    const std::string tar = TarBuilder().file(name, name).text();
    if (diffId.empty()) diffId = digestOf(tar);
    const auto layer = writeBlob(folder, tar);
    const auto config = writeBlob(
        folder, "{" + platform + R"(, "config": {"Cmd": ["sh"], "User": "7",
            "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGINT"}, "created": ")" +
                    name + R"(", "rootfs": {"type": "layers", "diff_ids": [")" + diffId + "\"]}}");
    const auto manifest = writeBlob(folder, R"({"schemaVersion": 2, "config": {)" + config +
                                                R"(}, "layers": [{)" + layer + "}]}");
    std::ofstream(folder + "/index.json")
        << R"({"schemaVersion": 2, "manifests": [{)" + manifest + "}]}";
    return folder;
  }
  /// Adds an image under a name, and returns its digest.
  std::string add(const std::string& name, const std::string& file) {
    auto change = begin();
    const auto added = change.add(layout(file));
    EXPECT_TRUE(added.ok()) << added.status().toString();
    EXPECT_TRUE(change.name({{name, added->digest}}).ok());
    return added->digest;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    const auto images = store_->list();
    for (const auto& image : *images) all.push_back(image.name);
    return all;
  }
  std::size_t count(const std::string& folder) const {
    const auto found = files_->listDirectory(store_->root() + "/" + folder);
    return found ? found->size() : 0;
  }
  /// The lock of a running container.
  UniqueFd use(const std::string& digest) const {
    UniqueFd lock(::open(store_->blob(digest).c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(::flock(lock.get(), LOCK_SH | LOCK_NB), 0);
    return lock;
  }

  std::unique_ptr<Filesystem> files_ = makeRealFilesystem();
  std::string top_;
  std::unique_ptr<Store> store_;
  int layouts_ = 0;
};

const std::string kOne = "docker.io/library/one:latest";
const std::string kTwo = "docker.io/library/two:latest";

TEST_F(StoreTest, ReadingMakesNothing) {
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_TRUE(store_->find(*parseReference("one")).status().is(Code::kNotFound));
  EXPECT_FALSE(files_->exists(store_->root()));
}

TEST_F(StoreTest, AnImageIsFoundByNameAndDigest) {
  const auto digest = add(kOne, "a");
  for (const std::string& text : {std::string("one"), "one@" + digest, "one:v2@" + digest}) {
    const auto found = store_->find(*parseReference(text));
    ASSERT_TRUE(found.ok()) << text;
    EXPECT_EQ(found->digest, digest);
  }
  const auto found = store_->find(*parseReference("one"));
  EXPECT_THAT(found->config.command, ElementsAre("sh"));
  EXPECT_EQ(found->config.user, "7");
  EXPECT_EQ(found->config.stopSignal, "SIGINT");
  EXPECT_THAT(found->config.exposedPorts, ElementsAre("80/tcp"));
  EXPECT_EQ(files_->readFile(store_->layer(found->config.diffIds[0]) + "/a").valueOr("?"), "a");
  EXPECT_FALSE(store_->find(*parseReference("one:v2")).ok());
  EXPECT_FALSE(store_->find(*parseReference("one@sha256:" + std::string(64, '0'))).ok());
}

TEST_F(StoreTest, LayersAreSharedAndGoWithTheLastImage) {
  add(kOne, "a");
  add(kTwo, "a");
  EXPECT_EQ(count("layers"), 1U);
  EXPECT_TRUE(begin().remove(*parseReference("one")).ok());
  EXPECT_EQ(count("layers"), 1U);
  EXPECT_TRUE(begin().remove(*parseReference("two")).ok());
  EXPECT_EQ(count("layers"), 0U);
  EXPECT_EQ(count("blobs/sha256"), 0U);
  EXPECT_TRUE(begin().remove(*parseReference("two")).status().is(Code::kNotFound));
}

TEST_F(StoreTest, WhatIsInUseStays) {
  const auto digest = add(kOne, "a");
  auto lock = use(digest);
  EXPECT_TRUE(begin().remove(*parseReference("one")).status().is(Code::kConflict));
  EXPECT_THAT(names(), ElementsAre(kOne));
  // The name may go to another image.
  add(kOne, "b");
  EXPECT_THAT(names(), ElementsAre("", kOne));
  EXPECT_EQ(count("layers"), 2U);
  EXPECT_EQ(*begin().collect(), 0U);
  lock.reset();
  begin();
  EXPECT_THAT(names(), ElementsAre(kOne));
  EXPECT_EQ(count("layers"), 1U);
}

TEST_F(StoreTest, AFailedAdditionLeavesNothing) {
  for (const auto& bad :
       {layout("a", "sha256:" + std::string(64, '0')), layout("a", "", R"("os": "windows")"),
        layout("a", "", R"("os": "linux", "architecture": "s390x")")}) {
    auto change = begin();
    EXPECT_TRUE(change.add(bad).status().is(Code::kInvalid));
  }
  begin();
  EXPECT_EQ(count("layers"), 0U);
  EXPECT_EQ(count("blobs/sha256"), 0U);
  EXPECT_FALSE(files_->exists(store_->root() + "/work"));
}

TEST_F(StoreTest, TheNextCommandClearsUp) {
  add(kOne, "a");
  // As a killed command would leave it: unpacked and named by nothing, or half unpacked.
  fs::create_directories(store_->root() + "/work/layer/etc");
  fs::create_directories(store_->root() + "/layers/" + std::string(64, 'a') + "/locked");
  fs::permissions(store_->root() + "/layers/" + std::string(64, 'a') + "/locked", fs::perms::none);
  std::ofstream(store_->root() + "/blobs/sha256/" + std::string(64, 'a')) << "half";
  begin();
  EXPECT_EQ(count("layers"), 1U);
  EXPECT_EQ(count("blobs/sha256"), 3U);
  EXPECT_FALSE(files_->exists(store_->root() + "/work"));
  EXPECT_THAT(names(), ElementsAre(kOne));
}

TEST_F(StoreTest, ADamagedImageIsSaid) {
  const auto digest = add(kOne, "a");
  std::ofstream(store_->blob(digest)) << "{}";
  EXPECT_THAT(store_->find(*parseReference("one")).status().message(),
              HasSubstr("load or pull it again"));
  EXPECT_THAT(names(), IsEmpty());
  std::ofstream(store_->root() + "/index.json") << "nonsense";
  EXPECT_THAT(store_->list().status().message(), HasSubstr("index.json"));
}

TEST(ImageName, IsNotTheBuiltInOnes) {
  EXPECT_EQ(imageName("nginx").valueOr("?"), "docker.io/library/nginx:latest");
  EXPECT_THAT(imageName("host").status().message(), HasSubstr("choose another"));
  EXPECT_THAT(imageName("Nginx").status().message(), HasSubstr("must be lowercase"));
}

TEST(CommandWords, AreWordsOrJson) {
  EXPECT_THAT(*commandWords("sh -c  x"), ElementsAre("sh", "-c", "x"));
  EXPECT_THAT(*commandWords(R"(["sh", "-c", "a b"])"), ElementsAre("sh", "-c", "a b"));
  EXPECT_THAT(*commandWords(""), IsEmpty());
  EXPECT_FALSE(commandWords("[sh]").ok());
  EXPECT_FALSE(commandWords("[1]").ok());
}

}  // namespace
}  // namespace podlab::image
