#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intstr.pb.h"

#include "net/namespaces.hpp"
#include "node/kernel_pod_dialer.hpp"
#include "node/prober.hpp"
#include "tests/fakes/grpc_health_server.hpp"
#include "tests/integration/runtime_world.hpp"
#include "transport/certificates.hpp"
#include "transport/tcp.hpp"

namespace podlab::node {
namespace {

/// Probes of real servers in the network namespace of a pod.
class RuntimeProbe : public RuntimeTest {};
INSTANTIATE_RUNTIME_TEST(RuntimeProbe);

constexpr const char* kServers = R"(
import http.server, ssl, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        where = {"/moved": "/ok", "/away": "http://192.0.2.1/ok"}.get(self.path)
        ok = self.path == "/ok" and self.headers["X-Probe"] == "1"
        self.send_response(302 if where else 200 if ok else 500)
        if where: self.send_header("Location", where)
        self.end_headers()
        self.wfile.write(b"body")
    def log_message(self, *ignored): pass
plain = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/tls/cert", "/tmp/tls/key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
open("/tmp/tls/ready", "w").close()
plain.serve_forever()
)";

class ServedPod {
 public:
  explicit ServedPod(RuntimeFixture& rt)
      : rt_(rt),
        pool_(makeInlinePool()),
        dialer_(makeKernelPodDialer(rt.executor(), *pool_)),
        prober_(rt.clock(), rt.runtime(), *dialer_) {
    target_.containerId = "servers";
    target_.podIp = "127.0.0.1";
    target_.namespaces = makeSandbox(rt.folder() + "/pins", "pod");
    EXPECT_EQ(net::inNetworkNamespace(target_.namespaces.network, net::raiseLoopback), Status());
    auto& port = target_.ports.emplace_back();
    port.set_name("web");
    port.set_containerport(8080);
  }

  void startServers() {
    const std::string folder = rt_.folder() + "/tls";
    ASSERT_EQ(rt_.files().createDirectories(folder), Status());
    SeededRng rng(1);
    auto ca = transport::CertificateAuthority::create("nobody", rt_.clock().wallNow(), rng);
    ASSERT_TRUE(ca.ok());
    transport::LeafSpec spec;
    spec.commonName = "anybody";
    spec.server = true;
    auto leaf = ca->issue(spec, rt_.clock().wallNow(), rng);
    ASSERT_TRUE(leaf.ok());
    ASSERT_EQ(rt_.files().writeFileAtomic(folder + "/cert", leaf->certificatePem, 0644, false),
              Status());
    ASSERT_EQ(rt_.files().writeFileAtomic(folder + "/key", leaf->keyPem, 0644, false), Status());
    auto container = rt_.spec("servers", {"python3", "-c", kServers});
    container.namespaces = target_.namespaces;
    container.mounts = {{folder, "/tmp/tls", false}};
    ASSERT_EQ(rt_.run(rt_.runtime().start(container)), Status());
    while (!rt_.files().exists(folder + "/ready")) {
      ASSERT_EQ(rt_.run(rt_.runtime().status("servers"))->state, ContainerState::kRunning)
          << rt_.output("servers");
      rt_.step();
    }
  }

