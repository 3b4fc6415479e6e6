#include "node/atomic_writer.hpp"

#include <algorithm>
#include <set>

namespace podlab::node {
namespace {

constexpr const char* kData = "..data";
constexpr const char* kNewData = "..data_tmp";

class Writer {
 public:
  Writer(Filesystem& files, const std::string& folder, const Payload& payload, WallTime now)
      : files_(files), folder_(folder), payload_(payload), now_(now) {
    for (const auto& [path, file] : payload_) names_.insert(path.substr(0, path.find('/')));
  }

  Status run() {
    std::string data = files_.readLink(in(kData)).valueOr("");
    if (data.empty() || !holds(in(data))) {
      auto written = writeData();
      if (!written.ok()) return written.status();
      data = *std::move(written);
    }
    auto entries = files_.listDirectory(folder_);
    if (!entries.ok()) return entries.status();
    const std::set<std::string> present(entries->begin(), entries->end());
    for (const auto& name : names_) {
      if (present.contains(name)) continue;
      if (Status made = files_.createSymlink(target(name), in(name)); !made.ok()) return made;
    }
    for (const auto& name : *entries) {
      Status removed;
      if (name.starts_with("..")) {
        if (name != kData && name != data) removed = files_.removeTree(in(name));
      } else if (!names_.contains(name) && files_.readLink(in(name)).valueOr("") == target(name)) {
        removed = files_.removeFile(in(name));
      }
      if (!removed.ok()) return removed;
    }
    return {};
  }

 private:
  std::string in(const std::string& name) const { return folder_ + "/" + name; }
  static std::string target(const std::string& name) { return std::string(kData) + "/" + name; }

  /// Whether the files of the payload, and no others, are in `folder`.
  bool holds(const std::string& folder) const {
    const bool same = std::ranges::all_of(payload_, [&](const auto& entry) {
      auto content = files_.readFile(folder + "/" + entry.first);
      return content.ok() && *content == entry.second.content;
    });
    return same && countFiles(folder) == payload_.size();
  }

  std::size_t countFiles(const std::string& folder) const {
    auto names = files_.listDirectory(folder);
    if (!names.ok()) return 0;
    std::size_t count = 0;
    for (const auto& name : *names) {
      const std::string path = folder + "/" + name;
      count += files_.listDirectory(path).ok() ? countFiles(path) : 1;
    }
    return count;
  }

  /// Writes a new data folder and switches to it; its name.
  Result<std::string> writeData() {
    const std::string name = freeName();
    Status status = files_.createDirectories(in(name));
    for (const auto& [path, file] : payload_) {
      const auto slash = path.rfind('/');
      if (status.ok() && slash != std::string::npos)
        status = files_.createDirectories(in(name) + "/" + path.substr(0, slash));
      if (!status.ok()) return status;
      status = files_.writeFileAtomic(in(name) + "/" + path, file.content, file.mode,
                                      /*durable=*/false);
    }
    if (status.ok()) status = files_.removeFile(in(kNewData));
    if (status.ok()) status = files_.createSymlink(name, in(kNewData));
    if (status.ok()) status = files_.rename(in(kNewData), in(kData));
    if (!status.ok()) return status;
    return name;
  }

  /// "..TIME.N", the first that is free.
  std::string freeName() const {
    const std::string time = ".." + formatTime(now_);
    int number = 0;
    while (files_.exists(in(time + "." + std::to_string(number)))) ++number;
    return time + "." + std::to_string(number);
  }

  Filesystem& files_;
  const std::string& folder_;
  const Payload& payload_;
  const WallTime now_;
  std::set<std::string> names_;  ///< at the top
};

}  // namespace

Status writePayload(Filesystem& files, const std::string& folder, const Payload& payload,
                    WallTime now) {
  return Writer(files, folder, payload, now).run();
}

bool holdsPayload(Filesystem& files, const std::string& folder) {
  return files.exists(folder + "/" + kData);
}

}  // namespace podlab::node
