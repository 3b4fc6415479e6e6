// Load on the REST API of a running server, over TLS with a client certificate; used by
// bench/lab_bench.py.
//   podlab_rest_load_bench ADDRESS PKI create RESOURCE CLIENTS COUNT
//                                    creates a second, of configmaps or pods that are for no
//                                    scheduler
//   podlab_rest_load_bench ADDRESS PKI list RESOURCE CLIENTS COUNT
//                                    megabytes a second of whole lists
//   podlab_rest_load_bench ADDRESS PKI watch RESOURCE WATCHERS WRITERS CHANGES
//                                    events and megabytes a second that reach all watchers, while
//                                    so many clients create objects as fast as they can
//   podlab_rest_load_bench ADDRESS PKI idle WATCHERS
//                                    a line when all watches are open; holds them until stdin ends
//   podlab_rest_load_bench ADDRESS PKI bound NODES CLIENTS COUNT
//                                    pods a second that are created, scheduled to nodes without
//                                    agents, and seen by a watch of bound pods
//   podlab_rest_load_bench ADDRESS PKI fill NODES PODS
//                                    writes nodes, leases and bound pods with their statuses; a
//                                    line when they are there; renews the leases until stdin ends
// PKI is the folder of the lab with ca.crt, admin.crt and admin.key.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <asio.hpp>

#include "bench/rest_client.hpp"
#include "bench/rest_objects.hpp"
#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::bench {
namespace {

constexpr const char* kCore = "/api/v1/namespaces/default/";
constexpr const char* kNodes = "/api/v1/nodes";
constexpr const char* kMergePatch = "application/merge-patch+json";

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// A small object of the watched label; pods are for no scheduler.
std::string objectOf(const std::string& resource, int number) {
  return R"({"metadata":{"name":"bench-)" + std::to_string(number) +
         R"(","labels":{"bench":"yes"}})" +
         (resource == "pods"
              ? R"(,"spec":{"schedulerName":"nobody","containers":[{"name":"c","image":"host"}]}})"
              : R"(,"data":{"key":"value"}})");
}

