#include "node/container_user.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ranges>
#include <sstream>

#include <linux/openat2.h>

#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

using Fields = std::vector<std::string>;

std::vector<Fields> entries(std::string_view text) {
  std::vector<Fields> all;
  for (const auto line : std::views::split(text, '\n')) {
    Fields fields;
    for (const auto field : std::views::split(line, ':'))
      fields.emplace_back(field.begin(), field.end());
    if (fields.size() >= 3 && !fields[0].empty()) all.push_back(std::move(fields));
  }
  return all;
}

bool lists(const std::string& members, const std::string& name) {
  return ("," + members + ",").find("," + name + ",") != std::string::npos;
}

}  // namespace

std::optional<std::uint32_t> numericId(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  // 2^32-1 means "no change" to setuid(2) and its like.
  if (error != std::errc() || end != text.data() + text.size() || id == UINT32_MAX)
    return std::nullopt;
  return id;
}

Result<UserIds> lookUpUser(std::string_view text, const UserFiles& files) {
  const auto colon = text.find(':');
  const std::string user(text.substr(0, colon));
  const std::string group(colon == std::string_view::npos ? "" : text.substr(colon + 1));
  UserIds ids;
  std::string name;
  const auto number = user.empty() ? std::optional<std::uint32_t>(0) : numericId(user);
  bool found = false;
  for (const auto& entry : entries(files.passwd)) {
    // A name goes before a number that is spelled alike.
    const auto uid = numericId(entry[2]);
    if (!uid || (entry[0] != user && uid != number)) continue;
    found = true;
    name = entry[0];
    ids.uid = *uid;
    ids.gid = entry.size() > 3 ? numericId(entry[3]).value_or(0) : 0;
    ids.home = entry.size() > 5 && !entry[5].empty() ? entry[5] : "/";
    if (entry[0] == user) break;
    if (number && name != user) break;
  }
  if (!found && !number)
    return Status(Code::kNotFound,
                  "unable to find user " + user + ": no matching entries in passwd file");
  if (!found) ids.uid = *number;
  if (!found && ids.uid != 0) ids.home = "/";
  if (!group.empty()) {
    auto gid = numericId(group);
    for (const auto& entry : entries(files.group)) {
      if (entry[0] == group) gid = numericId(entry[2]);
    }
    if (!gid)
      return Status(Code::kNotFound,
                    "unable to find group " + group + ": no matching entries in group file");
    ids.gid = *gid;
    return ids;
  }
  for (const auto& entry : entries(files.group)) {
    const auto gid = numericId(entry[2]);
    if (gid && !name.empty() && entry.size() > 3 && lists(entry[3], name))
      ids.groups.push_back(*gid);
  }
  return ids;
}

std::optional<std::string> readInRoot(const std::string& root, const std::string& path) {
  constexpr std::size_t kMaxSize = 1 << 20;
  UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return std::nullopt;
  open_how how{};
  // A FIFO would otherwise wait for its writer.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_IN_ROOT;
  const char* relative = path.c_str() + path.find_first_not_of('/');
  UniqueFd file(static_cast<int>(::syscall(SYS_openat2, folder.get(), relative, &how, sizeof how)));
  struct stat info{};
  if (!file || ::fstat(file.get(), &info) < 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  std::string text;
  std::array<char, 8192> buffer;
  ssize_t n = 0;
  while ((n = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), n);
    if (text.size() > kMaxSize) return std::nullopt;
  }
  return text;
}

IdMap IdMap::parse(const std::string& text) {
  IdMap map;
  std::istringstream in(text);
  for (Range range; in >> range.inside >> range.outside >> range.count;)
    map.ranges_.push_back(range);
  return map;
}

bool IdMap::isInitial() const {
  return ranges_.size() == 1 && ranges_[0].inside == 0 && ranges_[0].outside == 0 &&
         ranges_[0].count == UINT32_MAX;
}

bool IdMap::has(std::uint32_t id) const {
  return std::ranges::any_of(ranges_, [id](const Range& range) {
    return id >= range.inside && id - range.inside < range.count;
  });
}

}  // namespace podlab::node
