#include "node/simulated_filesystem.hpp"

#include <functional>
#include <utility>

namespace podlab::node {
namespace {

Status absent(const std::string& path) {
  return {Code::kNotFound, path + ": No such file or directory"};
}

}  // namespace

Result<std::string> SimulatedFilesystem::readFile(const std::string& path) {
  auto it = files_.find(path);
  if (it == files_.end()) return absent(path);
  return it->second;
}

Result<std::string> SimulatedFilesystem::readTail(const std::string& path, std::size_t most) {
  auto content = readFile(path);
  if (content.ok() && content->size() > most) content->erase(0, content->size() - most);
  return content;
}

Status SimulatedFilesystem::writeFileAtomic(const std::string& path, std::string_view content,
                                            std::uint32_t, bool) {
  if (!writesFail_.ok()) return writesFail_;
  if (keepsWrites_) files_[path] = std::string(content);
  return {};
}

Status SimulatedFilesystem::createDirectories(const std::string& path, std::uint32_t) {
  if (!writesFail_.ok()) return writesFail_;
  if (keepsWrites_) folders_.insert(path);
  return {};
}

Status SimulatedFilesystem::removeTree(const std::string& path) {
  auto below = [&path](const std::string& name) {
    return name == path || name.starts_with(path + "/");
  };
  std::erase_if(files_, [&below](const auto& file) { return below(file.first); });
  std::erase_if(links_, [&below](const auto& link) { return below(link.first); });
  std::erase_if(folders_, below);
  return {};
}

Status SimulatedFilesystem::removeFile(const std::string& path) {
  files_.erase(path);
  links_.erase(path);
  return {};
}

Status SimulatedFilesystem::rename(const std::string& from, const std::string& to) {
  if (auto link = links_.extract(from); !link.empty()) {
    links_[to] = std::move(link.mapped());
    return {};
  }
  auto node = files_.extract(from);
  if (node.empty()) return absent(from);
  files_[to] = std::move(node.mapped());
  return {};
}

bool SimulatedFilesystem::exists(const std::string& path) {
  const std::string within = path + "/";
  const auto holds = [&](const auto& names, const auto& nameOf) {
    const auto first = names.lower_bound(within);
    return names.contains(path) || (first != names.end() && nameOf(*first).starts_with(within));
  };
  const auto key = [](const auto& entry) -> const std::string& { return entry.first; };
  return holds(files_, key) || holds(links_, key) || holds(folders_, std::identity());
}

Status SimulatedFilesystem::createSymlink(const std::string& target, const std::string& path) {
  if (!writesFail_.ok()) return writesFail_;
  if (exists(path)) return {Code::kAlreadyExists, path + ": File exists"};
  links_[path] = target;
  return {};
}

Result<std::string> SimulatedFilesystem::readLink(const std::string& path) {
  auto it = links_.find(path);
  if (it == links_.end()) return absent(path);
  return it->second;
}

Result<std::vector<std::string>> SimulatedFilesystem::listDirectory(const std::string& path) {
  std::set<std::string> names;
  std::string prefix = path + "/";
  bool found = folders_.contains(path);
  auto take = [&](const std::string& name) {
    if (!name.starts_with(prefix)) return;
    found = true;
    names.insert(name.substr(prefix.size(), name.find('/', prefix.size()) - prefix.size()));
  };
  for (const auto& [name, content] : files_) take(name);
  for (const auto& [name, target] : links_) take(name);
  for (const auto& name : folders_) take(name);
  if (!found) return absent(path);
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace podlab::node
