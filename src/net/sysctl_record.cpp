#include "net/sysctl_record.hpp"

#include <sstream>
#include <utility>
#include <vector>

#include "net/namespaces.hpp"

namespace podlab::net {
namespace {

std::vector<std::pair<std::string, std::string>> parse(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> entries;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.find(' ');
    if (space != std::string::npos)
      entries.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return entries;
}

}  // namespace

Status SysctlRecord::set(const std::string& name, const std::string& value) const {
  if (path_.empty()) return setSysctl(name, value);
  auto current = getSysctl(name);
  if (!current) return current.status();
  if (*current == value) return Status();
  const auto files = makeRealFilesystem();
  auto text = files->readFile(path_);
  if (!text && !text.status().is(Code::kNotFound)) return text.status();
  std::string record = std::move(text).valueOr("");
  bool known = false;
  for (const auto& [recorded, before] : parse(record)) known |= recorded == name;
  if (!known) {
    record.append(name).append(" ").append(*current).append("\n");
    if (Status written = files->writeFileAtomic(path_, record, 0600); !written) return written;
  }
  return setSysctl(name, value);
}

Status SysctlRecord::restore() const {
  if (path_.empty()) return Status();
  const auto files = makeRealFilesystem();
  auto text = files->readFile(path_);
  if (!text) return text.status().is(Code::kNotFound) ? Status() : text.status();
  const auto entries = parse(*text);
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    Status restored = setSysctl(entry->first, entry->second);
    if (!restored && !restored.is(Code::kNotFound)) return restored;
  }
  return files->removeFile(path_);
}

}  // namespace podlab::net
