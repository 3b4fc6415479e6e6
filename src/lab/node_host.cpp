#include "lab/node_host.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace podlab::lab {
namespace {

Status refuse(const std::string& why) {
  return Status(Code::kInvalid, why + "; a host is [USER@]HOST[:PORT], as ssh finds it");
}

/// As valid_hostname() and valid_ruser() of OpenSSH's ssh.c.
bool isHostName(std::string_view name) {
  return !name.empty() && name.front() != '-' && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("._-:%").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool isUser(std::string_view user) {
  return !user.empty() && user.front() != '-' && user.back() != '\\' &&
         std::ranges::all_of(user, [](unsigned char c) {
           return c > ' ' && c != 0x7f &&
                  std::string_view("'`\";&<>|(){}$").find(static_cast<char>(c)) ==
                      std::string_view::npos;
         });
}

bool equalIgnoringCase(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

}  // namespace

Result<NodeHost> parseNodeHost(std::string_view text) {
  NodeHost host;
  constexpr std::string_view kScheme = "ssh://";
  if (text.starts_with(kScheme)) {
    text.remove_prefix(kScheme.size());
    if (text.ends_with('/')) text.remove_suffix(1);
  }
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    host.user = text.substr(0, at);
    if (!isUser(host.user)) return refuse("the user before the @ is none that ssh takes");
    text.remove_prefix(at + 1);
  }
  std::string_view port;
  bool hasPort = false;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return refuse("the ] is missing");
    host.name = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    hasPort = !text.empty();
    if (hasPort && text.front() != ':') return refuse("only a port may follow the ]");
    if (hasPort) port = text.substr(1);
  } else {
    // More than one colon: an IPv6 address.
    const auto colon = text.find(':');
    hasPort = colon != std::string_view::npos && text.rfind(':') == colon;
    host.name = text.substr(0, hasPort ? colon : text.size());
    if (hasPort) port = text.substr(colon + 1);
  }
  if (!isHostName(host.name)) return refuse("it names no host that ssh takes");
  if (hasPort) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), host.port);
    if (error != std::errc() || end != port.data() + port.size() || host.port < 1 ||
        host.port > 65535)
      return refuse("the port must be between 1 and 65535");
  }
  return host;
}

bool isSameMachine(const NodeHost& one, const NodeHost& other) {
  return equalIgnoringCase(one.name, other.name) &&
         (one.port == 0 ? 22 : one.port) == (other.port == 0 ? 22 : other.port);
}

}  // namespace podlab::lab
