#include "tests/store/fault_vfs.hpp"

#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <utility>

#include <sqlite3.h>

namespace podlab::store {
namespace {

/// SQLite allocates it, with the real layer's file behind it.
struct FaultFile {
  sqlite3_file base;
  FaultVfs* owner;
  std::string* path;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

FaultFile& of(sqlite3_file* file) {
  return *reinterpret_cast<FaultFile*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
  return of(file).real();
}

sqlite3_vfs* defaultVfs() {
  return sqlite3_vfs_find(nullptr);
}

}  // namespace

struct FaultFileMethods {
  static int close(sqlite3_file* file) {
    const int code = real(file)->pMethods->xClose(real(file));
    delete of(file).path;
    return code;
  }
  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
    return real(file)->pMethods->xRead(real(file), out, size, offset);
  }
  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    FaultVfs& vfs = *of(file).owner;
    std::lock_guard lock(vfs.mutex_);
    if (vfs.space_ >= 0) {
      if (vfs.space_ < size) return SQLITE_FULL;
      vfs.space_ -= size;
    }
    FaultVfs::Write write;
    write.offset = offset;
    write.data.assign(static_cast<const char*>(data), static_cast<std::size_t>(size));
    vfs.files_[*of(file).path].unsynced.push_back(std::move(write));
    return real(file)->pMethods->xWrite(real(file), data, size, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    FaultVfs& vfs = *of(file).owner;
    std::lock_guard lock(vfs.mutex_);
    FaultVfs::Write write;
    write.offset = size;
    write.truncate = true;
    vfs.files_[*of(file).path].unsynced.push_back(std::move(write));
    return real(file)->pMethods->xTruncate(real(file), size);
  }
  static void apply(std::string& content, const FaultVfs::Write& write, std::size_t size) {
    const auto offset = static_cast<std::size_t>(write.offset);
    if (write.truncate) return content.resize(offset);
    if (content.size() < offset + size) content.resize(offset + size);
    content.replace(offset, size, write.data, 0, size);
  }
  static int sync(sqlite3_file* file, int flags) {
    FaultVfs& vfs = *of(file).owner;
    std::lock_guard lock(vfs.mutex_);
    ++vfs.syncs_;
    if (vfs.failingSyncs_ > 0) {
      --vfs.failingSyncs_;
      return SQLITE_IOERR_FSYNC;
    }
    auto& tracked = vfs.files_[*of(file).path];
    for (const auto& write : tracked.unsynced) apply(tracked.durable, write, write.data.size());
    tracked.unsynced.clear();
    return real(file)->pMethods->xSync(real(file), flags);
  }
  static int fileSize(sqlite3_file* file, sqlite3_int64* size) {
    return real(file)->pMethods->xFileSize(real(file), size);
  }
  static int lock(sqlite3_file* file, int level) {
    return real(file)->pMethods->xLock(real(file), level);
  }
  static int unlock(sqlite3_file* file, int level) {
    return real(file)->pMethods->xUnlock(real(file), level);
  }
  static int checkReservedLock(sqlite3_file* file, int* out) {
    return real(file)->pMethods->xCheckReservedLock(real(file), out);
  }
  static int fileControl(sqlite3_file* file, int op, void* arg) {
    return real(file)->pMethods->xFileControl(real(file), op, arg);
  }
  static int sectorSize(sqlite3_file* file) {
    return real(file)->pMethods->xSectorSize(real(file));
  }
  static int deviceCharacteristics(sqlite3_file* file) {
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags,
                  int* outFlags) {
    static const sqlite3_io_methods kMethods = [] {
      sqlite3_io_methods methods{};
      methods.iVersion = 1;
      methods.xClose = close;
      methods.xRead = read;
      methods.xWrite = write;
      methods.xTruncate = truncate;
      methods.xSync = sync;
      methods.xFileSize = fileSize;
      methods.xLock = lock;
      methods.xUnlock = unlock;
      methods.xCheckReservedLock = checkReservedLock;
      methods.xFileControl = fileControl;
      methods.xSectorSize = sectorSize;
      methods.xDeviceCharacteristics = deviceCharacteristics;
      return methods;
    }();
    auto* made = reinterpret_cast<FaultFile*>(file);
    made->base.pMethods = nullptr;
    const int code = defaultVfs()->xOpen(defaultVfs(), path, made->real(), flags, outFlags);
    if (code != SQLITE_OK) return code;
    made->owner = static_cast<FaultVfs*>(vfs->pAppData);
    made->path = new std::string(path == nullptr ? "" : path);
    made->base.pMethods = &kMethods;
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int syncFolder) {
    auto& owner = *static_cast<FaultVfs*>(vfs->pAppData);
    std::lock_guard lock(owner.mutex_);
    owner.files_.erase(path);
    return defaultVfs()->xDelete(defaultVfs(), path, syncFolder);
  }
};

FaultVfs::FaultVfs(std::string name) : name_(std::move(name)) {
  vfs_ = new sqlite3_vfs(*defaultVfs());
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->szOsFile = static_cast<int>(sizeof(FaultFile)) + defaultVfs()->szOsFile;
  vfs_->xOpen = FaultFileMethods::open;
  vfs_->xDelete = FaultFileMethods::remove;
  if (sqlite3_vfs_register(vfs_, 0) != SQLITE_OK) throw std::runtime_error("sqlite3_vfs_register");
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(vfs_);
  delete vfs_;
}

void FaultVfs::limitSpace(std::int64_t bytes) {
  std::lock_guard lock(mutex_);
  space_ = bytes;
}

void FaultVfs::failSyncs(int count) {
  std::lock_guard lock(mutex_);
  failingSyncs_ = count;
}

int FaultVfs::syncs() {
  std::lock_guard lock(mutex_);
  return syncs_;
}

void FaultVfs::copyAfterPowerFailure(Rng& rng, const std::string& to) {
  std::lock_guard lock(mutex_);
  for (const auto& [path, tracked] : files_) {
    std::string content = tracked.durable;
    for (const auto& write : tracked.unsynced) {
      if (rng.chance(0.3)) continue;
      const bool torn = rng.chance(0.3);
      const std::size_t size = torn ? rng.below(write.data.size() + 1) : write.data.size();
      FaultFileMethods::apply(content, write, size);
    }
    const auto name = std::filesystem::path(path).filename();
    std::ofstream(std::filesystem::path(to) / name, std::ios::binary) << content;
  }
}

}  // namespace podlab::store
