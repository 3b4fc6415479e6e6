#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab::node {

/// A user as a process has it; by default root.
struct UserIds {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  ///< supplementary
  std::string home = "/root";
  bool operator==(const UserIds&) const = default;
};

/// The texts of a root file system's /etc/passwd and /etc/group; empty where it has none.
struct UserFiles {
  std::string passwd;
  std::string group;
};

/// Resolves "USER", "USER:GROUP", "UID" or "UID:GID", as images and Docker have it, by passwd(5)
/// and group(5): without a group, the user's own (0 for a number that is in no file), and the
/// groups that list the user. "" is root. kNotFound: a name that is in no file.
Result<UserIds> lookUpUser(std::string_view text, const UserFiles& files);

/// A regular file of a root file system, as a process in it would find it: a symbolic link does not
/// lead out. nullopt: there is none, or it is larger than 1 MiB.
std::optional<std::string> readInRoot(const std::string& root, const std::string& path);

/// The number, when the text is one.
std::optional<std::uint32_t> numericId(std::string_view text);

/// What is mapped into this user namespace (user_namespaces(7)).
class IdMap {
 public:
  /// Of a text like /proc/self/uid_map.
  static IdMap parse(const std::string& text);
  /// All ids are the host's own.
  bool isInitial() const;
  bool has(std::uint32_t id) const;

 private:
  struct Range {
    std::uint64_t inside = 0, outside = 0, count = 0;
  };
  std::vector<Range> ranges_;
};

}  // namespace podlab::node
