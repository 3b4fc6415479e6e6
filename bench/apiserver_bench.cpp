// How many pods a second the API server takes from creation over binding to the watch of their
// node, and how many heartbeats, over a store in memory: the cost of the server alone. And the same
// with the scheduler and all controllers, in the durable store, on a real file below TMPDIR (or
// /tmp) and by real time.
#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <asio.hpp>

#include "rbac_v1.pb.h"

#include "api/kinds.hpp"
#include "api/times.hpp"
#include "apiserver/api_service.hpp"
#include "bench/temp_dir.hpp"
#include "common/real_clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "controllers/controller_manager.hpp"
#include "sim/sim_clock.hpp"
#include "store/memory_store.hpp"
#include "store/sqlite_store.hpp"

namespace podlab {
namespace {

constexpr int kWriters = 64;

std::shared_ptr<corev1::Pod> makePod(const std::string& name) {
  auto pod = std::make_shared<corev1::Pod>();
  pod->mutable_metadata()->set_name(name);
  (*pod->mutable_metadata()->mutable_labels())["app"] = "bench";
  for (const char* container : {"main", "sidecar"}) {
    auto& added = *pod->mutable_spec()->add_containers();
    added.set_name(container);
    added.set_image("host");
    added.add_command("/bin/sleep");
    added.add_command("1000");
    auto& requests = *added.mutable_resources()->mutable_requests();
    requests["cpu"].set_string("100m");
    requests["memory"].set_string("64Mi");
  }
  return pod;
}

/// A service over an empty store. Time is simulated, the work is not.
struct Cluster {
  Cluster() {
    const Status status = sim::runInSim(clock, service.start());
    if (!status) throw std::runtime_error(status.toString());
    api = service.as(apiserver::systemUser("bench"));
  }
  ~Cluster() { clock.run(service.stop()); }

