// Pods of a running lab, as one client of its API sees them; used by bench/lab_bench.py.
//   podlab_pods_bench latency COUNT CONTAINERS   milliseconds from the create call to Ready in a
//                                                watch, one pod after the other, a line each
//   podlab_pods_bench rate COUNT CONTAINERS      seconds from the first create call until all are
//                                                Ready
//   podlab_pods_bench bound COUNT NODES          seconds from the first create call until COUNT
//                                                pods, bound by turns to hollow1 to hollowNODES,
//                                                are created, and until they all run
//   podlab_pods_bench exec POD COUNT             milliseconds from the request to run `true` in the
//                                                pod until its exit code is there, one after the
//                                                other over one connection, a line each
//   podlab_pods_bench delete                     deletes all pods of the default namespace
// The lab is that of PODLAB_STATE_DIR, named "default".
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "agent_rpc.pb.h"

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "bench/program.hpp"
#include "cli/pod_containers.hpp"
#include "cli/session.hpp"
#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab {
namespace {

constexpr int kCreators = 8;  // create calls in flight
constexpr int kManyCreators = 64;
constexpr Duration kLook = std::chrono::milliseconds(500);

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

api::ResourceId pods(std::string name = "") {
  return {&api::kindFor<corev1::Pod>(), "default", std::move(name), ""};
}

using bench::must;

std::shared_ptr<corev1::Pod> makePod(int number, int containers) {
  auto pod = std::make_shared<corev1::Pod>();
  pod->mutable_metadata()->set_name("bench-" + std::to_string(number));
  auto& spec = *pod->mutable_spec();
  for (int i = 0; i < containers; ++i) {
    auto& container = *spec.add_containers();
    container.set_name("c" + std::to_string(i));
    container.set_image("host");
    container.add_command("/usr/bin/sleep");
    container.add_command("infinity");
  }
  return pod;
}

Co<void> create(api::Api& api, int number, int containers) {
  api::WriteOptions options;
  (void)must(co_await api.create(pods(), makePod(number, containers), std::move(options)));
}

/// The collection's changes from now on.
Co<std::unique_ptr<api::Watch>> watchFromNow(api::Api& api) {
  auto now = must(co_await api.list(pods(), api::ListOptions()));
  api::WatchOptions options;
  options.resourceVersion = now.resourceVersion;
  co_return must(co_await api.watch(pods(), std::move(options)));
}

/// The name of the next pod that an event shows Ready.
Co<std::string> nextReady(api::Watch& watch) {
  for (;;) {
    auto event = must(co_await watch.next());
    if (event.type != api::EventType::kModified) continue;
    const auto& pod = api::as<corev1::Pod>(event.object);
    for (const auto& condition : pod.status().conditions()) {
      if (condition.type() == "Ready" && condition.status() == "True")
        co_return pod.metadata().name();
    }
  }
}

Co<int> latency(cli::Session& session, int count, int containers) {
  auto watch = co_await watchFromNow(session.api);
  for (int i = 0; i < count; ++i) {
    const std::string name = "bench-" + std::to_string(i);
    const MonoTime begin = session.clock.now();
    co_await create(session.api, i, containers);
    while (co_await nextReady(*watch) != name) {
    }
    std::printf("%.2f\n", milliseconds(session.clock.now() - begin));
  }
  co_return 0;
}

Co<void> createSome(api::Api& api, int& next, int count, int containers) {
  while (next < count) {
    const int number = next++;
    co_await create(api, number, containers);
  }
}

Co<int> rate(cli::Session& session, int count, int containers) {
  auto watch = co_await watchFromNow(session.api);
  const MonoTime begin = session.clock.now();
  int next = 0;
  TaskGroup creators(session.io.get_executor());
  for (int i = 0; i < kCreators; ++i)
    creators.spawn("create", createSome(session.api, next, count, containers));
  std::set<std::string> ready;
  while (static_cast<int>(ready.size()) < count) ready.insert(co_await nextReady(*watch));
  std::printf("%.4f\n", milliseconds(session.clock.now() - begin) / 1000);
  co_await creators.join();
  co_return 0;
}

Co<void> createBound(api::Api& api, int& next, int count, int nodes) {
  while (next < count) {
    const int number = next++;
    auto pod = makePod(number, 1);
    pod->mutable_spec()->set_nodename("hollow" + std::to_string(number % nodes + 1));
    pod->mutable_spec()->set_automountserviceaccounttoken(false);
    (void)must(co_await api.create(pods(), std::move(pod), {}));
  }
}

Co<bool> allRun(api::Api& api) {
  api::ListOptions options;
  options.fieldSelector = "status.phase!=Running";
  options.limit = 1;
  auto others = must(co_await api.list(pods(), std::move(options)));
  co_return others.items.empty();
}

Co<int> bound(cli::Session& session, int count, int nodes) {
  const MonoTime begin = session.clock.now();
  const auto seconds = [&] { return milliseconds(session.clock.now() - begin) / 1000; };
  int next = 0;
  TaskGroup creators(session.io.get_executor());
  for (int i = 0; i < kManyCreators; ++i)
    creators.spawn("create", createBound(session.api, next, count, nodes));
  co_await creators.join();
  std::printf("%.2f\n", seconds());
  while (!co_await allRun(session.api)) co_await session.clock.sleepFor(kLook);
  std::printf("%.2f\n", seconds());
  co_return 0;
}

Co<int> removeAll(cli::Session& session) {
  auto all = must(co_await session.api.list(pods(), api::ListOptions()));
  api::WatchOptions options;
  options.resourceVersion = all.resourceVersion;
  auto watch = must(co_await session.api.watch(pods(), std::move(options)));
  for (const auto& pod : all.items) {
    api::DeleteOptions how;
    how.set_graceperiodseconds(1);
    (void)must(co_await session.api.remove(pods(api::meta(*pod).name()), std::move(how)));
  }
  for (std::size_t left = all.items.size(); left > 0;) {
    auto event = must(co_await watch->next());
    if (event.type == api::EventType::kDeleted) --left;
  }
  co_return 0;
}

Co<int> execute(cli::Session& session, std::string pod, int count) {
  rpc::ExecRequest request;
  request.set_namespace_("default");
  request.set_pod(pod);
  request.add_command("true");
  for (int i = 0; i < count; ++i) {
    const MonoTime begin = session.clock.now();
    auto stream = must(co_await cli::openStream(session, "exec", rpc::encode(request)));
    Result<std::string> message = std::string();
    while (message) message = co_await stream->receive();
    if (!message.status().is(Code::kEndOfStream)) bench::die(message.status().toString());
    std::printf("%.2f\n", milliseconds(session.clock.now() - begin));
  }
  co_return 0;
}

int run(const std::vector<std::string>& arguments) {
  cli::Context context;
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what == "delete") return cli::withSession(context, removeAll);
  if (what == "exec" && arguments.size() == 3) {
    return cli::withSession(context, [&](cli::Session& session) {
      return execute(session, arguments[1], std::atoi(arguments[2].c_str()));
    });
  }
  if (what == "bound" && arguments.size() == 3) {
    return cli::withSession(context, [&](cli::Session& session) {
      return bound(session, std::atoi(arguments[1].c_str()), std::atoi(arguments[2].c_str()));
    });
  }
  const bool measure = (what == "latency" || what == "rate") && arguments.size() == 3;
  const int count = measure ? std::atoi(arguments[1].c_str()) : 0;
  const int containers = measure ? std::atoi(arguments[2].c_str()) : 0;
  if (count <= 0 || containers <= 0) {
    std::fputs(
        "usage: podlab_pods_bench latency|rate COUNT CONTAINERS | bound COUNT NODES | "
        "exec POD COUNT | delete\n",
        stderr);
    return 2;
  }
  return cli::withSession(context, [&](cli::Session& session) {
    return what == "rate" ? rate(session, count, containers) : latency(session, count, containers);
  });
}

}  // namespace
}  // namespace podlab

int main(int argc, char** argv) {
  podlab::initLogging(podlab::LogLevel::kWarning, podlab::LogFormat::kText, "");
  return podlab::run({argv + 1, argv + argc});
}
