#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "transport/byte_stream.hpp"

namespace podlab::apiserver {

inline constexpr std::string_view kMasters = "system:masters";  ///< the group that may do anything
inline constexpr std::string_view kNodes = "system:nodes";
inline constexpr std::string_view kNodeUserPrefix = "system:node:";
/// The group podlab:hollow-nodes:NAME may speak for the nodes NAME1, NAME2 and so on.
inline constexpr std::string_view kHollowNodesPrefix = "podlab:hollow-nodes:";
inline constexpr std::string_view kAnonymous = "system:anonymous";
inline constexpr std::string_view kAuthenticated = "system:authenticated";
inline constexpr std::string_view kUnauthenticated = "system:unauthenticated";
inline constexpr std::string_view kAccountUserPrefix = "system:serviceaccount:";
inline constexpr std::string_view kAccounts = "system:serviceaccounts";

/// Who asks.
struct User {
  std::string name;
  std::vector<std::string> groups;
  std::string uid = {};
  std::map<std::string, std::vector<std::string>> extra = {};

  bool isIn(std::string_view group) const;
  /// The node's name when this is a node ("system:node:NAME" in the group system:nodes), else "".
  std::string nodeName() const;
  /// Whether it speaks for that hollow node.
  bool speaksFor(std::string_view node) const;
  /// Whether it speaks for any.
  bool speaksForNodes() const;
};

/// The user that a verified client certificate stands for: CN is the name, the O values are the
/// groups. No certificate: system:anonymous.
User userOf(const ByteStream::PeerIdentity& identity);
/// A node, as its own certificate would say.
User nodeUser(std::string_view node);
/// The server's own parts: may do anything.
User systemUser(std::string_view component);

/// "system:serviceaccount:NAMESPACE:NAME"
std::string serviceAccountUser(std::string_view ns, std::string_view name);
/// The groups of the service accounts of a namespace.
std::vector<std::string> serviceAccountGroups(std::string_view ns);

}  // namespace podlab::apiserver
