#include "node/container_log_files.hpp"

#include <algorithm>
#include <charconv>

namespace podlab::node {

std::string logFileName(const std::string& path, std::uint64_t number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

std::vector<std::uint64_t> logFileNumbers(const std::string& path,
                                          const std::vector<std::string>& names) {
  const std::string base = path.substr(path.rfind('/') + 1);
  std::vector<std::uint64_t> numbers;
  for (const auto& name : names) {
    if (!name.starts_with(base)) continue;
    std::string_view rest = std::string_view(name).substr(base.size());
    std::uint64_t number = 0;
    if (!rest.empty()) {
      if (rest.front() != '.') continue;
      rest.remove_prefix(1);
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
      if (error != std::errc() || end != rest.data() + rest.size() || number == 0) continue;
    }
    numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Status removeContainerLog(Filesystem& files, const std::string& path) {
  auto names = files.listDirectory(path.substr(0, path.rfind('/')));
  if (names.status().is(Code::kNotFound)) return {};
  if (!names) return names.status();
  Status worst;
  for (const auto number : logFileNumbers(path, *names)) {
    Status removed = files.removeFile(logFileName(path, number));
    if (worst) worst = std::move(removed);
  }
  return worst;
}

}  // namespace podlab::node
