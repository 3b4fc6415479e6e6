#include "agent_rpc.pb.h"

#include "node/stream_handlers.hpp"
#include "node/usage.hpp"

namespace podlab::node {
namespace {

/// Between the two samples of a rate.
constexpr Duration kUsageWindow = std::chrono::milliseconds(500);

}  // namespace

Co<Status> serveUsage(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::UsageRequest>(stream);
  if (!request.ok()) co_return request.status();
  const NodeCgroups& cgroups = agent.options().cgroups;
  Clock& clock = agent.dependencies().clock;
  const auto sample = [&cgroups] { return readNodeUsage(cgroups); };
  rpc::UsageReport report;
  if (!cgroups.any()) {
    report.set_error("there are no figures without cgroups: " + agent.options().limitsMissing);
  } else {
    BlockingPool& pool = agent.dependencies().blocking;
    const auto before = co_await pool.run(sample);
    const MonoTime begun = clock.now();
    co_await clock.sleepFor(kUsageWindow);
    const auto now = co_await pool.run(sample);
    const Duration window = clock.now() - begun;
    report = usageReport(before, now, window.count());
    report.set_windownanos(window.count());
  }
  co_return co_await stream.send(rpc::encode(report));
}

}  // namespace podlab::node
