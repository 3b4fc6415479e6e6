#include "transport/tcp.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "rpc_frame.pb.h"

#include "common/real_clock.hpp"
#include "common/rng.hpp"
#include "loop_fixture.hpp"
#include "transport/certificates.hpp"
#include "transport/rpc.hpp"
#include "transport/tls.hpp"

namespace podlab::transport {
namespace {

TEST(AddressTest, HostAndPortAreSplit) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const auto& [text, host, port] : std::vector<Case>{{"1.2.3.4:80", "1.2.3.4", 80},
                                                          {"server:6443", "server", 6443},
                                                          {"[fd00::1]:0", "fd00::1", 0},
                                                          {":65535", "", 65535}}) {
    auto parsed = splitHostPort(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(parsed->host, host);
    EXPECT_EQ(parsed->port, port);
  }
  EXPECT_EQ(joinHostPort("fd00::1", 80), "[fd00::1]:80");
  EXPECT_EQ(joinHostPort("10.0.0.1", 80), "10.0.0.1:80");
}

TEST(AddressTest, WrongAddressesAreNamed) {
  for (const char* text : {"", "server", "server:", "server:x", "server:65536", "server:-1",
                           "fd00::1:80", "[fd00::1", "[fd00::1]", "[fd00::1]80", "a:1 "}) {
    auto parsed = splitHostPort(text);
    EXPECT_EQ(parsed.status().code(), Code::kBadRequest) << text;
    EXPECT_NE(parsed.status().message().find(text), std::string::npos);
  }
}

/// Real sockets on loopback, with free ports.
class TcpTest : public LoopTest {
 protected:
  std::unique_ptr<Clock> clock_ = makeRealClock(io_.get_executor());
};

TEST_F(TcpTest, BytesGoThereAndBack) {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    auto listener = listenTcp(io_.get_executor(), address);
    if (!listener && std::string_view(address).starts_with('[')) continue;  // no IPv6 here
    ASSERT_TRUE(listener.ok()) << listener.status().toString();
    auto dialer = makeTcpDialer(io_.get_executor(), *clock_);
    auto client = value(dialer->dial((*listener)->address()));
    ASSERT_TRUE(client.ok()) << client.status().toString();
    EXPECT_EQ((*client)->peer(), (*listener)->address());
    auto server = value((*listener)->accept());
    ASSERT_TRUE(server.ok());
    std::string text = "hello";
    ASSERT_TRUE(value((*client)->write(std::as_bytes(std::span(text)))).ok());
    std::byte buffer[16];
    EXPECT_EQ(*value((*server)->read(buffer)), 5U);
    (*client)->close();
    EXPECT_EQ(value((*client)->read(buffer)).status().code(), Code::kCanceled);
    EXPECT_EQ(value((*server)->read(buffer)).status().code(), Code::kEndOfStream);
  }
}

TEST_F(TcpTest, NamesAreResolved) {
  auto listener = listenTcp(io_.get_executor(), "127.0.0.1:0");
  ASSERT_TRUE(listener.ok());
  auto port = splitHostPort((*listener)->address())->port;
  auto dialer = makeTcpDialer(io_.get_executor(), *clock_);
  EXPECT_TRUE(value(dialer->dial(joinHostPort("localhost", port))).ok());
}

TEST_F(TcpTest, ARefusedDialSaysWhere) {
  std::string address;
  {
    auto listener = listenTcp(io_.get_executor(), "127.0.0.1:0");
    ASSERT_TRUE(listener.ok());
    address = (*listener)->address();
  }
  auto dialer = makeTcpDialer(io_.get_executor(), *clock_);
  auto stream = value(dialer->dial(address));
  EXPECT_EQ(stream.status().code(), Code::kUnavailable);
  EXPECT_NE(stream.status().message().find(address), std::string::npos);
}

TEST_F(TcpTest, ATakenPortIsAnError) {
  auto listener = listenTcp(io_.get_executor(), "127.0.0.1:0");
  ASSERT_TRUE(listener.ok());
  auto second = listenTcp(io_.get_executor(), (*listener)->address());
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find((*listener)->address()), std::string::npos);
}

TEST_F(TcpTest, AnInheritedSocketIsAdopted) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(fd.get(), 8), 0);  // binds to a free port of every address
  auto listener = listenOnFd(io_.get_executor(), std::move(fd));
  ASSERT_TRUE(listener.ok()) << listener.status().toString();
  auto port = splitHostPort((*listener)->address())->port;
  auto dialer = makeTcpDialer(io_.get_executor(), *clock_);
  auto client = value(dialer->dial(joinHostPort("127.0.0.1", port)));
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE(value((*listener)->accept()).ok());
}

TEST_F(TcpTest, WhatDoesNotListenIsNotAdopted) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(listenOnFd(io_.get_executor(), std::move(fd)).status().code(), Code::kBadRequest);
  EXPECT_FALSE(listenOnFd(io_.get_executor(), UniqueFd()).ok());
}

TEST_F(TcpTest, RpcOverMutualTlsOverTcp) {
  SeededRng rng(1);
  auto ca = CertificateAuthority::create("podlab", clock_->wallNow(), rng);
  ASSERT_TRUE(ca.ok());
  LeafSpec spec;
  spec.commonName = "server";
  spec.ipAddresses = {"127.0.0.1"};
  spec.server = true;
  auto serverTls = makeServerTls(ca->certificatePem(), *ca->issue(spec, clock_->wallNow(), rng));
  spec = {};
  spec.commonName = "system:node:n1";
  spec.client = true;
  auto clientTls = makeClientTls(ca->certificatePem(), *ca->issue(spec, clock_->wallNow(), rng));
  ASSERT_TRUE(serverTls.ok() && clientTls.ok());

  auto tcp = listenTcp(io_.get_executor(), "127.0.0.1:0");
  ASSERT_TRUE(tcp.ok());
  auto listener = makeTlsListener(io_.get_executor(), *clock_, std::move(*tcp), *serverTls);
  auto tcpDialer = makeTcpDialer(io_.get_executor(), *clock_);
  auto dialer = makeTlsDialer(*tcpDialer, *clock_, *clientTls);
  auto clientStream = value(dialer->dial(listener->address()));
  ASSERT_TRUE(clientStream.ok()) << clientStream.status().toString();
  auto serverStream = value(listener->accept());
  ASSERT_TRUE(serverStream.ok());

  auto whoAmI = [](rpc::Connection& connection, rpc::Stream& stream) -> Co<Status> {
    rpc::StatusFrame answer;
    answer.set_message(connection.peerIdentity().commonName);
    co_return co_await stream.send(rpc::encode(answer));
  };
  auto server =
      rpc::makeConnection(io_.get_executor(), *clock_, std::move(*serverStream), true, whoAmI);
  auto client =
      rpc::makeConnection(io_.get_executor(), *clock_, std::move(*clientStream), false, nullptr);
  rpc::StatusFrame message;
  Status status = value(client->call("whoami", message, message));
  EXPECT_TRUE(status.ok()) << status.toString();
  EXPECT_EQ(message.message(), "system:node:n1");
  listener->close();
  client->close();
  EXPECT_EQ(value(client->closed()).code(), Code::kCanceled);
  EXPECT_EQ(value(server->closed()).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace podlab::transport