std::string numbered(const char* name, int number) {
  return name + std::to_string(number);
}

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
    co_await createAll(clients_, std::move(resource), count);
    std::printf("%.1f\n", count / seconds(clock_->now() - begin));
  }

  Co<void> list(std::string resource, int clients, int count) {
    co_await connect(clients);
    const MonoTime begin = clock_->now();
    std::size_t bytes = 0;
    Each one = [&](HttpClient& client, int) -> Co<void> {
      return listOnce(client, resource, bytes);
    };
    co_await doAll(clients_, count, one);
    std::printf("%.1f\n", static_cast<double>(bytes) / 1e6 / seconds(clock_->now() - begin));
  }

  Co<void> watch(std::string resource, int watchers, int writers, int changes) {
    co_await openWatches(resource, watchers);
    const Clients watching = std::move(clients_);
    clients_.clear();
    co_await connect(writers);
    const MonoTime begin = clock_->now();
    std::size_t bytes = 0;
    TaskGroup receiving(tasks_.executor());
    for (const auto& client : watching)
      receiving.spawn("watch", receiveAll(*client, changes, bytes));
    co_await createAll(clients_, std::move(resource), changes);
    co_await receiving.join();
    const double taken = seconds(clock_->now() - begin);
    std::printf("%.0f %.1f\n", static_cast<double>(watchers) * changes / taken,
                static_cast<double>(bytes) / 1e6 / taken);
  }

  Co<void> idle(int watchers) {
    co_await openWatches("configmaps", watchers);
    co_await holdUntilEnd();
  }

  Co<void> bound(int nodes, int clients, int count) {
    co_await connect(clients);
    co_await makeNodes(nodes);
    HttpClient watcher(must(co_await tls_->dial(address_)));
    co_await watcher.send("GET",
                          kCore + std::string("pods?watch=true&fieldSelector=spec.nodeName!%3D"));
    (void)co_await watcher.receiveHead();
    const MonoTime begin = clock_->now();
    std::size_t bytes = 0;
    TaskGroup receiving(tasks_.executor());
    receiving.spawn("watch", receiveAll(watcher, count, bytes));
    Each one = [](HttpClient& client, int i) {
      return client.ask("POST", kCore + std::string("pods"), podNamed(numbered("web-", i)));
    };
    co_await doAll(clients_, count, one);
    co_await receiving.join();
    std::printf("%.1f\n", count / seconds(clock_->now() - begin));
  }

 private:
  using Clients = std::vector<std::unique_ptr<HttpClient>>;
  using Each = std::function<Co<void>(HttpClient& client, int number)>;

  Co<void> connect(int clients) {
    for (int i = 0; i < clients; ++i)
      clients_.push_back(std::make_unique<HttpClient>(must(co_await tls_->dial(address_))));
  }

  Co<void> openWatches(std::string resource, int watchers) {
    co_await connect(watchers);
    for (auto& client : clients_) {
      // Only what comes from now on.
      co_await client->send("GET", kCore + resource + "?watch=true&labelSelector=bench%3Dyes");
      (void)co_await client->receiveHead();
    }
  }

  /// `each` for the numbers below `count`, by all clients at once.
  Co<void> doAll(const Clients& clients, int count, Each& each) {
    int next = 0;
    TaskGroup working(tasks_.executor());
    const auto work = [](HttpClient& client, int& at, int end, Each& one) -> Co<void> {
      while (at < end) co_await one(client, at++);
    };
    for (const auto& client : clients) working.spawn("work", work(*client, next, count, each));
    co_await working.join();
  }

  Co<void> createAll(const Clients& clients, std::string resource, int count) {
    Each one = [&resource](HttpClient& client, int i) {
      return client.ask("POST", kCore + resource, objectOf(resource, i));
    };
    co_await doAll(clients, count, one);
  }

  Co<void> listOnce(HttpClient& client, const std::string& resource, std::size_t& bytes) {
    co_await client.send("GET", kCore + resource);
    bytes += co_await client.receive();
  }

  static Co<void> receiveAll(HttpClient& client, int count, std::size_t& bytes) {
    bytes += co_await client.receiveEvents(count);
  }

  /// Nodes that are Ready and have no agents.
  Co<void> makeNodes(int count) {
    Each make = [this](HttpClient& client, int i) {
      return makeNode(client, numbered("bare-", i));
    };
    co_await doAll(clients_, count, make);
  }
  Co<void> makeNode(HttpClient& client, std::string name) {
    co_await client.ask("POST", kNodes, nodeNamed(name));
    co_await client.ask("PATCH", kNodes + ("/" + name) + "/status", nodeStatus(name), kMergePatch);
  }

  /// Says that all is there; until stdin ends.
  Co<void> holdUntilEnd() {
    std::puts("there");
    std::fflush(stdout);
    co_await untilInputEnds();
  }

  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Dialer> tcp_;
  std::unique_ptr<Dialer> tls_;
  std::string address_;
  Clients clients_;
  TaskGroup tasks_;
};

int usage() {
  std::fputs(
      "usage: podlab_rest_load_bench ADDRESS PKI create RESOURCE CLIENTS COUNT |\n"
      "         list RESOURCE CLIENTS COUNT | watch RESOURCE WATCHERS WRITERS CHANGES |\n"
      "         idle WATCHERS | bound NODES CLIENTS COUNT\n",
      stderr);
  return 2;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) return usage();
  asio::io_context io;
  Load load(io, arguments[0], arguments[1]);
  const std::string& what = arguments[2];
  const std::size_t count = arguments.size() - 3;
  const auto number = [&](std::size_t at) { return std::atoi(arguments[3 + at].c_str()); };
  std::optional<Co<void>> task;
  if (what == "create" && count == 3) task = load.create(arguments[3], number(1), number(2));
  if (what == "list" && count == 3) task = load.list(arguments[3], number(1), number(2));
  if (what == "watch" && count == 4)
    task = load.watch(arguments[3], number(1), number(2), number(3));
  if (what == "idle" && count == 1) task = load.idle(number(0));
  if (what == "bound" && count == 3) task = load.bound(number(0), number(1), number(2));
  if (!task) return usage();
  runToEnd(io, std::move(*task));
  return 0;
}

}  // namespace
}  // namespace podlab::bench

int main(int argc, char** argv) {
  podlab::initLogging(podlab::LogLevel::kWarning, podlab::LogFormat::kText, "");
  return podlab::bench::run({argv + 1, argv + argc});
}
