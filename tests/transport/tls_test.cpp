#include "transport/tls.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "common/sync.hpp"
#include "tests/transport/sim_fixture.hpp"
#include "transport/certificates.hpp"
#include "transport/openssl.hpp"

namespace podlab::transport {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// TLS over memory pipes, in virtual time.
class TlsTest : public SimTest {
 protected:
  TlsTest() : ca_(makeCa()), otherCa_(makeCa()) {}

  CertificateAuthority makeCa() {
    auto ca = CertificateAuthority::create("podlab", clock_.wallNow(), rng_);
    EXPECT_TRUE(ca.ok());
    return std::move(*ca);
  }
  Credentials serverCredentials(const CertificateAuthority& ca, Duration validity = hours(1)) {
    LeafSpec spec;
    spec.commonName = "podlab-server";
    spec.dnsNames = {"server"};
    spec.ipAddresses = {"127.0.0.1", "::1"};
    spec.server = true;
    spec.validity = validity;
    return *ca.issue(spec, clock_.wallNow(), rng_);
  }
  Credentials clientCredentials(const CertificateAuthority& ca, Duration validity = hours(1)) {
    LeafSpec spec;
    spec.commonName = "system:node:n1";
    spec.organizations = {"system:nodes"};
    spec.client = true;
    spec.validity = validity;
    return *ca.issue(spec, clock_.wallNow(), rng_);
  }

  struct Sides {
    Status client;
    Status server;
    std::unique_ptr<ByteStream> clientStream;
    std::unique_ptr<ByteStream> serverStream;
  };
  /// Shakes hands. The client then reads: only that tells it what the server made of its
  /// certificate (RFC 8446, 2).
  Sides shake(Result<std::shared_ptr<TlsContext>> client,
              Result<std::shared_ptr<TlsContext>> server, std::string name = "server") {
    EXPECT_TRUE(client.ok()) << client.status().toString();
    EXPECT_TRUE(server.ok()) << server.status().toString();
    auto [clientEnd, serverEnd] = makeMemoryPipe(1000, "server", "client");
    Sides sides;
    background(accept(*server, std::move(serverEnd), sides));
    auto stream = value(tlsConnect(*client, clock_, std::move(clientEnd), std::move(name)));
    sides.client = stream.status();
    clock_.runUntilIdle();
    if (!stream) return sides;
    sides.clientStream = std::move(*stream);
    if (!sides.server) {
      std::byte one{};
      sides.client = value(sides.clientStream->read(MutableBytes(&one, 1))).status();
    }
    return sides;
  }
  Co<void> accept(std::shared_ptr<TlsContext> context, std::unique_ptr<ByteStream> under,
                  Sides& sides) {
    auto stream = co_await tlsAccept(context, clock_, std::move(under));
    sides.server = stream.status();
    if (stream) sides.serverStream = std::move(*stream);
  }

