#include "node/prober.hpp"

#include <gmock/gmock.h>

#include "intstr.pb.h"

#include "node_fixture.hpp"
#include "tests/fakes/grpc_health_server.hpp"
#include "transport/certificates.hpp"
#include "transport/memory.hpp"
#include "transport/tls.hpp"

namespace podlab::node {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ProberTest : public NodeTest {
 protected:
  Prober prober_{clock_, runtime_, dialer_};

  ~ProberTest() override { clock_.advance(seconds(100)); }  // the silent server ends

  static ProbeTarget target() {
    ProbeTarget target;
    target.podIp = "10.244.1.2";
    auto& port = target.ports.emplace_back();
    port.set_name("web");
    port.set_containerport(8080);
    return target;
  }
  /// A server in the pod that reads a request and answers with `response`, piece by piece; "" never
  /// answers.
  void answer(std::vector<std::string> pieces) {
    dialer_.setAnswer([this, pieces](const net::IpAddress& address, std::uint16_t port) {
      dialed_ = address.toString() + " " + std::to_string(port);
      auto [client, server] = transport::makeMemoryPipe();
      std::shared_ptr<ByteStream> shared = std::move(server);
      asio::co_spawn(io_, serve(shared, pieces), asio::detached);
      return Result<std::unique_ptr<ByteStream>>(std::move(client));
    });
  }
  Co<void> serve(std::shared_ptr<ByteStream> stream, std::vector<std::string> pieces) {
    std::byte buffer[4096];
    auto count = co_await stream->read(buffer);
    if (count.ok()) request_.assign(reinterpret_cast<const char*>(buffer), *count);
    for (const auto& piece : pieces) {
      (void)co_await stream->write(std::as_bytes(std::span(piece.data(), piece.size())));
    }
    if (pieces.empty()) co_await clock_.sleepFor(seconds(100));
  }
  Co<void> serveTls(std::unique_ptr<ByteStream> stream,
                    std::shared_ptr<transport::TlsContext> context) {
    auto secured = co_await transport::tlsAccept(context, clock_, std::move(stream));
    if (!secured.ok()) co_return;
    std::shared_ptr<ByteStream> shared = *std::move(secured);
    std::vector<std::string> reply{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    co_await serve(shared, reply);
  }
  static corev1::Probe httpProbe(int port, const std::string& path = "/healthz") {
    corev1::Probe probe;
    auto& get = *probe.mutable_handler()->mutable_httpget();
    get.set_path(path);
    get.mutable_port()->set_type(0);
    get.mutable_port()->set_intval(port);
    probe.set_timeoutseconds(2);
    return probe;
  }
  ProbeOutcome run(corev1::Probe probe) {
    return sim::runInSim(clock_, prober_.probe(target(), std::move(probe)));
  }

  std::string request_;
  std::string dialed_;
};

TEST_F(ProberTest, HttpJudgesTheStatusCode) {
  struct Case {
    std::vector<std::string> pieces;
    ProbeVerdict verdict;
    const char* output;
  };
  const Case cases[] = {
      {{"HTTP/1.1 200 OK\r\n\r\nbody"}, ProbeVerdict::kSuccess, "body"},
      {{"HTTP/1.0 204 No Content\r\n\r\n"}, ProbeVerdict::kSuccess, ""},
      {{"HTT", "P/1.1 30", "2 Found\r", "\n\r\n", "gone"},
       ProbeVerdict::kWarning,
       "Probe terminated redirects, Response body: gone"},
      {{"HTTP/1.1 404 Not Found\r\n\r\n"},
       ProbeVerdict::kFailure,
       "HTTP probe failed with statuscode: 404"},
      {{"HTTP/1.1 503\r\n\r\n"}, ProbeVerdict::kFailure, "statuscode: 503"},
      {{"SSH-2.0-OpenSSH\r\n"}, ProbeVerdict::kFailure, "malformed HTTP response"},
      {{"HTTP/1.1 abc\r\n\r\n"}, ProbeVerdict::kFailure, "malformed HTTP response"},
      {{"HTTP/1.1 200"}, ProbeVerdict::kFailure, "unexpected EOF"},
      {{},
       ProbeVerdict::kFailure,
       "Get \"http://10.244.1.2:80/healthz\": context deadline exceeded"},
  };
  for (const auto& one : cases) {
    answer(one.pieces);
    auto outcome = run(httpProbe(80));
    EXPECT_EQ(outcome.verdict, one.verdict) << one.output;
    EXPECT_THAT(outcome.output, HasSubstr(one.output));
  }
}

TEST_F(ProberTest, HttpAsksAsItIsTold) {
  answer({"HTTP/1.1 200 OK\r\n\r\n"});
  auto probe = httpProbe(80, "live");
  auto& get = *probe.mutable_handler()->mutable_httpget();
  get.mutable_port()->set_type(1);
  get.mutable_port()->set_strval("web");
  auto& host = *get.add_httpheaders();
  host.set_name("Host");
  host.set_value("example.org");
  auto& extra = *get.add_httpheaders();
  extra.set_name("X-Probe");
  extra.set_value("1");
  EXPECT_EQ(run(probe).verdict, ProbeVerdict::kSuccess);
  EXPECT_EQ(dialed_, "10.244.1.2 8080");
  EXPECT_THAT(request_, StartsWith("GET /live HTTP/1.1\r\nHost: example.org\r\n"));
  EXPECT_THAT(request_, HasSubstr("\r\nX-Probe: 1\r\n"));
}

TEST_F(ProberTest, FaultsAreNamed) {
  EXPECT_THAT(run(httpProbe(80)).output, HasSubstr("connection refused"));
  auto unnamed = httpProbe(80);
  unnamed.mutable_handler()->mutable_httpget()->mutable_port()->set_type(1);
  unnamed.mutable_handler()->mutable_httpget()->mutable_port()->set_strval("nope");
  EXPECT_THAT(run(unnamed).output, HasSubstr("port \"nope\""));
  EXPECT_EQ(run(unnamed).verdict, ProbeVerdict::kUnknown);
  auto named = httpProbe(80);
  named.mutable_handler()->mutable_httpget()->set_host("localhost");
  EXPECT_THAT(run(named).output, HasSubstr("\"localhost\" is not an IP address"));
}

TEST_F(ProberTest, TcpSucceedsWhenConnected) {
  corev1::Probe probe;
  probe.mutable_handler()->mutable_tcpsocket()->mutable_port()->set_intval(5432);
  EXPECT_EQ(run(probe).verdict, ProbeVerdict::kFailure);
  answer({"x"});
  EXPECT_EQ(run(probe).verdict, ProbeVerdict::kSuccess);
  EXPECT_EQ(dialed_, "10.244.1.2 5432");
}

// As Go's client does for kubelet: same host, whatever the port; at most ten times.
TEST_F(ProberTest, FollowsRedirectsOnTheSameHost) {
  int served = 0;
  std::string where;
  dialer_.setAnswer([&](const net::IpAddress&, std::uint16_t port) {
    auto [client, server] = transport::makeMemoryPipe();
    std::shared_ptr<ByteStream> shared = std::move(server);
    ++served;
    std::vector<std::string> reply{port == 80 ? "HTTP/1.1 302 Found\r\nLocation: " + where +
                                                    "\r\nContent-Length: 0\r\n\r\n"
                                              : "HTTP/1.1 200 OK\r\n\r\n"};
    asio::co_spawn(io_, serve(shared, reply), asio::detached);
    return Result<std::unique_ptr<ByteStream>>(std::move(client));
  });
  where = "http://10.244.1.2:8080/next?x=1#part";
  EXPECT_EQ(run(httpProbe(80)).verdict, ProbeVerdict::kSuccess);
  EXPECT_EQ(served, 2);
  EXPECT_THAT(request_, StartsWith("GET /next?x=1 HTTP/1.1\r\nHost: 10.244.1.2:8080\r\n"));

  served = 0;
  where = "http://example.org/";
  EXPECT_EQ(run(httpProbe(80)).verdict, ProbeVerdict::kWarning);
  EXPECT_EQ(served, 1);

  served = 0;
  where = "/again";
  auto endless = run(httpProbe(80));
  EXPECT_EQ(endless.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(endless.output, HasSubstr("stopped after 10 redirects"));
  EXPECT_EQ(served, 10);

  where = "gopher://10.244.1.2/";
  EXPECT_THAT(run(httpProbe(80)).output, HasSubstr("unsupported protocol scheme \"gopher\""));
}

TEST_F(ProberTest, HeadersCannotSmuggleARequest) {
  answer({"HTTP/1.1 200 OK\r\n\r\n"});
  auto probe = httpProbe(80, "/a b\r\nX: y");
  EXPECT_EQ(run(probe).verdict, ProbeVerdict::kSuccess);
  EXPECT_THAT(request_, StartsWith("GET /a%20b%0D%0AX:%20y HTTP/1.1\r\n"));
  auto& header = *probe.mutable_handler()->mutable_httpget()->add_httpheaders();
  header.set_name("X-Probe");
  header.set_value("1\r\nEvil: 1");
  EXPECT_THAT(run(probe).output, HasSubstr("invalid header field value for \"X-Probe\""));
}

TEST_F(ProberTest, HeadersReplaceTheUsualOnes) {
  answer({"HTTP/1.1 200 OK\r\n\r\n"});
  auto probe = httpProbe(80);
  const auto add = [&probe](const char* name, const char* value) {
    auto& header = *probe.mutable_handler()->mutable_httpget()->add_httpheaders();
    header.set_name(name);
    header.set_value(value);
  };
  add("user-agent", "me");
  add("Accept", "");
  run(probe);
  EXPECT_THAT(request_, HasSubstr("\r\nuser-agent: me\r\n"));
  EXPECT_THAT(request_, Not(HasSubstr("kube-probe")));
  EXPECT_THAT(request_, Not(HasSubstr("Accept")));
}

// What cannot run says nothing about the container, and is tried three times.
TEST_F(ProberTest, ACommandThatCannotRunIsNoFailure) {
  corev1::Probe probe;
  probe.mutable_handler()->mutable_exec()->add_command("x");
  EXPECT_EQ(run(probe).verdict, ProbeVerdict::kUnknown);
}

TEST_F(ProberTest, GrpcAsksTheHealthService) {
  using fakes::GrpcAnswer;
  using fakes::healthResponse;
  struct Case {
    GrpcAnswer answer;
    ProbeVerdict verdict;
    const char* output;
  };
  const Case cases[] = {
      {{.body = healthResponse(1), .grpcStatus = "0", .grpcMessage = ""},
       ProbeVerdict::kSuccess,
       "service healthy"},
      {{.body = healthResponse(2), .grpcStatus = "0", .grpcMessage = ""},
       ProbeVerdict::kFailure,
       "service unhealthy (responded with \"NOT_SERVING\")"},
      {{.body = "", .grpcStatus = "5", .grpcMessage = "unknown%20service"},
       ProbeVerdict::kFailure,
       "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"},
      {{.body = "", .grpcStatus = "12", .grpcMessage = "nope"},
       ProbeVerdict::kFailure,
       "error: this server does not implement the grpc health protocol "
       "(grpc.health.v1.Health): nope"},
      {{.httpStatus = 503, .body = "busy", .grpcStatus = "", .grpcMessage = ""},
       ProbeVerdict::kFailure,
       "code = Unavailable desc = unexpected HTTP status code received from server: 503"},
      {{.body = std::string(5000, 'x'), .grpcStatus = "0", .grpcMessage = ""},
       ProbeVerdict::kFailure,
       "the response is not one HealthCheckResponse"},
  };
  corev1::Probe probe;
  probe.mutable_handler()->mutable_grpc()->set_port(5000);
  probe.mutable_handler()->mutable_grpc()->set_service("mine");
  for (const auto& one : cases) {
    auto server = std::make_shared<fakes::GrpcHealthServer>(one.answer);
    dialer_.setAnswer([this, server](const net::IpAddress&, std::uint16_t port) {
      EXPECT_EQ(port, 5000);
      auto [client, end] = transport::makeMemoryPipe();
      std::shared_ptr<ByteStream> stream = std::move(end);
      auto serve = [](std::shared_ptr<fakes::GrpcHealthServer> health,
                      std::shared_ptr<ByteStream> on) -> Co<void> { co_await health->serve(*on); };
      asio::co_spawn(io_, serve(server, stream), asio::detached);
      return Result<std::unique_ptr<ByteStream>>(std::move(client));
    });
    auto outcome = run(probe);
    EXPECT_EQ(outcome.verdict, one.verdict) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr(one.output));
    EXPECT_EQ(server->path(), "/grpc.health.v1.Health/Check");
  }
  answer({"HTTP/1.1 400 Bad Request\r\n\r\n"});
  EXPECT_THAT(run(probe).output, HasSubstr("error: failed to connect service"));
  dialer_.setAnswer(nullptr);
  EXPECT_THAT(run(probe).output,
              HasSubstr("timeout: failed to connect service \"10.244.1.2:5000\" within 1s"));
}

// Kubelet asks whether a server answers, not who it is.
TEST_F(ProberTest, HttpsTakesAnyCertificate) {
  auto ca = transport::CertificateAuthority::create("somebody", clock_.wallNow(), rng_);
  ASSERT_TRUE(ca.ok());
  transport::LeafSpec spec;
  spec.commonName = "else";
  spec.server = true;
  spec.validity = seconds(1);
  auto leaf = ca->issue(spec, clock_.wallNow(), rng_);
  ASSERT_TRUE(leaf.ok()) << leaf.status().message();
  auto tls = transport::makeServerTls(ca->certificatePem(), *leaf);
  ASSERT_TRUE(tls.ok());
  clock_.advance(seconds(100));  // expired, too
  dialer_.setAnswer([this, &tls](const net::IpAddress&, std::uint16_t) {
    auto [client, end] = transport::makeMemoryPipe();
    asio::co_spawn(io_, serveTls(std::move(end), *tls), asio::detached);
    return Result<std::unique_ptr<ByteStream>>(std::move(client));
  });
  auto probe = httpProbe(8443);
  probe.mutable_handler()->mutable_httpget()->set_scheme("HTTPS");
  auto outcome = run(probe);
  EXPECT_EQ(outcome.verdict, ProbeVerdict::kSuccess) << outcome.output;
  EXPECT_THAT(request_, StartsWith("GET /healthz HTTP/1.1\r\nHost: 10.244.1.2:8443\r\n"));
  answer({"HTTP/1.1 400 Bad Request\r\n\r\n"});
  outcome = run(probe);
  EXPECT_EQ(outcome.verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(outcome.output,
            "Get \"https://10.244.1.2:8443/healthz\": http: server gave HTTP response to HTTPS "
            "client");
  answer({"SSH-2.0-OpenSSH\r\n"});
  EXPECT_THAT(run(probe).output, Not(HasSubstr("HTTP response")));
}

}  // namespace
}  // namespace podlab::node
