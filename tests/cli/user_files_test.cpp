#include "cli/user_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace podlab::cli {
namespace {

TEST(UserFiles, AreReadAndWrittenWhole) {
  const std::string folder = ::testing::TempDir() + "podlab-user-files";
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/file";
  const std::string text(200'000, 'x');
  ASSERT_TRUE(writeOutput(path, "longer than what comes next").ok());
  ASSERT_TRUE(writeOutput(path, text).ok());
  EXPECT_EQ(*readInput(path), text);

  EXPECT_EQ(readInput(folder + "/none").status().message(),
            "cannot read " + folder + "/none: No such file or directory (ENOENT)");
  // What iostreams throw at.
  EXPECT_EQ(readInput(folder).status().message(), "cannot read " + folder + ": Is a directory (EISDIR)");
  EXPECT_EQ(writeOutput(folder, text).message(), "cannot write " + folder + ": Is a directory (EISDIR)");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace podlab::cli
