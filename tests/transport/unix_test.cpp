#include "transport/unix.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/unix_socket.hpp"
#include "loop_fixture.hpp"

namespace podlab::transport {
namespace {

/// Real sockets in a folder of the test's own.
class UnixTest : public LoopTest {
 protected:
  UnixTest() {
    std::string name = (std::filesystem::temp_directory_path() / "podlab-unix-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~UnixTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(UnixTest, WhoComesByTheSocketIsKnown) {
  // Longer than a socket's address.
  std::string longFolder = folder_ + "/" + std::string(120, 'x');
  std::filesystem::create_directory(longFolder);
  for (const auto& path : {folder_ + "/s", longFolder + "/s"}) {
    SCOPED_TRACE(path);
    auto fd = listenOnUnixSocket(path);
    ASSERT_TRUE(fd.ok()) << fd.status().toString();
    auto listener = listenOnUnixFd(io_.get_executor(), std::move(*fd), {"admin", {"masters"}});
    auto client = value(makeUnixDialer(io_.get_executor())->dial(path));
    ASSERT_TRUE(client.ok()) << client.status().toString();
    auto server = value(listener->accept());
    ASSERT_TRUE(server.ok());
    EXPECT_EQ((*server)->peerIdentity().commonName, "admin");
    EXPECT_EQ((*server)->peerIdentity().organizations, std::vector<std::string>{"masters"});
    EXPECT_EQ((*client)->peerIdentity().commonName, "");
    std::string text = "hello";
    ASSERT_TRUE(value((*client)->write(std::as_bytes(std::span(text)))).ok());
    std::byte buffer[16];
    EXPECT_EQ(*value((*server)->read(buffer)), 5U);
    (*client)->close();
    EXPECT_EQ(value((*server)->read(buffer)).status().code(), Code::kEndOfStream);
  }
}

TEST_F(UnixTest, NobodyElseMayOpenTheSocket) {
  const std::string path = folder_ + "/s";
  auto first = listenOnUnixSocket(path);
  ASSERT_TRUE(first.ok());
  auto second = listenOnUnixSocket(path);  // that of a process that was killed is in nobody's way
  ASSERT_TRUE(second.ok()) << second.status().toString();
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(UnixTest, ASocketThatNobodyServesIsUnavailable) {
  const std::string path = folder_ + "/s";
  for (const bool made : {false, true}) {
    if (made) ASSERT_TRUE(listenOnUnixSocket(path).ok());
    const auto stream = value(makeUnixDialer(io_.get_executor())->dial(path));
    EXPECT_EQ(stream.status().code(), Code::kUnavailable);
    EXPECT_NE(stream.status().message().find(path), std::string::npos);
  }
  EXPECT_FALSE(listenOnUnixSocket(folder_ + "/absent/s").ok());
}

}  // namespace
}  // namespace podlab::transport