  asio::io_context io;
  sim::SimClock clock{io};
  SeededRng rng{1};
  std::unique_ptr<store::Store> store = store::makeMemoryStore();
  apiserver::ApiService service{*store, clock, rng, io.get_executor()};
  std::unique_ptr<api::Api> api;
};

// A node's agent: watches the pods bound to it.
Co<void> receivePods(api::Api& api, std::string node, int& delivered) {
  api::ResourceId pods{&api::kindFor<corev1::Pod>(), "", "", ""};
  api::WatchOptions options;
  options.fieldSelector = "spec.nodeName=" + node;
  auto watch = co_await api.watch(std::move(pods), std::move(options));
  while (true) {
    auto event = co_await (*watch)->next();
    if (!event) co_return;
    ++delivered;
  }
}

Co<void> createAndBind(api::Api& api, int first, int last, int nodes) {
  const api::Kind& kind = api::kindFor<corev1::Pod>();
  api::WriteOptions options;
  for (int i = first; i < last; ++i) {
    const std::string name = "pod-" + std::to_string(i);
    api::ResourceId collection{&kind, "default", "", ""};
    auto pod = makePod(name);
    auto created = co_await api.create(std::move(collection), std::move(pod), options);
    if (!created) throw std::runtime_error(created.status().toString());
    auto binding = std::make_shared<corev1::Binding>();
    binding->mutable_target()->set_name("node-" + std::to_string(i % nodes));
    api::ResourceId id{&kind, "default", name, "binding"};
    auto bound = co_await api.create(std::move(id), std::move(binding), options);
    if (!bound) throw std::runtime_error(bound.status().toString());
  }
}

void createdBoundDelivered(benchmark::State& state) {
  const int nodes = static_cast<int>(state.range(0));
  constexpr int kPods = 20000;
  for (auto _ : state) {
    state.PauseTiming();
    {
      Cluster cluster;
      TaskGroup agents(cluster.io.get_executor());
      TaskGroup writers(cluster.io.get_executor());
      int delivered = 0;
      for (int i = 0; i < nodes; ++i) {
        agents.spawn("agent", receivePods(*cluster.api, "node-" + std::to_string(i), delivered));
      }
      cluster.clock.runUntilIdle();
      state.ResumeTiming();
      for (int i = 0; i < kWriters; ++i) {
        writers.spawn("writer", createAndBind(*cluster.api, kPods * i / kWriters,
                                              kPods * (i + 1) / kWriters, nodes));
      }
      cluster.clock.run(writers.join());
      cluster.clock.runUntilIdle();
      state.PauseTiming();
      if (delivered != kPods) state.SkipWithError("not every pod was delivered");
      cluster.clock.run(agents.cancelAndJoin());
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kPods);
}
BENCHMARK(createdBoundDelivered)->Arg(10)->Arg(5000)->Unit(benchmark::kMillisecond);

/// What `podlab server` runs, less its doors.
struct DurableServer {
  explicit DurableServer(const std::string& file)
      : store(openStore(io.get_executor(), *clock, file)),
        service(*store, *clock, rng, io.get_executor()),
        api(service.as(apiserver::systemUser("bench"))) {
    controllers::ManagerOptions options;
    options.nodeGrace = std::chrono::hours(1);  // nobody renews Leases
    manager.emplace(*api, *clock, rng, io.get_executor(), options);
  }

  static std::unique_ptr<store::Store> openStore(const asio::any_io_executor& executor,
                                                 Clock& clock, const std::string& file) {
    store::SqliteOptions options;
    options.clock = &clock;
    auto opened = store::openSqliteStore(executor, file, options);
    if (!opened) throw std::runtime_error(opened.status().toString());
    return *std::move(opened);
  }

  void run(Co<void> task) {
    bool done = false;
    asio::co_spawn(io, std::move(task), [&done](const std::exception_ptr& error) {
      if (error) std::rethrow_exception(error);
      done = true;
    });
    while (!done) {
      io.restart();
      io.run_one();
    }
  }

  asio::io_context io;
  std::unique_ptr<Clock> clock = makeRealClock(io.get_executor());
  SeededRng rng{1};
  std::unique_ptr<store::Store> store;
  apiserver::ApiService service;
  std::unique_ptr<api::Api> api;
  std::optional<controllers::ControllerManager> manager;
};

Co<void> start(DurableServer& server) {
  if (Status failed = co_await server.service.start(); !failed)
    throw std::runtime_error(failed.toString());
  server.manager->start();
  co_await server.manager->waitForSync();
}

Co<void> createNodes(api::Api& api, int count) {
  for (int i = 0; i < count; ++i) {
    auto node = std::make_shared<corev1::Node>();
    node->mutable_metadata()->set_name("node-" + std::to_string(i));
    node->mutable_spec()->add_podcidrs("10." + std::to_string(i / 256) + "." +
                                       std::to_string(i % 256) + ".0/24");
    node->mutable_spec()->set_podcidr(node->spec().podcidrs(0));
    for (const auto& [name, amount] : {std::pair{"cpu", "16"}, {"memory", "64Gi"}, {"pods", "110"}})
      (*node->mutable_status()->mutable_allocatable())[name].set_string(amount);
    auto& ready = *node->mutable_status()->add_conditions();
    ready.set_type("Ready");
    ready.set_status("True");
    api::ResourceId id{&api::kindFor<corev1::Node>(), "", "", ""};
    auto made = co_await api.create(std::move(id), std::move(node), {});
    if (!made) throw std::runtime_error(made.status().toString());
  }
}

Co<void> createPods(api::Api& api, int first, int last) {
  const api::Kind& kind = api::kindFor<corev1::Pod>();
  for (int i = first; i < last; ++i) {
    api::ResourceId collection{&kind, "default", "", ""};
    auto made = co_await api.create(std::move(collection), makePod("pod-" + std::to_string(i)), {});
    if (!made) throw std::runtime_error(made.status().toString());
  }
}

Co<void> untilDelivered(Clock& clock, const int& delivered, int wanted) {
  while (delivered < wanted) co_await clock.sleepFor(std::chrono::milliseconds(1));
}

// 64 users create pods, the scheduler binds them, and a watch for each node tells of them.
void createdScheduledDelivered(benchmark::State& state) {
  const int nodes = static_cast<int>(state.range(0));
  constexpr int kPods = 20000;
  for (auto _ : state) {
    state.PauseTiming();
    const TempDir dir;
    {
      DurableServer server(dir.file());
      server.run(start(server));
      server.run(createNodes(*server.api, nodes));
      TaskGroup agents(server.io.get_executor());
      TaskGroup users(server.io.get_executor());
      int delivered = 0;
      for (int i = 0; i < nodes; ++i)
        agents.spawn("agent", receivePods(*server.api, "node-" + std::to_string(i), delivered));
      server.run(server.clock->sleepFor(std::chrono::seconds(1)));
      state.ResumeTiming();
      for (int i = 0; i < kWriters; ++i) {
        users.spawn("user",
                    createPods(*server.api, kPods * i / kWriters, kPods * (i + 1) / kWriters));
      }
      server.run(untilDelivered(*server.clock, delivered, kPods));
      state.PauseTiming();
      server.run(users.join());
      server.run(agents.cancelAndJoin());
      server.run(server.manager->stop());
      server.run(server.service.stop());
      server.run(server.store->close());
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kPods);
}
BENCHMARK(createdScheduledDelivered)
    ->Arg(5000)
    ->Iterations(1)
    ->Repetitions(5)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

Co<void> renewLeases(api::Api& api, int first, int last, WallTime now) {
  for (int i = first; i < last; ++i) {
    api::ResourceId id{&api::kindFor<coordinationv1::Lease>(), "kube-node-lease",
                       "node-" + std::to_string(i), ""};
    auto found = co_await api.get(id);
    auto lease = std::make_shared<coordinationv1::Lease>(api::as<coordinationv1::Lease>(*found));
    *lease->mutable_spec()->mutable_renewtime() = api::toMicroTime(now);
    api::WriteOptions options;
    auto written = co_await api.update(std::move(id), std::move(lease), options);
    if (!written) throw std::runtime_error(written.status().toString());
  }
}

Co<void> createLeases(api::Api& api, int count) {
  for (int i = 0; i < count; ++i) {
    auto lease = std::make_shared<coordinationv1::Lease>();
    lease->mutable_metadata()->set_name("node-" + std::to_string(i));
    api::ResourceId id{&api::kindFor<coordinationv1::Lease>(), "kube-node-lease", "", ""};
    api::WriteOptions options;
    auto written = co_await api.create(std::move(id), std::move(lease), options);
    if (!written) throw std::runtime_error(written.status().toString());
  }
}

// One renewal of each of 5,000 nodes' Leases, which is due every 10 s.
void heartbeats(benchmark::State& state) {
  constexpr int kNodes = 5000;
  Cluster cluster;
  cluster.clock.run(createLeases(*cluster.api, kNodes));
  for (auto _ : state) {
    cluster.clock.advance(std::chrono::seconds(10));
    TaskGroup writers(cluster.io.get_executor());
    for (int i = 0; i < kWriters; ++i) {
      writers.spawn("writer", renewLeases(*cluster.api, kNodes * i / kWriters,
                                          kNodes * (i + 1) / kWriters, cluster.clock.wallNow()));
    }
    cluster.clock.run(writers.join());
  }
  state.SetItemsProcessed(state.iterations() * kNodes);
}
BENCHMARK(heartbeats)->Unit(benchmark::kMillisecond);

// One decision of role-based access control for a service account with a role of its own, among
// state.range(0) bindings of others; with 3 groups, as such accounts have them.
void decisions(benchmark::State& state) {
  Cluster cluster;
  const auto write = [&](const api::Kind& kind, api::MutableObjectPtr object) {
    api::ResourceId id{&kind, kind.namespaced() ? "default" : "", "", ""};
    auto create = [](api::Api& api, api::ResourceId where, api::ObjectPtr what) -> Co<void> {
      auto made = co_await api.create(std::move(where), std::move(what), {});
      if (!made) throw std::runtime_error(made.status().toString());
    };
    cluster.clock.run(create(*cluster.api, std::move(id), std::move(object)));
  };
  auto role = std::make_shared<rbacv1::Role>();
  role->mutable_metadata()->set_name("reader");
  for (const char* resource : {"configmaps", "services", "pods"}) {
    auto& rule = *role->add_rules();
    rule.add_verbs("get");
    rule.add_verbs("list");
    rule.add_apigroups("");
    rule.add_resources(resource);
  }
  write(api::kindFor<rbacv1::Role>(), role);
  for (int i = 0; i < state.range(0); ++i) {
    auto binding = std::make_shared<rbacv1::RoleBinding>();
    binding->mutable_metadata()->set_name("b" + std::to_string(i));
    binding->mutable_roleref()->set_kind("Role");
    binding->mutable_roleref()->set_name("reader");
    auto& subject = *binding->add_subjects();
    subject.set_kind("ServiceAccount");
    subject.set_namespace_("default");
    subject.set_name("s" + std::to_string(i));
    write(api::kindFor<rbacv1::RoleBinding>(), binding);
  }
  const apiserver::User user{apiserver::serviceAccountUser("default", "s0"),
                             apiserver::serviceAccountGroups("default")};
  const apiserver::Attributes attributes{
      "list", {&api::kindFor<corev1::Pod>(), "default", "", ""}, "", nullptr, nullptr};
  const auto& authorizer = cluster.service.authorizer();
  for (auto _ : state) {
    if (!authorizer.check(user, attributes)) state.SkipWithError("the user may not");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decisions)->Arg(1)->Arg(1000);

}  // namespace
}  // namespace podlab

BENCHMARK_MAIN();
