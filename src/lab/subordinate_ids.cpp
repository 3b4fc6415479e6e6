#include "lab/subordinate_ids.hpp"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "common/spawn.hpp"

namespace podlab::lab {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string readText(const char* file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

Status runTool(const std::string& tool, pid_t process, std::uint64_t own, const IdRange& range) {
  SpawnSpec spec;
  spec.argv = {tool,
               std::to_string(process),
               "0",
               std::to_string(own),
               "1",
               "1",
               std::to_string(range.first),
               std::to_string(range.count)};
  auto child = spawn(spec);
  if (!child) return child.status();
  const int code = reapChild(child->pid);
  if (code == 0) return {};
  return Status(Code::kHostUnsupported,
                tool + " failed with " + std::to_string(code) +
                    "; remedy: newuidmap and newgidmap need their setuid bit or capabilities, and "
                    "ranges in /etc/subuid and /etc/subgid that the user may use; or remove the "
                    "ranges");
}

}  // namespace

std::optional<IdRange> findRange(const std::string& text, std::string_view name, uid_t uid) {
  std::optional<IdRange> largest;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view whole = line;
    const auto owner = whole.substr(0, first);
    if (owner != name && owner != std::to_string(uid)) continue;
    const auto begin = number(whole.substr(first + 1, second - first - 1));
    const auto count = number(whole.substr(second + 1));
    if (!begin || !count || *count == 0 || (largest && largest->count >= *count)) continue;
    largest = IdRange{*begin, *count};
  }
  return largest;
}

std::optional<SubordinateIds> findSubordinateIds() {
  const auto userTool = findProgram("newuidmap");
  const auto groupTool = findProgram("newgidmap");
  if (!userTool || !groupTool) return std::nullopt;
  const passwd* entry = ::getpwuid(::geteuid());
  if (entry == nullptr) return std::nullopt;  // the tools do not serve a user without a name
  const auto users = findRange(readText("/etc/subuid"), entry->pw_name, ::geteuid());
  const auto groups = findRange(readText("/etc/subgid"), entry->pw_name, ::geteuid());
  if (!users || !groups) return std::nullopt;
  return SubordinateIds{*users, *groups, *userTool, *groupTool};
}

Status mapIds(pid_t process, const SubordinateIds& ids) {
  if (Status mapped = runTool(ids.userTool, process, ::geteuid(), ids.users); !mapped)
    return mapped;
  return runTool(ids.groupTool, process, ::getegid(), ids.groups);
}

}  // namespace podlab::lab
