#include "node/shim_request.hpp"

#include <cstdlib>
#include <utility>

namespace podlab::node {

std::string encodeShimRequest(const ShimRequest& request) {
  std::string flags;
  if (request.kind == ShimRequest::Kind::kPidNamespace) flags += 'n';
  if (request.tty) flags += 't';
  if (request.stdin) flags += 'i';
  if (request.sharedPids) flags += 'p';
  std::string message;
  const auto append = [&message](const std::string& field) {
    message.append(field).push_back('\0');
  };
  append(flags);
  append(request.folder);
  append(request.logPath);
  append(std::to_string(request.startTimeoutMs));
  append(std::to_string(request.logLimits.maxFileBytes));
  append(std::to_string(request.logLimits.maxFiles));
  append(request.rootfs.lockFile);
  append(request.rootfs.writable);
  append(std::to_string(request.rootfs.layers.size()));
  for (const auto& layer : request.rootfs.layers) append(layer);
  const CgroupPlan& cgroup = request.cgroup;
  append(cgroup.oomFile);
  append(std::to_string(cgroup.folders.size()));
  for (const auto& folder : cgroup.folders) append(folder);
  append(std::to_string(cgroup.writes.size()));
  for (const auto& write : cgroup.writes) {
    append(write.optional ? "?" : "");
    append(write.file);
    append(write.value);
  }
  append(std::to_string(cgroup.processFiles.size()));
  for (const auto& file : cgroup.processFiles) append(file);
  for (const auto& argument : request.command) append(argument);
  return message;
}

std::optional<ShimRequest> decodeShimRequest(std::string_view message) {
  std::vector<std::string> fields;
  while (!message.empty()) {
    const auto end = message.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    fields.emplace_back(message.substr(0, end));
    message.remove_prefix(end + 1);
  }
  std::size_t at = 0;
  const auto next = [&] { return at < fields.size() ? std::move(fields[at++]) : std::string(); };
  // A count larger than what is left is malformed; the loop then ends with the fields.
  const auto times = [&](const auto& take) {
    for (int n = std::atoi(next().c_str()); n > 0 && at < fields.size(); --n) take();
  };
  if (fields.size() < 13) return std::nullopt;
  ShimRequest request;
  for (const char flag : next()) {
    switch (flag) {
      case 'n':
        request.kind = ShimRequest::Kind::kPidNamespace;
        break;
      case 't':
        request.tty = true;
        break;
      case 'i':
        request.stdin = true;
        break;
      case 'p':
        request.sharedPids = true;
        break;
      default:
        return std::nullopt;
    }
  }
  request.folder = next();
  request.logPath = next();
  request.startTimeoutMs = std::atoi(next().c_str());
  request.logLimits.maxFileBytes = std::strtoull(next().c_str(), nullptr, 10);
  request.logLimits.maxFiles = std::strtoull(next().c_str(), nullptr, 10);
  request.rootfs.lockFile = next();
  request.rootfs.writable = next();
  times([&] { request.rootfs.layers.push_back(next()); });
  CgroupPlan& cgroup = request.cgroup;
  cgroup.oomFile = next();
  times([&] { cgroup.folders.push_back(next()); });
  times([&] {
    CgroupPlan::Write write;
    write.optional = !next().empty();
    write.file = next();
    write.value = next();
    cgroup.writes.push_back(std::move(write));
  });
  times([&] { cgroup.processFiles.push_back(next()); });
  while (at < fields.size()) request.command.push_back(next());
  return request;
}

}  // namespace podlab::node
