#include <asio.hpp>

#include "api/kinds.hpp"
#include "apiserver/stream_relay.hpp"

namespace podlab::apiserver {
namespace {

/// Longer than an agent takes to look.
constexpr Duration kPatience = std::chrono::seconds(10);

Co<void> ask(std::unique_ptr<rpc::Stream> agent, Result<rpc::PeersReport>& outcome) {
  const Status sent = co_await agent->send(rpc::encode(rpc::PeersRequest()));
  auto answer = sent ? co_await agent->receive() : Result<std::string>(sent);
  if (!answer) {
    outcome = answer.status();
    co_return;
  }
  rpc::PeersReport report;
  const Status decoded = rpc::decode(*answer, report);
  outcome =
      decoded ? Result<rpc::PeersReport>(std::move(report)) : Result<rpc::PeersReport>(decoded);
}

}  // namespace

/// Asks all nodes at a time, and tells of each as it answers.
Co<Status> StreamRelay::peers(User user, rpc::Stream& client, std::string first) {
  rpc::PeersRequest request;
  if (Status bad = rpc::decode(first, request); !bad) co_return bad;
  const api::ResourceId all{&api::kindFor<corev1::Node>(), "", "", ""};
  if (Status denied = authorize(user, "list", all); !denied) co_return denied;
  api::ListOptions options;
  auto nodes = co_await api_->list(all, std::move(options));
  if (!nodes) co_return nodes.status();
  auto reports = std::make_shared<AsyncQueue<rpc::PeersReport>>();
  TaskGroup tasks(co_await asio::this_coro::executor);
  for (const auto& node : nodes->items)
    tasks.spawn("peers", askPeers(api::meta(*node).name(), reports));
  for (std::size_t i = 0; i < nodes->items.size(); ++i) {
    const auto report = co_await reports->pop();
    const Status sent = co_await client.send(rpc::encode(*report));
    if (!sent) co_return sent;
  }
  co_await tasks.join();
  co_return Status();
}

Co<void> StreamRelay::askPeers(std::string node,
                               std::shared_ptr<AsyncQueue<rpc::PeersReport>> reports) {
  Result<rpc::PeersReport> outcome = Status(Code::kTimeout, "its agent did not answer in time");
  auto agent = co_await openAt(node, "peers");
  if (!agent) {
    outcome = agent.status();
  } else {
    auto work = ask(std::move(*agent), outcome);
    (void)co_await withDeadline(clock_, clock_.now() + kPatience, std::move(work));
  }
  rpc::PeersReport report;
  if (outcome) {
    report = std::move(*outcome);
  } else {
    report.set_error(outcome.status().message());
  }
  report.set_node(node);
  reports->push(std::move(report));
}

}  // namespace podlab::apiserver
