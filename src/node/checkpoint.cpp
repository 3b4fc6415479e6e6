#include "node/checkpoint.hpp"

#include <charconv>
#include <iterator>
#include <string_view>

#include "common/hash.hpp"
#include "common/log.hpp"

namespace podlab::node {
namespace {

constexpr std::string_view kMagic = "podlab2\n";
constexpr std::size_t kHashLine = 17;

/// Sixteen hexadecimal digits.
std::string hashLine(std::uint64_t hash) {
  char digits[kHashLine - 1];
  const char* end = std::to_chars(std::begin(digits), std::end(digits), hash, 16).ptr;
  const auto count = static_cast<std::size_t>(end - digits);
  return std::string(sizeof digits - count, '0').append(digits, count).append(1, '\n');
}

/// The content behind a valid header; nullopt when the file is not whole.
std::optional<std::string_view> checkedContent(std::string_view file) {
  if (!file.starts_with(kMagic)) return std::nullopt;
  file.remove_prefix(kMagic.size());
  if (file.size() < kHashLine) return std::nullopt;
  auto content = file.substr(kHashLine);
  if (file.substr(0, kHashLine) != hashLine(fnv1aOfWords(content))) return std::nullopt;
  return content;
}

}  // namespace

CheckpointStore::CheckpointStore(Filesystem& files, std::string stateFolder)
    : files_(files), stateFolder_(std::move(stateFolder)) {}

Status CheckpointStore::save(const std::string& path, const std::string& content,
                             std::uint64_t hash) {
  std::string file;
  file.reserve(kMagic.size() + kHashLine + content.size());
  file.append(kMagic).append(hashLine(hash)).append(content);
  return files_.writeFileAtomic(path, file, 0600, /*durable=*/false);
}

bool CheckpointStore::load(const std::string& path, google::protobuf::MessageLite& message) {
  auto file = files_.readFile(path);
  if (file.status().is(Code::kNotFound)) return false;
  Status fault = file.status();
  if (file.ok()) {
    auto content = checkedContent(*file);
    if (content && message.ParseFromArray(content->data(), static_cast<int>(content->size())))
      return true;
    fault = Status(Code::kInternal, "hash or content does not match");
  }
  message.Clear();
  Status aside = files_.rename(path, path + ".corrupt");
  logError("record_corrupt", {{"path", path}, {"error", fault}, {"set_aside", aside}});
  return false;
}

Status CheckpointStore::savePod(const std::string& uid, const std::string& record,
                                std::uint64_t& saved) {
  const std::uint64_t hash = fnv1aOfWords(record);
  if (hash == saved) return {};
  PodFolder folder(stateFolder_, uid);
  if (!files_.exists(folder.root())) {
    if (Status made = files_.createDirectories(folder.root()); !made) return made;
  }
  Status status = save(folder.record(), record, hash);
  if (status.ok()) saved = hash;
  return status;
}

Status CheckpointStore::removePod(const std::string& uid) {
  PodFolder folder(stateFolder_, uid);
  // The record goes last: until then a restarted agent knows that something is left to remove.
  auto names = files_.listDirectory(folder.root());
  if (names.status().is(Code::kNotFound)) return {};
  if (!names.ok()) return names.status();
  for (const auto& name : *names) {
    if (name == "record") continue;
    Status removed = files_.removeTree(folder.root() + "/" + name);
    if (!removed.ok()) return removed;
  }
  return files_.removeTree(folder.root());
}

CheckpointStore::Loaded CheckpointStore::loadPods() {
  Loaded loaded;
  auto uids = files_.listDirectory(PodFolder::parent(stateFolder_));
  if (!uids.ok()) return loaded;
  for (const auto& uid : *uids) {
    records::PodRecord record;
    if (load(PodFolder(stateFolder_, uid).record(), record) &&
        record.pod().metadata().uid() == uid) {
      loaded.pods.push_back(std::move(record));
    } else {
      loaded.unreadable.push_back(uid);
    }
  }
  return loaded;
}

Status CheckpointStore::saveNode(const records::NodeRecord& record) {
  const std::string content = record.SerializeAsString();
  return save(stateFolder_ + "/node", content, fnv1aOfWords(content));
}

std::optional<records::NodeRecord> CheckpointStore::loadNode() {
  records::NodeRecord record;
  if (!load(stateFolder_ + "/node", record)) return std::nullopt;
  return record;
}

}  // namespace podlab::node
