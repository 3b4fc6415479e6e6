#include "common/filesystem.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>

#include "common/unique_fd.hpp"

namespace podlab {
namespace {

class FilesystemTest : public testing::Test {
 protected:
  FilesystemTest() {
    std::string pattern = testing::TempDir() + "podlab-fs-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~FilesystemTest() override { std::filesystem::remove_all(root_); }

  std::string root_;
  std::unique_ptr<Filesystem> fs_ = makeRealFilesystem();
};

TEST_F(FilesystemTest, WriteReplacesWholeAndLeavesNothingBeside) {
  const std::string path = root_ + "/file";
  for (bool durable : {true, false}) {
    ASSERT_TRUE(fs_->writeFileAtomic(path, std::string(100'000, 'a'), 0600, durable).ok());
    ASSERT_TRUE(fs_->writeFileAtomic(path, "short", 0600, durable).ok());
    EXPECT_EQ(*fs_->readFile(path), "short");
  }
  struct stat info{};
  ::stat(path.c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto names = *fs_->listDirectory(root_);
  EXPECT_EQ(names.front(), "file");
  EXPECT_LE(names.size(), 2U) << "at most the former file is kept";
}

TEST_F(FilesystemTest, ErrorsNameThePath) {
  const std::string missing = root_ + "/no/file";
  EXPECT_EQ(fs_->readFile(missing).status().code(), Code::kNotFound);
  EXPECT_NE(fs_->readFile(missing).status().message().find(missing), std::string::npos);
  EXPECT_EQ(fs_->writeFileAtomic(missing, "x").code(), Code::kNotFound);
  EXPECT_EQ(fs_->listDirectory(missing).status().code(), Code::kNotFound);
  EXPECT_EQ(fs_->rename(missing, root_ + "/x").code(), Code::kNotFound);
}

TEST_F(FilesystemTest, CreateDirectories) {
  EXPECT_TRUE(fs_->createDirectories(root_ + "/a/b/c").ok());
  EXPECT_TRUE(fs_->createDirectories(root_ + "/a/b/c").ok());
  ASSERT_TRUE(fs_->writeFileAtomic(root_ + "/a/file", "").ok());
  EXPECT_FALSE(fs_->createDirectories(root_ + "/a/file").ok());
  EXPECT_FALSE(fs_->createDirectories(root_ + "/a/file/d").ok());
  EXPECT_EQ(*fs_->listDirectory(root_ + "/a"), (std::vector<std::string>{"b", "file"}));
}

TEST_F(FilesystemTest, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(fs_->createDirectories(root_ + "/kept").ok());
  ASSERT_TRUE(fs_->writeFileAtomic(root_ + "/kept/file", "x").ok());
  ASSERT_TRUE(fs_->createDirectories(root_ + "/tree/deep/er").ok());
  ASSERT_TRUE(fs_->writeFileAtomic(root_ + "/tree/deep/file", "x").ok());
  ASSERT_EQ(::symlink((root_ + "/kept").c_str(), (root_ + "/tree/deep/link").c_str()), 0);
  EXPECT_TRUE(fs_->removeTree(root_ + "/tree").ok());
  EXPECT_FALSE(fs_->exists(root_ + "/tree"));
  EXPECT_TRUE(fs_->exists(root_ + "/kept/file"));
  EXPECT_TRUE(fs_->removeTree(root_ + "/tree").ok());
  EXPECT_TRUE(fs_->removeTree(root_ + "/absent/tree").ok());
  EXPECT_TRUE(fs_->removeTree(root_ + "/kept/file").ok());
  EXPECT_FALSE(fs_->exists(root_ + "/kept/file"));
}

TEST_F(FilesystemTest, FolderOfUnrelatedIsMarkedWhereTheFileSystemKnowsThat) {
  ASSERT_TRUE(makeFolderOfUnrelated(*fs_, root_ + "/a/pods").ok());
  ASSERT_TRUE(makeFolderOfUnrelated(*fs_, root_ + "/a/pods").ok());
  EXPECT_TRUE(fs_->exists(root_ + "/a/pods"));
  struct statfs info{};
  ASSERT_EQ(::statfs(root_.c_str(), &info), 0);
  if (info.f_type != EXT4_SUPER_MAGIC) GTEST_SKIP() << root_ << " is not on ext4";
  UniqueFd folder(::open((root_ + "/a/pods").c_str(), O_RDONLY | O_DIRECTORY));
  int flags = 0;
  ASSERT_EQ(::ioctl(folder.get(), FS_IOC_GETFLAGS, &flags), 0);
  EXPECT_TRUE(flags & FS_TOPDIR_FL);
}

TEST_F(FilesystemTest, LinksAreStoredAsTheyAre) {
  ASSERT_TRUE(fs_->createSymlink("../nowhere", root_ + "/link").ok());
  EXPECT_EQ(*fs_->readLink(root_ + "/link"), "../nowhere");
  EXPECT_TRUE(fs_->exists(root_ + "/link")) << "also when they lead nowhere";
  EXPECT_TRUE(fs_->createSymlink("x", root_ + "/link").is(Code::kAlreadyExists));
  ASSERT_TRUE(fs_->createSymlink("second", root_ + "/new").ok());
  EXPECT_TRUE(fs_->rename(root_ + "/new", root_ + "/link").ok());
  EXPECT_EQ(*fs_->readLink(root_ + "/link"), "second");
  EXPECT_TRUE(fs_->readLink(root_ + "/none").status().is(Code::kNotFound));
}

TEST_F(FilesystemTest, ModesAreExactWhateverTheUmask) {
  const mode_t before = ::umask(077);
  ASSERT_TRUE(fs_->writeFileAtomic(root_ + "/file", "x", 0666, false).ok());
  ::umask(before);
  struct stat info{};
  ::stat((root_ + "/file").c_str(), &info);
  EXPECT_EQ(info.st_mode & 07777U, 0666U);
}

TEST_F(FilesystemTest, RemoveFileAndRename) {
  ASSERT_TRUE(fs_->writeFileAtomic(root_ + "/a", "x").ok());
  EXPECT_TRUE(fs_->rename(root_ + "/a", root_ + "/b").ok());
  EXPECT_EQ(*fs_->readFile(root_ + "/b"), "x");
  EXPECT_TRUE(fs_->removeFile(root_ + "/b").ok());
  EXPECT_TRUE(fs_->removeFile(root_ + "/b").ok());
  EXPECT_FALSE(fs_->removeFile(root_).ok());
}

}  // namespace
}  // namespace podlab
