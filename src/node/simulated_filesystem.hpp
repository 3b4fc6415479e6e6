#pragma once
#include <map>
#include <set>
#include <string>

#include "common/filesystem.hpp"

namespace podlab::node {

/// A file system in memory, for hollow nodes and tests. Single-threaded.
class SimulatedFilesystem final : public Filesystem {
 public:
  Result<std::string> readFile(const std::string& path) override;
  Result<std::string> readTail(const std::string& path, std::size_t most) override;
  Status writeFileAtomic(const std::string& path, std::string_view content, std::uint32_t mode,
                         bool durable) override;
  Status createDirectories(const std::string& path, std::uint32_t mode) override;
  Status removeTree(const std::string& path) override;
  Status removeFile(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  bool exists(const std::string& path) override;
  Status createSymlink(const std::string& target, const std::string& path) override;
  Result<std::string> readLink(const std::string& path) override;
  Result<std::vector<std::string>> listDirectory(const std::string& path) override;

  /// Writes fail with this until it is OK again.
  void failWrites(Status status) { writesFail_ = std::move(status); }
  /// What is written is not kept from now on: for hosts that nobody comes back to.
  void forgetWrites() { keepsWrites_ = false; }
  const std::map<std::string, std::string>& files() const { return files_; }

 private:
  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> links_;  ///< nothing is read or written through them
  std::set<std::string> folders_;
  Status writesFail_;
  bool keepsWrites_ = true;
};

}  // namespace podlab::node
