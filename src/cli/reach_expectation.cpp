#include "cli/reach_expectation.hpp"

#include <algorithm>

namespace podlab::cli {
namespace {

constexpr std::string_view kArrow = "->";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// Takes the last word off `text`.
std::string_view lastWord(std::string_view& text) {
  const auto space = text.find_last_of(" \t");
  const auto word = space == std::string_view::npos ? text : text.substr(space + 1);
  text = space == std::string_view::npos ? std::string_view() : trimmed(text.substr(0, space));
  return word;
}

policy::Endpoint endpointOf(const ReachEnd& end, const net::IpAddress& address) {
  switch (end.kind) {
    case ReachEnd::Kind::kPod:
      return policy::Endpoint::pod(end.toString(), address);
    case ReachEnd::Kind::kNode:
      return policy::Endpoint::node(end.name, address);
    case ReachEnd::Kind::kOutside:
      break;
  }
  return policy::Endpoint::outside(address);
}

}  // namespace

Result<ReachExpectation> ReachExpectation::parse(std::string_view text) {
  ReachExpectation made;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const auto refuse = [&](const Status& status) {
      return Status(Code::kBadRequest, "line " + std::to_string(number) + ": " + status.message());
    };
    const auto space = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view verb = line.substr(0, space);
    const std::string_view rest = line.substr(space);
    const auto arrow = rest.find(kArrow);
    if ((verb != "allow" && verb != "deny") || arrow == std::string_view::npos) {
      return refuse(Status(Code::kBadRequest,
                           "\"" + std::string(line) +
                               "\" is not \"allow FROM -> TO [PORTS...]\" or \"deny FROM -> TO "
                               "[PORTS...]\", such as: allow demo/web -> demo/db tcp/5432"));
    }
    Line made_;
    made_.number = number;
    made_.allow = verb == "allow";
    auto from = ReachPattern::parse(trimmed(rest.substr(0, arrow)), "");
    if (!from) return refuse(from.status());
    made_.from = std::move(*from);
    std::string_view target = trimmed(rest.substr(arrow + kArrow.size()));
    while (!target.empty()) {
      std::string_view before = target;
      auto ports = ReachPorts::parse(lastWord(before));
      if (!ports || before.empty()) break;
      made_.ports.push_back(*ports);
      target = before;
    }
    auto to = ReachPattern::parse(target, "");
    if (!to) return refuse(to.status());
    if (to->port() != 0) {
      made_.ports.push_back({6, to->port(), to->port()});  // IPPROTO_TCP
    }
    made_.to = std::move(*to);
    made.lines_.push_back(std::move(made_));
  }
  return made;
}

void ReachExpectation::apply(const std::vector<ReachEnd>& ends,
                             std::vector<ReachCell>& cells) const {
  // Cells are many, ends are few.
  std::vector<std::vector<bool>> from(lines_.size());
  std::vector<std::vector<bool>> to(lines_.size());
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    for (const ReachEnd& end : ends) {
      from[i].push_back(lines_[i].from.matches(end));
      to[i].push_back(lines_[i].to.matches(end));
    }
  }
  for (ReachCell& cell : cells) {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (!from[i][cell.key.from] || !to[i][cell.key.to]) continue;
      const auto fits = [&](const ReachPorts& ports) {
        return ports.contains(cell.key.protocol, cell.key.port);
      };
      if (!lines_[i].ports.empty() && std::ranges::none_of(lines_[i].ports, fits)) continue;
      cell.allowed = lines_[i].allow;
      cell.expectation = "line " + std::to_string(lines_[i].number) + " of the expectation " +
                         (cell.allowed ? "allows it" : "denies it");
      break;
    }
  }
}

void expectPolicies(const policy::Model& model, const std::vector<ReachEnd>& ends,
                    std::vector<ReachCell>& cells) {
  std::vector<std::map<net::Family, policy::Endpoint>> endpoints;
  for (const ReachEnd& end : ends) {
    auto& byFamily = endpoints.emplace_back();
    for (const auto& address : end.addresses) {
      byFamily.emplace(address.family(), endpointOf(end, address));
    }
  }
  for (ReachCell& cell : cells) {
    policy::Verdict verdict = model.judge(
        endpoints[cell.key.from].at(cell.key.family), endpoints[cell.key.to].at(cell.key.family),
        static_cast<policy::Protocol>(cell.key.protocol), cell.key.port);
    cell.allowed = verdict.allowed;
    if (!verdict.allowed) cell.denial = verdict.reason;
    cell.expectation = std::move(verdict.reason);
  }
}

}  // namespace podlab::cli
