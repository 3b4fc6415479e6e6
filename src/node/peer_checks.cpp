#include "node/peer_checks.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/hash.hpp"
#include "common/log.hpp"

namespace podlab::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Nodes that come together learn of each other, and do not look all at once.
constexpr Duration kFirstLook = seconds(1);
constexpr Duration kJitter = seconds(2);
constexpr Duration kSecondLook = seconds(3);
constexpr Duration kLastRetry = std::chrono::minutes(5);
constexpr int kTroublesThatCount = 2;
constexpr std::size_t kPeersNamed = 3;  // in a message

/// The `most` peers that this node draws, the same each time (rendezvous hashing).
std::vector<Peer> sampleOf(std::vector<Peer> peers, const std::string& self, std::size_t most) {
  if (peers.size() <= most) return peers;
  const std::uint64_t seed = fnv1a(self);
  const auto lot = [seed](const Peer& peer) { return SeededRng(seed, peer.node).next(); };
  std::ranges::nth_element(peers, peers.begin() + static_cast<std::ptrdiff_t>(most), {}, lot);
  peers.resize(most);
  return peers;
}

}  // namespace

PeerChecks::PeerChecks(Dataplane& dataplane, Clock& clock, Rng& rng, asio::any_io_executor executor,
                       std::string self, Tell tell)
    : dataplane_(dataplane),
      clock_(clock),
      rng_(rng),
      self_(std::move(self)),
      tell_(std::move(tell)),
      tasks_(std::move(executor)) {}

void PeerChecks::start() {
  tasks_.spawn("peer checks", keep());
}

Co<void> PeerChecks::stop() {
  co_await tasks_.cancelAndJoin();
}

Duration PeerChecks::untilFirstLook() {
  return kFirstLook + Duration(rng_.below(static_cast<std::uint64_t>(kJitter.count())));
}

void PeerChecks::setPeers(std::vector<Peer> peers) {
  std::map<std::string, Checked> next;
  const MonoTime due = clock_.now() + untilFirstLook();
  for (Peer& peer : sampleOf(std::move(peers), self_, kSample)) {
    std::string name = peer.node;
    const auto known = checked_.find(name);
    if (known != checked_.end() && known->second.peer == peer) {
      next.insert(checked_.extract(known));
    } else {
      next.emplace(std::move(name), Checked{std::move(peer), due, 0, false, {}});
    }
  }
  begun_ = true;
  checked_ = std::move(next);
  tellAll();
  changed_.notifyAll();
}

MonoTime PeerChecks::nextDue() const {
  MonoTime due = MonoTime::max();
  for (const auto& [name, checked] : checked_) due = std::min(due, checked.due);
  return due;
}

Co<void> PeerChecks::keep() {
  for (;;) {
    const MonoTime due = nextDue();
    if (due == MonoTime::max()) {
      co_await changed_.wait();
    } else if (due > clock_.now()) {
      co_await changed_.waitUntil(clock_, due);
    } else {
      co_await look();
    }
  }
}

Co<void> PeerChecks::look() {
  std::vector<Peer> peers;
  for (auto& [name, checked] : checked_) {
    if (checked.due > clock_.now()) continue;
    checked.due = MonoTime::max();
    peers.push_back(checked.peer);
  }
  const auto session = static_cast<std::uint16_t>(1 + rng_.below(0xfffe));
  auto findings = co_await dataplane_.probePeers(peers, session);
  if (!findings) logWarning("peers_not_probed", {{"node", self_}, {"error", findings.status()}});
  for (const Peer& peer : peers) {
    // It may have changed meanwhile.
    const auto found = checked_.find(peer.node);
    if (found == checked_.end() || found->second.peer != peer) continue;
    if (findings) {
      take(found->second, *findings);
    } else {
      found->second.due = clock_.now() + kLastRetry;
    }
  }
  tellAll();
}

void PeerChecks::take(Checked& checked, const std::vector<PeerFinding>& findings) {
  checked.looked = true;
  const auto problem = std::ranges::find_if(findings, [&](const PeerFinding& finding) {
    return finding.peer == checked.peer.node && !finding.verdict.problem.empty();
  });
  if (problem == findings.end()) {
    if (checked.troubles >= kTroublesThatCount)
      logInfo("peer_answers", {{"node", self_}, {"peer", checked.peer.node}});
    checked.troubles = 0;
    checked.verdict = {};
    return;
  }
  ++checked.troubles;
  Duration pause = kSecondLook;
  for (int i = 1; i < checked.troubles && pause < kLastRetry; ++i) pause *= 2;
  checked.due = clock_.now() + std::min(pause, kLastRetry);
  if (checked.troubles < kTroublesThatCount) return;
  if (problem->verdict.problem != checked.verdict.problem)
    logWarning("peer_trouble", {{"node", self_},
                                {"peer", checked.peer.node},
                                {"problem", problem->verdict.problem},
                                {"remedy", problem->verdict.remedy}});
  checked.verdict = problem->verdict;
}

void PeerChecks::tellAll() {
  PeerHealth health{"PeersAnswer", "all peers that were asked answer", false};
  std::size_t troubled = 0;
  for (const auto& [name, checked] : checked_) {
    // Without trouble nothing is said before all have been looked at.
    if (!checked.looked && !health.problem) health.reason.clear();
    if (checked.verdict.problem.empty()) continue;
    if (!health.problem) health = {checked.verdict.reason, "", true};
    if (++troubled <= kPeersNamed)
      health.message += (troubled > 1 ? "; " : "") + name + ": " + checked.verdict.problem +
                        "; remedy: " + checked.verdict.remedy;
  }
  if (troubled > kPeersNamed)
    health.message += "; and " + std::to_string(troubled - kPeersNamed) + " peers more";
  if (!begun_ || health.reason.empty() || health == told_) return;
  told_ = health;
  tell_(health);
}

}  // namespace podlab::node
