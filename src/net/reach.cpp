#include "net/reach.hpp"

#include <utility>

#include "net/reach_receivers.hpp"
#include "net/reach_run.hpp"

namespace podlab::net {

ReachSession::ReachSession(asio::any_io_executor executor, Clock& clock, BlockingPool& pool,
                           std::uint32_t session, std::vector<ReachEnd> ends)
    : executor_(std::move(executor)),
      clock_(clock),
      pool_(pool),
      session_(session),
      ends_(std::make_shared<const std::vector<ReachEnd>>(std::move(ends))),
      receivers_(std::make_shared<Receivers>(clock, session, ends_)) {}

ReachSession::~ReachSession() {
  receivers_->close();
}

Co<Status> ReachSession::listen() {
  struct All {
    std::vector<Receivers::Opened> sockets;
    Status first;
  };
  auto open = [ends = ends_, session = session_] {
    All all;
    all.first = Receivers::open(*ends, session, all.sockets);
    return all;
  };
  All all = co_await pool_.run(std::move(open));
  for (auto& socket : all.sockets) receivers_->add(executor_, std::move(socket));
  co_return all.first;
}

Co<std::vector<ProbeOutcome>> ReachSession::send(ReachOptions options,
                                                 std::optional<std::set<ProbeKey>> only) {
  auto run = std::make_shared<ReachRun>(executor_, clock_, session_, ends_, options);
  // Closes the sockets, and so ends the handlers, also when this coroutine is cancelled.
  struct Closer {
    std::shared_ptr<ReachRun> run;
    ~Closer() { run->close(); }
  } closer{run};
  run->plan(only);
  co_await run->send(pool_);
  std::vector<ProbeOutcome> outcomes;
  outcomes.reserve(run->probes.size());
  for (auto& probe : run->probes) outcomes.push_back(std::move(probe.outcome));
  co_return outcomes;
}

std::vector<ProbeArrivals> ReachSession::arrivals() const {
  receivers_->readAll();
  std::vector<ProbeArrivals> all;
  for (const auto& [key, count] : receivers_->arrivals) all.push_back({key, count});
  return all;
}

}  // namespace podlab::net
