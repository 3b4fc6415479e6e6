// Load on the REST API of a running lab, over TLS with a client certificate; used by
// bench/lab_bench.py.
//   podlab_rest_load_bench ADDRESS PKI create configmaps|pods CLIENTS COUNT
//                                    creates a second; the pods are for no scheduler
//   podlab_rest_load_bench ADDRESS PKI list RESOURCE CLIENTS COUNT
//                                    megabytes a second of whole lists
//   podlab_rest_load_bench ADDRESS PKI watch WATCHERS CHANGES
//                                    events a second that reach all watchers of configmaps
//   podlab_rest_load_bench ADDRESS PKI idle WATCHERS
//                                    a line when all watches are open; holds them until stdin ends
// PKI is the folder of the lab with ca.crt, admin.crt and admin.key.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "transport/byte_stream.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab {
namespace {

constexpr const char* kNamespace = "/api/v1/namespaces/default/";

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "error: %s\n", why.c_str());
  std::exit(1);
}

template <typename T>
T must(Result<T> result) {
  if (!result) die(result.status().toString());
  return std::move(*result);
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// A connection that asks one thing after the other. It reads no more of answers than it must, so
/// that the server is measured.
class HttpClient {
 public:
  explicit HttpClient(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}

  Co<void> send(std::string method, std::string path, std::string body = "") {
    std::string text = method + " " + kNamespace + path + " HTTP/1.1\r\nHost: podlab\r\n";
    if (!body.empty()) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n";
    }
    text += "\r\n" + body;
    const Status sent = co_await stream_->write(std::as_bytes(std::span(text)));
    if (!sent) die(sent.toString());
  }

  /// The body's size, or 0 of what streams on.
  Co<std::size_t> receiveHead() {
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) co_await more();
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    if (!head.starts_with("HTTP/1.1 20")) die(head);
    const auto length = head.find("Content-Length: ");
    isChunked_ = length == std::string::npos;
    co_return isChunked_ ? 0 : std::strtoul(head.c_str() + length + 16, nullptr, 10);
  }

  /// The size of an answer.
  Co<std::size_t> receive() {
    const std::size_t length = co_await receiveHead();
    if (!isChunked_) {
      while (buffer_.size() < length) co_await more();
      buffer_.erase(0, length);
      co_return length;
    }
    std::size_t total = 0;
    while (true) {
      std::size_t line = std::string::npos;
      while ((line = buffer_.find("\r\n")) == std::string::npos) co_await more();
      const std::size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
      while (buffer_.size() < line + 2 + size + 2) co_await more();
      buffer_.erase(0, line + 2 + size + 2);
      if (size == 0) co_return total;
      total += size;
    }
  }

  /// Until so many events of a watch have come.
  Co<void> receiveEvents(int count) {
    constexpr std::string_view kEvent = "{\"type\":\"";
    while (count > 0) {
      std::size_t at = 0;
      std::size_t after = 0;
      while ((at = buffer_.find(kEvent, at)) != std::string::npos) {
        --count;
        after = at += kEvent.size();
      }
      buffer_.erase(0, std::max(after, buffer_.size() - std::min(buffer_.size(), kEvent.size())));
      if (count > 0) co_await more();
    }
  }

 private:
  Co<void> more() {
    std::array<std::byte, 64UL << 10> piece;
    auto count = co_await stream_->read(piece);
    buffer_.append(reinterpret_cast<const char*>(piece.data()), must(std::move(count)));
  }

  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  bool isChunked_ = false;
};

class Load {
 public:
  Load(asio::io_context& io, const std::string& address, const std::string& pki)
      : clock_(makeRealClock(io.get_executor())),
        tcp_(transport::makeTcpDialer(io.get_executor(), *clock_)),
        address_(address),
        tasks_(io.get_executor()) {
    const auto files = makeRealFilesystem();
    const auto read = [&](const char* name) { return must(files->readFile(pki + "/" + name)); };
    const transport::Credentials own{read("admin.crt"), read("admin.key")};
    tls_ = transport::makeTlsDialer(*tcp_, *clock_,
                                    must(transport::makeClientTls(read("ca.crt"), own)));
  }

