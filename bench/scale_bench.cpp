// A cluster's worth of objects at a running server, written over RPC as agents and controllers
// write them; used by bench/lab_bench.py.
//   podlab_scale_bench ADDRESS PKI NODES PODS
// Makes nodes with statuses and leases, and Deployments of a thousand pods each; when their pods
// are bound, writes of each what an agent does: a status when it has come to it, and one when it
// runs. Then prints a line, and renews the leases until stdin ends. PKI is the folder of the lab
// with ca.crt, admin.crt and admin.key.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <asio.hpp>

#include "apps_v1.pb.h"
#include "coordination_v1.pb.h"

#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "api/times.hpp"
#include "bench/rest_client.hpp"
#include "bench/rest_objects.hpp"
#include "client/connection.hpp"
#include "client/modify.hpp"
#include "client/remote_api.hpp"
#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::bench {
namespace {

constexpr int kWriters = 32;
constexpr int kReplicas = 1000;  // of a Deployment
constexpr Duration kRenewal = std::chrono::seconds(10);

template <typename T>
std::shared_ptr<T> parsed(const std::string& json) {
  auto object = std::make_shared<T>();
  if (Status read = api::fromJson(json, *object); !read) die(read.toString());
  return object;
}

template <typename T>
api::ResourceId idOf(std::string ns, std::string name = "", std::string subresource = "") {
  return {&api::kindFor<T>(), std::move(ns), std::move(name), std::move(subresource)};
}

class Filler {
 public:
  Filler(asio::io_context& io, const std::string& address, const std::string& pki)
      : clock_(makeRealClock(io.get_executor())),
        rng_(makeSystemRng()),
        tcp_(transport::makeTcpDialer(io.get_executor(), *clock_)),
        tls_(transport::makeTlsDialer(*tcp_, *clock_, credentialsOf(pki))),
        connection_(io.get_executor(), *clock_, *rng_, *tls_, {address, nullptr, nullptr, {}}),
        api_(connection_, *clock_),
        executor_(io.get_executor()) {}

  Co<void> fill(int nodes, int pods) {
    connection_.start();
    for (int i = 0; i < nodes; ++i) nodes_.push_back("bare-" + std::to_string(i));
    leases_.resize(nodes_.size());
    co_await all(nodes_.size(), [this](std::size_t i) { return makeNode(i); });
    auto bound = idOf<corev1::Pod>("default");
    api::WatchOptions options;
    options.fieldSelector = "spec.nodeName!=";
    auto watch = must(co_await api_.watch(std::move(bound), std::move(options)));
    for (int made = 0; made < pods; made += kReplicas) {
      auto object = parsed<appsv1::Deployment>(
          deploymentOf("web-" + std::to_string(made), std::min(kReplicas, pods - made)));
      auto id = idOf<appsv1::Deployment>("default");
      (void)must(co_await api_.create(std::move(id), std::move(object), {}));
    }
    std::vector<api::ObjectPtr> found;
    while (std::ssize(found) < pods) {
      auto event = must(co_await watch->next());
      if (event.type == api::EventType::kAdded) found.push_back(event.object);
    }
    watch = nullptr;
    co_await all(found.size(), [&](std::size_t i) { return tell(found[i], false); });
    co_await all(found.size(), [&](std::size_t i) { return tell(found[i], true); });
    found.clear();
    std::puts("there");
    std::fflush(stdout);
    TaskGroup renewing(executor_);
    renewing.spawn("renew", renewLeases());
    co_await untilInputEnds();
    co_await renewing.cancelAndJoin();
    co_await connection_.stop();
  }

 private:
  using Each = std::function<Co<void>(std::size_t number)>;

  static std::shared_ptr<transport::TlsContext> credentialsOf(const std::string& pki) {
    const auto files = makeRealFilesystem();
    const auto read = [&](const char* name) { return must(files->readFile(pki + "/" + name)); };
    const transport::Credentials own{read("admin.crt"), read("admin.key")};
    auto tls = must(transport::makeClientTls(read("ca.crt"), own));
    transport::offerRpc(*tls);
    return tls;
  }

