#pragma once
#include <string>
#include <string_view>

#include "common/filesystem.hpp"
#include "common/status.hpp"

namespace podlab::net {

/// What sysctls of a network namespace were before podlab set them, in a file that ends with the
/// namespace, as of a host's on a tmpfs: one "NAME VALUE" a line.
class SysctlRecord {
 public:
  /// Without a path nothing is recorded.
  explicit SysctlRecord(std::string path) : path_(std::move(path)) {}

  /// Sets it (see setSysctl), and writes down first what it was when podlab had never set it.
  Status set(const std::string& name, const std::string& value) const;
  /// Sets all back, the last first, and removes the file. What is no longer there is left out.
  Status restore() const;

 private:
  std::string path_;
};

}  // namespace podlab::net
