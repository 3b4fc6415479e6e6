#pragma once
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::lab {

/// A machine that is a node, as nodes[].host of a cluster file names it.
struct NodeHost {
  std::string user;  ///< empty: ssh's choice
  std::string name;  ///< a name or address, or an alias of ssh's configuration
  int port = 0;      ///< 0: ssh's choice
};

/// [USER@]HOST[:PORT] or ssh://[USER@]HOST[:PORT]; an IPv6 address with a port is in brackets. What
/// ssh would take for a flag, or a shell for more than a word, is refused, as by ssh itself.
Result<NodeHost> parseNodeHost(std::string_view text);

/// Whether they are the same machine, whoever the user is. Two aliases may be, and look different.
bool isSameMachine(const NodeHost& one, const NodeHost& other);

}  // namespace podlab::lab
