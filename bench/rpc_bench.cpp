// Unary calls/s and stream MB/s on one connection over loopback: mutual TLS, and plain TCP for
// comparison. The server has a thread of its own.
#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "rpc_frame.pb.h"

#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "common/rng.hpp"
#include "transport/certificates.hpp"
#include "transport/rpc.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab {
namespace {

constexpr int kCalls = 5000;    // an iteration of the unary benchmark
constexpr int kMessages = 512;  // an iteration of the stream benchmark
constexpr std::size_t kMessage = 128 << 10;

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.status().toString());
  return std::move(*result);
}

/// "call": answers one message with itself. "sink": swallows messages until the peer finishes.
Co<Status> serve(rpc::Connection&, rpc::Stream& stream) {
  while (true) {
    auto message = co_await stream.receive();
    if (!message) co_return message.status();
    if (stream.method() == "call") co_return co_await stream.send(std::move(*message));
  }
}

/// A client on the benchmark's thread, connected to a server on another.
class Pair {
 public:
  explicit Pair(bool tls) {
    listener_ = must(transport::listenTcp(serverIo_.get_executor(), "127.0.0.1:0"));
    dialer_ = transport::makeTcpDialer(clientIo_.get_executor(), *clientClock_);
    if (tls) secure();
    std::string address = listener_->address();
    asio::co_spawn(serverIo_, acceptOne(), asio::detached);
    thread_ = std::thread([this] { serverIo_.run(); });
    auto stream = must(run((tls ? *tlsDialer_ : *dialer_).dial(address)));
    client_ = rpc::makeConnection(clientIo_.get_executor(), *clientClock_, std::move(stream), false,
                                  nullptr);
  }
  ~Pair() {
    client_->close();
    (void)run(client_->closed());
    thread_.join();
  }

  template <typename T>
  T run(Co<T> task) {
    std::optional<T> result;
    asio::co_spawn(clientIo_, keep(std::move(task), result), asio::detached);
    clientIo_.restart();
    while (!result) clientIo_.run_one();
    return std::move(*result);
  }
  template <typename T>
  static Co<void> keep(Co<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }

  asio::io_context& io() { return clientIo_; }
  rpc::Connection& client() { return *client_; }

 private:
  void secure() {
    SeededRng rng(1);
    WallTime now = clientClock_->wallNow();
    auto ca = must(transport::CertificateAuthority::create("bench-ca", now, rng));
    transport::LeafSpec spec;
    spec.commonName = "bench";
    spec.ipAddresses = {"127.0.0.1"};
    spec.server = true;
    spec.client = true;
    auto credentials = must(ca.issue(spec, now, rng));
    auto clientTls = must(transport::makeClientTls(ca.certificatePem(), credentials));
    auto serverTls = must(transport::makeServerTls(ca.certificatePem(), credentials));
    listener_ = transport::makeTlsListener(serverIo_.get_executor(), *serverClock_,
                                           std::move(listener_), serverTls);
    tlsDialer_ = transport::makeTlsDialer(*dialer_, *clientClock_, clientTls);
  }
  Co<void> acceptOne() {
    auto stream = co_await listener_->accept();
    if (!stream) co_return;
    auto server = rpc::makeConnection(serverIo_.get_executor(), *serverClock_, std::move(*stream),
                                      true, serve);
    (void)co_await server->closed();
    listener_->close();
  }

  asio::io_context clientIo_{1};
  asio::io_context serverIo_{1};
  std::unique_ptr<Clock> clientClock_ = makeRealClock(clientIo_.get_executor());
  std::unique_ptr<Clock> serverClock_ = makeRealClock(serverIo_.get_executor());
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Dialer> dialer_;
  std::unique_ptr<Dialer> tlsDialer_;
  std::shared_ptr<rpc::Connection> client_;
  std::thread thread_;
};

Co<void> caller(rpc::Connection& connection, int& left, int& running) {
  rpc::StatusFrame request;
  request.set_message(std::string(200, 'x'));
  rpc::StatusFrame response;
  while (left > 0) {
    --left;
    Status status = co_await connection.call("call", request, response);
    if (!status) throw std::runtime_error(status.toString());
  }
  --running;
}

/// Calls of 200 bytes each way by `range(0)` callers at a time.
void unaryCalls(benchmark::State& state, bool tls) {
  Pair pair(tls);
  for (auto _ : state) {
    int left = kCalls;
    int running = static_cast<int>(state.range(0));
    for (int i = running; i > 0; --i) {
      asio::co_spawn(pair.io(), caller(pair.client(), left, running), asio::detached);
    }
    pair.io().restart();
    while (running > 0) pair.io().run_one();
  }
  state.SetItemsProcessed(state.iterations() * kCalls);
}

Co<Status> pour(rpc::Connection& connection) {
  auto stream = co_await connection.open("sink");
  if (!stream) co_return stream.status();
  for (int i = 0; i < kMessages; ++i) {
    Status sent = co_await (*stream)->send(std::string(kMessage, 'x'));
    if (!sent) co_return sent;
  }
  (*stream)->finish();
  // The sink's end says that all has arrived.
  co_return (co_await (*stream)->receive()).status();
}

/// Messages of 128 KiB in one direction of one stream.
void streamBytes(benchmark::State& state, bool tls) {
  Pair pair(tls);
  for (auto _ : state) {
    Status status = pair.run(pour(pair.client()));
    if (!status.is(Code::kEndOfStream)) throw std::runtime_error(status.toString());
  }
  state.SetBytesProcessed(state.iterations() * kMessages * static_cast<std::int64_t>(kMessage));
}

BENCHMARK_CAPTURE(unaryCalls, mutual_tls, true)->Arg(1)->Arg(16)->Arg(64)->UseRealTime();
BENCHMARK_CAPTURE(unaryCalls, plain_tcp, false)->Arg(64)->UseRealTime();
BENCHMARK_CAPTURE(streamBytes, mutual_tls, true)->UseRealTime();
BENCHMARK_CAPTURE(streamBytes, plain_tcp, false)->UseRealTime();

}  // namespace
}  // namespace podlab

int main(int argc, char** argv) {
  podlab::initLogging(podlab::LogLevel::kWarning, podlab::LogFormat::kText, "");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
