#include "common/sealed_program.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/filesystem.hpp"

namespace podlab {
namespace {

TEST(SealedProgram, CannotBeChanged) {
  auto program = sealProgram("/bin/true");
  ASSERT_TRUE(program.ok()) << program.status().toString();
  EXPECT_EQ(::pwrite(program->get(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(program->get(), 0), -1);
  // As crun and runc ask whether they need to copy themselves.
  EXPECT_EQ(::fcntl(program->get(), F_GET_SEALS),
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

TEST(SealedProgram, IsTheWholeFile) {
  auto program = sealProgram("true");
  ASSERT_TRUE(program.ok()) << program.status().toString();
  const std::string path = "/proc/self/fd/" + std::to_string(program->get());
  auto files = makeRealFilesystem();
  EXPECT_EQ(*files->readFile(path), *files->readFile("/bin/true"));
}

TEST(SealedProgram, WhatIsNotAProgramIsRefused) {
  EXPECT_EQ(sealProgram("/nonexistent/program").status().code(), Code::kNotFound);
  EXPECT_EQ(sealProgram("no-such-program").status().code(), Code::kNotFound);
  std::string script = testing::TempDir() + "podlab-script-" + std::to_string(::getpid());
  ASSERT_TRUE(makeRealFilesystem()->writeFileAtomic(script, "#!/bin/sh\n", 0755).ok());
  EXPECT_EQ(sealProgram(script).status().code(), Code::kHostUnsupported);
  ::unlink(script.c_str());
}

}  // namespace
}  // namespace podlab
