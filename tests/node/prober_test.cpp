#include "node/prober.hpp"

#include <gmock/gmock.h>

#include "intstr.pb.h"

#include "node_fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::node {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
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
    bool success;
    const char* output;
  };
  const Case cases[] = {
      {{"HTTP/1.1 200 OK\r\n\r\nbody"}, true, ""},
      {{"HTTP/1.0 204 No Content\r\n\r\n"}, true, ""},
      {{"HTT", "P/1.1 30", "2 Found\r", "\n\r\n"}, true, ""},
      {{"HTTP/1.1 404 Not Found\r\n\r\n"}, false, "statuscode: 404"},
      {{"HTTP/1.1 503\r\n\r\n"}, false, "statuscode: 503"},
      {{"SSH-2.0-OpenSSH\r\n"}, false, "not HTTP"},
      {{"HTTP/1.1 abc\r\n"}, false, "not HTTP"},
      {{"HTTP/1.1 200"}, false, "no HTTP answer"},
      {{}, false, "no answer within 2s"},
  };
  for (const auto& one : cases) {
    answer(one.pieces);
    auto outcome = run(httpProbe(80));
    EXPECT_EQ(outcome.success, one.success) << one.output;
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
  EXPECT_TRUE(run(probe).success);
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
  auto named = httpProbe(80);
  named.mutable_handler()->mutable_httpget()->set_host("localhost");
  EXPECT_THAT(run(named).output, HasSubstr("\"localhost\" is not an IP address"));
  auto secure = httpProbe(80);
  secure.mutable_handler()->mutable_httpget()->set_scheme("HTTPS");
  EXPECT_THAT(run(secure).output, HasSubstr("HTTPS"));
}

TEST_F(ProberTest, TcpSucceedsWhenConnected) {
  corev1::Probe probe;
  probe.mutable_handler()->mutable_tcpsocket()->mutable_port()->set_intval(5432);
  EXPECT_FALSE(run(probe).success);
  answer({"x"});
  EXPECT_TRUE(run(probe).success);
  EXPECT_EQ(dialed_, "10.244.1.2 5432");
}

TEST(ProbeResult, CountsEqualOutcomesInARow) {
  corev1::Probe spec;
  spec.set_successthreshold(2);
  spec.set_failurethreshold(3);
  struct Step {
    bool success;
    bool ready;
  };
  const Step steps[] = {{true, false}, {false, false}, {true, false}, {true, true},
                        {false, true}, {false, true},  {true, true},  {false, true},
                        {false, true}, {false, false}, {true, false}, {true, true}};
  ProbeResult result;
  for (std::size_t i = 0; i < std::size(steps); ++i) {
    result.add(steps[i].success, spec);
    EXPECT_EQ(result.ready(), steps[i].ready) << i;
  }
  // Unset thresholds are Kubernetes' defaults, 1 and 3.
  ProbeResult defaults;
  defaults.add(true, corev1::Probe());
  EXPECT_TRUE(defaults.ready());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(defaults.ready());
    defaults.add(false, corev1::Probe());
  }
  EXPECT_FALSE(defaults.ready());
}

}  // namespace
}  // namespace podlab::node
