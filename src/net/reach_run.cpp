#include "net/reach_run.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>

#include "common/time.hpp"

namespace podlab::net {

ReachRun::ReachRun(asio::any_io_executor theExecutor, Clock& theClock, std::uint32_t theSession,
                   std::shared_ptr<const std::vector<ReachEnd>> theEnds, ReachOptions theOptions)
    : executor(std::move(theExecutor)),
      clock(theClock),
      session(theSession),
      ends(std::move(theEnds)),
      options(theOptions) {}

std::size_t ReachRun::AddressHash::operator()(const Address& address) const {
  std::uint64_t hash =
      std::uint64_t{address.from} << 32 | std::uint64_t{address.protocol} << 16 | address.port;
  for (std::size_t i = 0; i < address.target.size(); ++i) {
    hash = (hash ^ address.target.data()[i]) * 1099511628211U;  // FNV-1a
  }
  return hash;
}

void ReachRun::plan(const std::optional<std::set<ProbeKey>>& only) {
  for (std::uint32_t from = 0; from < ends->size(); ++from) {
    const ReachEnd& source = (*ends)[from];
    if (!source.local || !source.sends) continue;
    for (const IpAddress& own : source.addresses) {
      const Family family = own.family();
      // Each begins elsewhere, lest all of them talk to the same receiver at once.
      for (std::uint32_t i = 0; i < ends->size(); ++i) {
        const auto to = static_cast<std::uint32_t>((i + from) % ends->size());
        const ReachEnd& target = (*ends)[to];
        const auto address = addressOf(target.addresses, family);
        if (!target.receives || !address) continue;
        for (const ReachPort& port : target.ports) {
          const ProbeKey key{from, to, family, port.protocol, port.port};
          if (only && !only->contains(key)) continue;
          Probe probe;
          probe.outcome.key = key;
          probe.target = *address;
          probe.own = port.own || port.protocol == IPPROTO_ICMP;
          byTarget_[{from, port.protocol, port.port, *address}] = probes.size();
          probes.push_back(std::move(probe));
        }
      }
    }
  }
}

std::uint16_t ReachRun::echoId(std::uint32_t end) const {
  return static_cast<std::uint16_t>(session * 31 + end);
}

std::string ReachRun::noAnswer() const {
  return "no answer within " + formatDuration(options.timeout);
}

void ReachRun::finish(Probe& probe) {
  if (probe.done) return;
  probe.done = true;
  ProbeOutcome& outcome = probe.outcome;
  if (outcome.answered > 0) {
    outcome.rttMean = probe.rttSum / outcome.answered;
  } else if (outcome.error.empty()) {
    outcome.error = probe.trouble.empty() ? noAnswer() : probe.trouble;
  }
  probe.sentAt = {};
  if (--pending_ == 0) progressed_.notifyAll();
}

void ReachRun::fail(Probe& probe, int error, const std::string& who) {
  if (error == ECONNREFUSED) probe.outcome.refused = true;
  probe.trouble = errorText(error);
  if (error == EMSGSIZE) probe.trouble += " (" + std::to_string(options.packetSize) + " bytes)";
  if (!who.empty()) probe.trouble += ", says " + who;
}

void ReachRun::answered(Probe& probe, std::size_t sequence) {
  if (sequence >= probe.sentAt.size() || probe.sentAt[sequence] == MonoTime::max()) return;
  ProbeOutcome& outcome = probe.outcome;
  const Duration rtt = clock.now() - probe.sentAt[sequence];
  probe.sentAt[sequence] = MonoTime::max();
  outcome.rttMin = outcome.answered == 0 ? rtt : std::min(outcome.rttMin, rtt);
  outcome.rttMax = std::max(outcome.rttMax, rtt);
  probe.rttSum += rtt;
  ++outcome.answered;
}

void ReachRun::check(Probe& probe, const ReachPacket& answer) const {
  ProbeOutcome& outcome = probe.outcome;
  const ReachEnd& source = (*ends)[outcome.key.from];
  const auto owns = [&](const std::vector<IpAddress>& addresses) {
    return std::ranges::find(addresses, *answer.source) != addresses.end();
  };
  if (answer.session == session && answer.to != outcome.key.to) {
    outcome.error = "another receiver answered";
  } else if (answer.source && !owns(source.addresses) && !owns(source.otherSources)) {
    outcome.error = "source seen as " + answer.source->toString();
    if (const auto own = addressOf(source.addresses, outcome.key.family)) {
      outcome.error += ", not " + own->toString();
    }
  }
}

ReachRun::Probe* ReachRun::find(std::uint32_t from, std::uint8_t protocol,
                                const SocketAddress& target) {
  const auto address = target.address();
  if (!address) return nullptr;
  const std::uint16_t port = protocol == IPPROTO_ICMP ? std::uint16_t{0} : target.port();
  const auto found = byTarget_.find({from, protocol, port, *address});
  return found == byTarget_.end() ? nullptr : &probes[found->second];
}

void ReachRun::close() {
  for (auto& [key, sender] : senders_) {
    if (sender.icmp) sender.icmp->close();
    if (sender.udp) sender.udp->close();
    if (sender.tcp) sender.tcp->close();
  }
}

}  // namespace podlab::net
