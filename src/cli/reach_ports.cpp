#include "cli/reach_ports.hpp"

#include <netinet/in.h>

#include <charconv>

#include "cli/reach_ends.hpp"

namespace podlab::cli {

std::optional<std::uint16_t> portNumber(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<std::pair<std::string_view, std::string_view>> cutAt(std::string_view text,
                                                                   char mark) {
  const auto at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

std::optional<std::uint8_t> reachProtocol(std::string_view name) {
  if (name == "icmp") return IPPROTO_ICMP;
  if (name == "tcp") return IPPROTO_TCP;
  if (name == "udp") return IPPROTO_UDP;
  return std::nullopt;
}

std::string_view reachProtocolName(std::uint8_t protocol) {
  return protocol == IPPROTO_ICMP ? "icmp" : protocol == IPPROTO_TCP ? "tcp" : "udp";
}

std::string reachPortText(std::uint8_t protocol, std::uint16_t port) {
  std::string text(reachProtocolName(protocol));
  return port == 0 ? text : text + " " + std::to_string(port);
}

Result<ReachPorts> ReachPorts::parse(std::string_view text) {
  ReachPorts ports;
  std::string_view range = text;
  ports.protocol = IPPROTO_TCP;
  if (const auto whole = reachProtocol(text)) {
    ports.protocol = *whole;
    return ports;
  }
  const auto refuse = [&] {
    return Status(Code::kBadRequest, "\"" + std::string(text) +
                                         "\" is not a port such as 80, tcp/80, udp/5000-5010 or "
                                         "icmp");
  };
  if (const auto parts = cutAt(text, '/')) {
    const auto protocol = reachProtocol(parts->first);
    if (!protocol || *protocol == IPPROTO_ICMP) return refuse();
    ports.protocol = *protocol;
    range = parts->second;
  }
  const auto parts = cutAt(range, '-');
  const auto first = portNumber(parts ? parts->first : range);
  const auto last = parts ? portNumber(parts->second) : first;
  if (!first || !last || *last < *first) return refuse();
  ports.first = *first;
  ports.last = *last;
  return ports;
}

Result<ReachPortChoice> ReachPortChoice::of(const std::vector<std::string>& ports,
                                            const std::vector<std::string>& protocols) {
  constexpr int kMostPorts = 1000;
  ReachPortChoice choice;
  for (const auto& name : protocols) {
    const auto protocol = reachProtocol(name);
    if (!protocol) {
      return Status(Code::kBadRequest,
                    "--protocol: \"" + name + "\" is unknown: icmp, tcp and udp are");
    }
    choice.protocols.insert(*protocol);
  }
  if (!ports.empty()) choice.probe = choice.declared = false;
  for (const auto& text : ports) {
    if (text == "probe") {
      choice.probe = true;
    } else if (text == "declared") {
      choice.declared = true;
    } else {
      auto parsed = ReachPorts::parse(text);
      if (!parsed || (parsed->first == 0 && parsed->protocol != IPPROTO_ICMP)) {
        return Status(Code::kBadRequest, "--port: \"" + text +
                                             "\" is not a port such as 80, tcp/80, udp/5000-5010 "
                                             "or icmp, nor \"declared\" or \"probe\"");
      }
      if (parsed->protocol == IPPROTO_ICMP) {
        choice.named.push_back({parsed->protocol, 0, false});
        continue;
      }
      for (int port = parsed->first; port <= parsed->last; ++port) {
        choice.named.push_back({parsed->protocol, static_cast<std::uint16_t>(port), false});
      }
      if (choice.named.size() > kMostPorts) {
        return Status(Code::kBadRequest, "--port: more than 1000 ports");
      }
    }
  }
  return choice;
}

std::vector<net::ReachPort> ReachPortChoice::portsOf(const ReachEnd& end,
                                                     std::uint16_t port) const {
  std::set<net::ReachPort> ports;
  if (port != 0) {
    ports.insert({IPPROTO_TCP, port, false});
  } else {
    ports.insert(named.begin(), named.end());
    if (probe) {
      ports.insert({IPPROTO_ICMP, 0, false});
      // Nobody has receivers outside.
      if (end.kind != ReachEnd::Kind::kOutside) {
        ports.insert({IPPROTO_TCP, net::kReachPort, true});
        ports.insert({IPPROTO_UDP, net::kReachPort, true});
      }
    }
    if (declared) ports.insert(end.declared.begin(), end.declared.end());
  }
  std::erase_if(ports, [&](const net::ReachPort& one) {
    return !protocols.empty() && !protocols.contains(one.protocol);
  });
  return {ports.begin(), ports.end()};
}

}  // namespace podlab::cli