  Co<void> create(std::string resource, int clients, int count) {
    co_await connect(clients);
    const MonoTime begin = clock_->now();
    for (auto& client : clients_) tasks_.spawn("create", createSome(*client, resource, count));
    co_await tasks_.join();
    std::printf("%.1f\n", count / seconds(clock_->now() - begin));
  }

  Co<void> list(std::string resource, int clients, int count) {
    co_await connect(clients);
    const MonoTime begin = clock_->now();
    for (auto& client : clients_) tasks_.spawn("list", listSome(*client, resource, count));
    co_await tasks_.join();
    std::printf("%.1f\n", static_cast<double>(bytes_) / 1e6 / seconds(clock_->now() - begin));
  }

  Co<void> watch(int watchers, int changes) {
    co_await openWatches(watchers);
    auto writer = std::make_unique<HttpClient>(must(co_await tls_->dial(address_)));
    const MonoTime begin = clock_->now();
    for (auto& client : clients_) tasks_.spawn("watch", client->receiveEvents(changes));
    tasks_.spawn("change", createSome(*writer, "configmaps", changes));
    co_await tasks_.join();
    const double events = static_cast<double>(watchers) * changes;
    std::printf("%.0f\n", events / seconds(clock_->now() - begin));
  }

  Co<void> idle(int watchers) {
    co_await openWatches(watchers);
    std::puts("open");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
  }

 private:
  Co<void> connect(int clients) {
    for (int i = 0; i < clients; ++i)
      clients_.push_back(std::make_unique<HttpClient>(must(co_await tls_->dial(address_))));
  }

  Co<void> openWatches(int watchers) {
    co_await connect(watchers);
    for (auto& client : clients_) {
      // Only what comes from now on.
      co_await client->send("GET", "configmaps?watch=true&labelSelector=bench%3Dyes");
      (void)co_await client->receiveHead();
    }
  }

  Co<void> createSome(HttpClient& client, std::string resource, int count) {
    while (next_ < count) {
      std::string body = R"({"metadata":{"name":"bench-)" + std::to_string(next_++) +
                         R"(","labels":{"bench":"yes"}})";
      body +=
          resource == "pods"
              ? R"(,"spec":{"schedulerName":"nobody","containers":[{"name":"c","image":"host"}]}})"
              : R"(,"data":{"key":"value"}})";
      co_await client.send("POST", resource, std::move(body));
      (void)co_await client.receive();
    }
  }

  Co<void> listSome(HttpClient& client, std::string resource, int count) {
    while (next_ < count) {
      ++next_;
      co_await client.send("GET", resource);
      bytes_ += co_await client.receive();
    }
  }

  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Dialer> tcp_;
  std::unique_ptr<Dialer> tls_;
  std::string address_;
  std::vector<std::unique_ptr<HttpClient>> clients_;
  int next_ = 0;
  std::size_t bytes_ = 0;
  TaskGroup tasks_;
};

int usage() {
  std::fputs(
      "usage: podlab_rest_load_bench ADDRESS PKI create RESOURCE CLIENTS COUNT |\n"
      "         list RESOURCE CLIENTS COUNT | watch WATCHERS CHANGES | idle WATCHERS\n",
      stderr);
  return 2;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) return usage();
  asio::io_context io;
  Load load(io, arguments[0], arguments[1]);
  const std::string& what = arguments[2];
  const auto number = [&](std::size_t at) { return std::atoi(arguments[at].c_str()); };
  std::optional<Co<void>> task;
  if (what == "create" && arguments.size() == 6)
    task = load.create(arguments[3], number(4), number(5));
  if (what == "list" && arguments.size() == 6) task = load.list(arguments[3], number(4), number(5));
  if (what == "watch" && arguments.size() == 5) task = load.watch(number(3), number(4));
  if (what == "idle" && arguments.size() == 4) task = load.idle(number(3));
  if (!task) return usage();
  asio::co_spawn(io, std::move(*task), [&io](const std::exception_ptr& error) {
    if (error) die("a broken invariant");
    io.stop();
  });
  io.run();
  return 0;
}

}  // namespace
}  // namespace podlab

int main(int argc, char** argv) {
  podlab::initLogging(podlab::LogLevel::kWarning, podlab::LogFormat::kText, "");
  return podlab::run({argv + 1, argv + argc});
}
