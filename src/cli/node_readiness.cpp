#include "cli/node_readiness.hpp"

#include <algorithm>
#include <cstdio>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "client/modify.hpp"

namespace podlab::cli {

using std::chrono::milliseconds;

namespace {
/// Of thousands of nodes not each is worth a line.
constexpr Duration kShown = milliseconds(250);
}  // namespace

NodeBoots runningNodes(const lab::LabResponse& lab) {
  NodeBoots boots;
  for (const auto& node : lab.nodes()) {
    if (node.running()) boots[node.name()] = node.bootid();
  }
  return boots;
}

Co<int> waitForNodes(Session& session, lab::LabPaths paths, NodeBoots nodes, Duration patience,
                     Progress& progress) {
  const MonoTime deadline = session.clock.now() + patience;
  const auto stillRuns = [&paths] { return lab::runningLab(paths).has_value(); };
  NodeBoots missing = nodes;
  std::uint64_t revision = 0;  // up to which the nodes are known; 0: not at all
  MonoTime shown{};
  for (;;) {
    if (!stillRuns()) {
      progress.done("the lab ended; its log is " + paths.log("lab"));
      co_return kFailed;
    }
    if (session.clock.now() >= deadline) {
      progress.done("error: timed out waiting for the nodes to be Ready; the logs are in " +
                    paths.root + "/log; see podlab status");
      co_return kFailed;
    }
    auto connection = co_await session.connection.get(
        std::min(deadline, session.clock.now() + milliseconds(500)));
    if (!connection) {
      progress.show("Waiting for the server ...");
      continue;
    }
    api::ResourceId all;
    all.kind = &api::kindFor<corev1::Node>();
    api::WatchOptions options;
    options.timeout = std::min<Duration>(deadline - session.clock.now(), std::chrono::seconds(1));
    if (revision > 0) {
      options.resourceVersion = std::to_string(revision);
    } else {
      missing = nodes;
    }
    auto watch = co_await session.api.watch(std::move(all), std::move(options));
    if (!watch) {
      co_await session.clock.sleepFor(milliseconds(20));
      continue;
    }
    for (;;) {
      if (session.clock.now() - shown >= kShown) {
        progress.show("Waiting for " + std::to_string(missing.size()) + " of " +
                      std::to_string(nodes.size()) + " nodes to be Ready ...");
        shown = session.clock.now();
      }
      auto event = co_await (*watch)->next();
      if (!event) {
        // With another failure than the time's the way may lead to another server.
        if (!event.status().is(Code::kEndOfStream)) revision = 0;
        break;
      }
      // What is there at first does not come in the order of its revisions.
      revision = std::max(revision, client::revisionOf(*event->object));
      if (event->type == api::EventType::kBookmark) continue;
      const auto& node = api::as<corev1::Node>(event->object);
      const auto wanted = nodes.find(node.metadata().name());
      if (wanted == nodes.end()) continue;
      if (event->type != api::EventType::kDeleted && api::isTrue(node.status(), "Ready") &&
          node.status().nodeinfo().bootid() == wanted->second) {
        missing.erase(wanted->first);
      } else {
        missing.insert(*wanted);
      }
      if (missing.empty()) co_return kDone;
    }
  }
}

}  // namespace podlab::cli