  /// Accepts one connection on the port and answers as a gRPC server.
  void serveGrpc(std::uint16_t port, char health) {
    auto fd = net::openSocketIn(target_.namespaces.network, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    ASSERT_TRUE(fd.ok());
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(fd->get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(fd->get(), 1), 0);
    auto listener = transport::listenOnFd(rt_.executor(), std::move(*fd));
    ASSERT_TRUE(listener.ok());
    asio::co_spawn(rt_.executor(), serveOnce(std::move(*listener), health), asio::detached);
  }

  ProbeOutcome probe(const corev1::Probe& spec) { return rt_.run(prober_.probe(target_, spec)); }

 private:
  static Co<void> serveOnce(std::unique_ptr<Listener> listener, char health) {
    auto stream = co_await listener->accept();
    if (!stream.ok()) co_return;
    fakes::GrpcAnswer answer;
    answer.body = fakes::healthResponse(health);
    answer.grpcStatus = "0";
    fakes::GrpcHealthServer server(answer);
    co_await server.serve(**stream);
  }

  RuntimeFixture& rt_;
  std::unique_ptr<BlockingPool> pool_;
  std::unique_ptr<PodDialer> dialer_;
  Prober prober_;
  ProbeTarget target_;
};

corev1::Probe httpProbe(const std::string& path, int port, const char* scheme = "HTTP") {
  corev1::Probe probe;
  probe.set_timeoutseconds(20);
  auto& get = *probe.mutable_handler()->mutable_httpget();
  get.set_path(path);
  get.set_scheme(scheme);
  get.mutable_port()->set_intval(port);
  auto& header = *get.add_httpheaders();
  header.set_name("X-Probe");
  header.set_value("1");
  return probe;
}

TEST_P(RuntimeProbe, AsksRealServersFromInsideThePod) {
  if (::access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "needs python3 for its servers";
  inWorld([](RuntimeFixture& rt) {
    ServedPod pod(rt);
    pod.startServers();
    EXPECT_EQ(pod.probe(httpProbe("/ok", 8080)).verdict, ProbeVerdict::kSuccess);
    EXPECT_EQ(pod.probe(httpProbe("/moved", 8080)).verdict, ProbeVerdict::kSuccess);
    const auto away = pod.probe(httpProbe("/away", 8080));
    EXPECT_EQ(away.verdict, ProbeVerdict::kWarning);
    EXPECT_EQ(away.output, "Probe terminated redirects, Response body: body");
    EXPECT_EQ(pod.probe(httpProbe("/sick", 8080)).output, "HTTP probe failed with statuscode: 500");
    const auto secure = pod.probe(httpProbe("/ok", 8443, "HTTPS"));
    EXPECT_EQ(secure.verdict, ProbeVerdict::kSuccess) << secure.output;

    corev1::Probe tcp;
    tcp.set_timeoutseconds(20);
    auto& port = *tcp.mutable_handler()->mutable_tcpsocket()->mutable_port();
    port.set_type(1);
    port.set_strval("web");
    EXPECT_EQ(pod.probe(tcp).verdict, ProbeVerdict::kSuccess);
    port.set_type(0);
    port.set_intval(1);
    EXPECT_NE(pod.probe(tcp).output.find("Connection refused"), std::string::npos);

    corev1::Probe exec;
    exec.set_timeoutseconds(20);
    auto& command = *exec.mutable_handler()->mutable_exec();
    for (const char* word : {"sh", "-c", "echo said; exit 3"}) command.add_command(word);
    EXPECT_EQ(pod.probe(exec).verdict, ProbeVerdict::kFailure);
    EXPECT_EQ(pod.probe(exec).output, "said\n");
    exec.set_timeoutseconds(1);
    command.set_command(2, "sleep 1000");
    EXPECT_EQ(pod.probe(exec).output, "command \"sh -c sleep 1000\" timed out");
    command.clear_command();
    command.add_command("no-such-program");
    EXPECT_EQ(pod.probe(exec).verdict, ProbeVerdict::kUnknown);
  });
}

TEST_P(RuntimeProbe, AsksGrpcServers) {
  inWorld([](RuntimeFixture& rt) {
    ServedPod pod(rt);
    corev1::Probe probe;
    probe.set_timeoutseconds(20);
    probe.mutable_handler()->mutable_grpc()->set_port(5000);
    EXPECT_EQ(pod.probe(probe).verdict, ProbeVerdict::kFailure);
    pod.serveGrpc(5000, 1);
    EXPECT_EQ(pod.probe(probe).output, "service healthy");
    pod.serveGrpc(5001, 2);
    probe.mutable_handler()->mutable_grpc()->set_port(5001);
    EXPECT_EQ(pod.probe(probe).output, "service unhealthy (responded with \"NOT_SERVING\")");
  });
}

}  // namespace
}  // namespace podlab::node