  /// `each` for the numbers below `count`, several at a time.
  Co<void> all(std::size_t count, Each each) {
    std::size_t next = 0;
    TaskGroup working(executor_);
    const auto work = [](std::size_t& at, std::size_t end, Each& one) -> Co<void> {
      while (at < end) co_await one(at++);
    };
    for (int i = 0; i < kWriters; ++i) working.spawn("work", work(next, count, each));
    co_await working.join();
  }

  Co<void> makeNode(std::size_t number) {
    const std::string name = nodes_[number];
    auto node = parsed<corev1::Node>(nodeNamed(name));
    auto nodes = idOf<corev1::Node>("");
    (void)must(co_await api_.create(std::move(nodes), std::move(node), {}));
    const auto status = parsed<corev1::Node>(nodeStatus(name));
    client::Change change = [status](google::protobuf::Message& object) {
      *static_cast<corev1::Node&>(object).mutable_status() = status->status();
      return true;
    };
    auto id = idOf<corev1::Node>("", name, "status");
    (void)must(co_await client::modify(api_, std::move(id), nullptr, change));
    auto lease = std::make_shared<coordinationv1::Lease>();
    lease->mutable_metadata()->set_name(name);
    lease->mutable_metadata()->set_namespace_("kube-node-lease");
    lease->mutable_spec()->set_holderidentity(name);
    lease->mutable_spec()->set_leasedurationseconds(40);
    *lease->mutable_spec()->mutable_renewtime() = api::toMicroTime(clock_->wallNow());
    auto leases = idOf<coordinationv1::Lease>("kube-node-lease");
    auto made = must(co_await api_.create(std::move(leases), std::move(lease), {}));
    leases_[number] = std::move(made.object);
  }

  Co<void> renew(std::size_t number) {
    client::Change change = [this](google::protobuf::Message& object) {
      auto& spec = *static_cast<coordinationv1::Lease&>(object).mutable_spec();
      *spec.mutable_renewtime() = api::toMicroTime(clock_->wallNow());
      return true;
    };
    auto id = idOf<coordinationv1::Lease>("kube-node-lease", nodes_[number]);
    leases_[number] = must(co_await client::modify(api_, std::move(id), leases_[number], change));
  }

  Co<void> renewLeases() {
    while (true) {
      co_await clock_->sleepFor(kRenewal);
      co_await all(nodes_.size(), [this](std::size_t i) { return renew(i); });
    }
  }

  Co<void> tell(const api::ObjectPtr& pod, bool runs) {
    const auto status = parsed<corev1::Pod>(podStatus(runs));
    client::Change change = [status](google::protobuf::Message& object) {
      *static_cast<corev1::Pod&>(object).mutable_status() = status->status();
      return true;
    };
    auto id = idOf<corev1::Pod>("default", api::meta(*pod).name(), "status");
    (void)must(co_await client::modify(api_, std::move(id), nullptr, change));
  }

  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Rng> rng_;
  std::unique_ptr<Dialer> tcp_;
  std::unique_ptr<Dialer> tls_;
  client::ReconnectingConnection connection_;
  client::RemoteApi api_;
  asio::any_io_executor executor_;
  std::vector<std::string> nodes_;
  std::vector<api::ObjectPtr> leases_;
};

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) {
    std::fputs("usage: podlab_scale_bench ADDRESS PKI NODES PODS\n", stderr);
    return 2;
  }
  asio::io_context io;
  Filler filler(io, arguments[0], arguments[1]);
  auto fill = filler.fill(std::atoi(arguments[2].c_str()), std::atoi(arguments[3].c_str()));
  runToEnd(io, std::move(fill));
  return 0;
}

}  // namespace
}  // namespace podlab::bench

int main(int argc, char** argv) {
  podlab::initLogging(podlab::LogLevel::kWarning, podlab::LogFormat::kText, "");
  return podlab::bench::run({argv + 1, argv + argc});
}