  SeededRng rng_{1};
  CertificateAuthority ca_;
  CertificateAuthority otherCa_;
};

TEST_F(TlsTest, BothSidesKnowEachOther) {
  auto sides = shake(makeClientTls(ca_.certificatePem(), clientCredentials(ca_)),
                     makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  ASSERT_TRUE(sides.client.ok()) << sides.client.toString();
  ASSERT_TRUE(sides.server.ok()) << sides.server.toString();
  EXPECT_EQ(sides.clientStream->peerIdentity().commonName, "podlab-server");
  EXPECT_EQ(sides.serverStream->peerIdentity().commonName, "system:node:n1");
  EXPECT_EQ(sides.serverStream->peerIdentity().organizations,
            std::vector<std::string>{"system:nodes"});
}

TEST_F(TlsTest, AClientWithoutCertificateIsAnonymous) {
  auto sides = shake(makeClientTls(ca_.certificatePem()),
                     makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  ASSERT_TRUE(sides.server.ok()) << sides.server.toString();
  EXPECT_EQ(sides.serverStream->peerIdentity().commonName, "");
  EXPECT_TRUE(sides.serverStream->peerIdentity().organizations.empty());
}

TEST_F(TlsTest, AServerIsKnownByNameOrAddress) {
  for (const char* name : {"server", "127.0.0.1", "::1"}) {
    auto sides = shake(makeClientTls(ca_.certificatePem()),
                       makeServerTls(ca_.certificatePem(), serverCredentials(ca_)), name);
    EXPECT_TRUE(sides.client.ok()) << name << sides.client.toString();
  }
  for (const char* name : {"elsewhere", "127.0.0.2", "::2"}) {
    auto sides = shake(makeClientTls(ca_.certificatePem()),
                       makeServerTls(ca_.certificatePem(), serverCredentials(ca_)), name);
    EXPECT_EQ(sides.client.code(), Code::kUnauthorized) << name;
    EXPECT_NE(sides.client.message().find("not for the address"), std::string::npos)
        << sides.client.message();
    EXPECT_FALSE(sides.server.ok());
  }
}

TEST_F(TlsTest, AServerOfAnotherClusterIsRefused) {
  auto sides = shake(makeClientTls(ca_.certificatePem()),
                     makeServerTls(otherCa_.certificatePem(), serverCredentials(otherCa_)));
  EXPECT_EQ(sides.client.code(), Code::kUnauthorized);
  EXPECT_NE(sides.client.message().find("not issued by this cluster's CA"), std::string::npos)
      << sides.client.message();
  EXPECT_FALSE(sides.server.ok());
}

TEST_F(TlsTest, AClientOfAnotherClusterIsRefusedAndToldSo) {
  auto sides = shake(makeClientTls(ca_.certificatePem(), clientCredentials(otherCa_)),
                     makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  EXPECT_EQ(sides.server.code(), Code::kUnauthorized);
  EXPECT_NE(sides.server.message().find("not issued by this cluster's CA"), std::string::npos)
      << sides.server.message();
  EXPECT_EQ(sides.client.code(), Code::kUnauthorized) << sides.client.toString();
  EXPECT_NE(sides.client.message().find("refused our certificate"), std::string::npos)
      << sides.client.message();
}

TEST_F(TlsTest, ExpiredCertificatesAreRefusedByTheClock) {
  auto server = serverCredentials(ca_, hours(1));
  auto client = clientCredentials(ca_, hours(3));
  clock_.advance(hours(2));
  auto sides = shake(makeClientTls(ca_.certificatePem(), client),
                     makeServerTls(ca_.certificatePem(), server));
  EXPECT_EQ(sides.client.code(), Code::kUnauthorized);
  EXPECT_NE(sides.client.message().find("expired at 2026-01-01T01:00:00Z"), std::string::npos)
      << sides.client.message();
  clock_.advance(hours(2));
  sides = shake(makeClientTls(ca_.certificatePem(), client),
                makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  EXPECT_EQ(sides.server.code(), Code::kUnauthorized);
  EXPECT_NE(sides.server.message().find("expired at 2026-01-01T03:00:00Z"), std::string::npos)
      << sides.server.message();
}

TEST_F(TlsTest, ACertificateServesOnlyItsPurpose) {
  auto sides = shake(makeClientTls(ca_.certificatePem(), serverCredentials(ca_)),
                     makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  EXPECT_EQ(sides.server.code(), Code::kUnauthorized) << sides.server.toString();
  EXPECT_NE(sides.server.message().find("not for this use"), std::string::npos)
      << sides.server.message();
}

TEST_F(TlsTest, ASilentPeerTimesOut) {
  auto context = makeServerTls(ca_.certificatePem(), serverCredentials(ca_));
  auto [clientEnd, serverEnd] = makeMemoryPipe();
  MonoTime began = clock_.now();
  auto stream = value(tlsAccept(*context, clock_, std::move(serverEnd), seconds(7)));
  EXPECT_EQ(stream.status().code(), Code::kTimeout);
  EXPECT_EQ(clock_.now() - began, seconds(7));
}

TEST_F(TlsTest, APeerThatLeavesOrTalksNonsenseFailsTheHandshake) {
  auto context = makeServerTls(ca_.certificatePem(), serverCredentials(ca_));
  for (std::string text : {"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x40\x01"}) {
    auto [clientEnd, serverEnd] = makeMemoryPipe();
    EXPECT_TRUE(value(clientEnd->write(std::as_bytes(std::span(text)))).ok());
    clientEnd.reset();
    auto stream = value(tlsAccept(*context, clock_, std::move(serverEnd)));
    EXPECT_EQ(stream.status().code(), Code::kUnavailable) << stream.status().toString();
  }
}

/// OpenSSL's client itself, limited to TLS 1.2.
Co<Status> shakeTls12(std::unique_ptr<ByteStream> stream) {
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  SslPtr ssl(SSL_new(context.get()));
  SSL_set_connect_state(ssl.get());
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  while (true) {
    ERR_clear_error();
    int done = SSL_do_handshake(ssl.get());
    if (done == 1) co_return Status();
    if (SSL_get_error(ssl.get(), done) != SSL_ERROR_WANT_READ) {
      co_return Status(Code::kUnavailable, takeOpensslError());
    }
    std::string bytes(static_cast<std::size_t>(BIO_pending(out)), '\0');
    BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
    Status sent = co_await stream->write(std::as_bytes(std::span(bytes)));
    if (!sent) co_return sent;
    std::vector<std::byte> buffer(4096);
    auto got = co_await stream->read(buffer);
    if (!got) co_return got.status();
    BIO_write(in, buffer.data(), static_cast<int>(*got));
  }
}

TEST_F(TlsTest, Tls12IsRefused) {
  auto context = makeServerTls(ca_.certificatePem(), serverCredentials(ca_));
  auto [clientEnd, serverEnd] = makeMemoryPipe();
  Sides sides;
  background(accept(*context, std::move(serverEnd), sides));
  Status client = value(shakeTls12(std::move(clientEnd)));
  EXPECT_FALSE(client.ok());
  EXPECT_NE(client.message().find("version"), std::string::npos) << client.message();
  EXPECT_FALSE(sides.server.ok());
}

TEST_F(TlsTest, BytesArriveUnchangedBothWays) {
  auto sides = shake(makeClientTls(ca_.certificatePem(), clientCredentials(ca_)),
                     makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  ASSERT_TRUE(sides.client.ok() && sides.server.ok());
  std::string sent(1'000'000, '\0');
  rng_.fill(std::as_writable_bytes(std::span(sent)));
  auto pump = [](ByteStream& stream, const std::string& data, Rng& rng) -> Co<void> {
    Bytes rest = std::as_bytes(std::span(data));
    while (!rest.empty()) {
      auto piece = rest.first(std::min<std::size_t>(rest.size(), 1 + rng.below(100'000)));
      if (!(co_await stream.write(piece))) co_return;
      rest = rest.subspan(piece.size());
    }
  };
  auto drain = [](ByteStream& stream, std::size_t size, std::string& into, Rng& rng) -> Co<void> {
    while (into.size() < size) {
      std::vector<std::byte> buffer(1 + rng.below(70'000));
      auto got = co_await stream.read(buffer);
      if (!got) co_return;
      into.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
  };
  std::string there;
  std::string back;
  background(pump(*sides.clientStream, sent, rng_));
  background(pump(*sides.serverStream, sent, rng_));
  background(drain(*sides.serverStream, sent.size(), there, rng_));
  background(drain(*sides.clientStream, sent.size(), back, rng_));
  clock_.runUntilIdle();
  EXPECT_TRUE(there == sent);
  EXPECT_TRUE(back == sent);
}

TEST_F(TlsTest, CloseFailsWhatWaits) {
  auto sides = shake(makeClientTls(ca_.certificatePem()),
                     makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  ASSERT_TRUE(sides.client.ok() && sides.server.ok());
  Status got;
  auto readOne = [](ByteStream& stream, Status& status) -> Co<void> {
    std::byte one{};
    status = (co_await stream.read(MutableBytes(&one, 1))).status();
  };
  background(readOne(*sides.clientStream, got));
  clock_.runUntilIdle();
  sides.clientStream->close();
  clock_.runUntilIdle();
  EXPECT_EQ(got.code(), Code::kCanceled);
  run(readOne(*sides.serverStream, got));
  EXPECT_EQ(got.code(), Code::kEndOfStream);
}

TEST_F(TlsTest, AListenerServesOthersWhileOneDawdles) {
  MemoryNetwork network;
  auto listener =
      makeTlsListener(io_.get_executor(), clock_, std::move(*network.listen("server:1")),
                      *makeServerTls(ca_.certificatePem(), serverCredentials(ca_)));
  auto plain = network.dialer("slow");
  auto slow = value(plain->dial("server:1"));
  auto secure =
      makeTlsDialer(*plain, clock_, *makeClientTls(ca_.certificatePem(), clientCredentials(ca_)));
  MonoTime began = clock_.now();
  auto stream = value(secure->dial("server:1"));
  ASSERT_TRUE(stream.ok()) << stream.status().toString();
  auto accepted = value(listener->accept());
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ((*accepted)->peerIdentity().commonName, "system:node:n1");
  EXPECT_EQ(clock_.now(), began);
  listener->close();
  EXPECT_EQ(value(listener->accept()).status().code(), Code::kCanceled);
  clock_.runUntilIdle();
}

TEST_F(TlsTest, OnePortServesWhoOffersRpcAndWhoDoesNot) {
  MemoryNetwork network;
  auto server = *makeServerTls(ca_.certificatePem(), serverCredentials(ca_));
  auto listeners =
      makeTlsListeners(io_.get_executor(), clock_, std::move(*network.listen("server:1")), server);
  auto plain = network.dialer("client");
  auto rpcTls = *makeClientTls(ca_.certificatePem(), clientCredentials(ca_));
  offerRpc(*rpcTls);
  auto rpcDialer = makeTlsDialer(*plain, clock_, rpcTls);
  auto otherDialer = makeTlsDialer(*plain, clock_, *makeClientTls(ca_.certificatePem()));
  auto other = value(otherDialer->dial("server:1"));
  auto rpc = value(rpcDialer->dial("server:1"));
  ASSERT_TRUE(other.ok() && rpc.ok());
  EXPECT_EQ((*value(listeners.rpc->accept()))->peerIdentity().commonName, "system:node:n1");
  EXPECT_EQ((*value(listeners.others->accept()))->peerIdentity().commonName, "");
  listeners.rpc->close();
  listeners.others->close();
  clock_.runUntilIdle();
}

TEST_F(TlsTest, NewCredentialsCountFromTheNextStreamOn) {
  auto server = *makeServerTls(ca_.certificatePem(), serverCredentials(ca_));
  auto client = *makeClientTls(ca_.certificatePem(), clientCredentials(ca_));
  LeafSpec spec;
  spec.commonName = "system:node:n2";
  spec.client = true;
  ASSERT_TRUE(useCredentials(*client, *ca_.issue(spec, clock_.wallNow(), rng_)).ok());
  auto sides = shake(client, server);
  ASSERT_TRUE(sides.server.ok());
  EXPECT_EQ(sides.serverStream->peerIdentity().commonName, "system:node:n2");
  Credentials mixed = clientCredentials(ca_);
  mixed.keyPem = clientCredentials(ca_).keyPem;
  EXPECT_EQ(useCredentials(*client, mixed).code(), Code::kInvalid);
}

TEST_F(TlsTest, ContextsRefuseBrokenCredentials) {
  EXPECT_EQ(makeServerTls("nonsense", serverCredentials(ca_)).status().code(), Code::kInvalid);
  Credentials mixed = serverCredentials(ca_);
  mixed.keyPem = serverCredentials(ca_).keyPem;
  EXPECT_EQ(makeServerTls(ca_.certificatePem(), mixed).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace podlab::transport
