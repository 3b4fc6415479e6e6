#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "common/rng.hpp"

struct sqlite3_file;
struct sqlite3_vfs;

namespace podlab::store {

/// A file layer for SQLite over the default one that fails on demand and knows what a power failure
/// could leave: everything synced, and of each later write all, nothing or a part. Outlives every
/// connection that uses it.
class FaultVfs {
 public:
  explicit FaultVfs(std::string name);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  const std::string& name() const { return name_; }

  /// Writes fail as on a full disk once `bytes` more have been written; negative: never.
  void limitSpace(std::int64_t bytes);
  /// The next `count` syncs fail (and do not sync).
  void failSyncs(int count);
  int syncs();

  /// Writes what a power failure now could leave of each file into the folder `to`.
  void copyAfterPowerFailure(Rng& rng, const std::string& to);

 private:
  friend struct FaultFileMethods;
  struct Write {
    std::int64_t offset = 0;
    std::string data;
    bool truncate = false;  ///< to `offset`
  };
  struct Tracked {
    std::string durable;
    std::vector<Write> unsynced;
  };

  std::string name_;
  std::mutex mutex_;
  std::map<std::string, Tracked> files_;
  std::int64_t space_ = -1;
  int failingSyncs_ = 0;
  int syncs_ = 0;
  sqlite3_vfs* vfs_ = nullptr;
};

}  // namespace podlab::store
