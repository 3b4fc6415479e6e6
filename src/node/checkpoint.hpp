#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node_records.pb.h"

#include "common/filesystem.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// Where a pod's files are: STATE/pods/UID/...
class PodFolder {
 public:
  /// The folder of all of them.
  static std::string parent(const std::string& stateFolder) { return stateFolder + "/pods"; }

  PodFolder(const std::string& stateFolder, const std::string& uid)
      : root_(parent(stateFolder) + "/" + uid) {}

  const std::string& root() const { return root_; }
  std::string record() const { return root_ + "/record"; }
  std::string log(const std::string& container, int attempt) const {
    return root_ + "/" + container + "." + std::to_string(attempt) + ".log";
  }
  std::string terminationMessage(const std::string& container, int attempt) const {
    return root_ + "/" + container + "." + std::to_string(attempt) + ".end";
  }

 private:
  std::string root_;
};

/// The records that let an agent find its pods again. File format: "podlab2\n", 16 hexadecimal
/// digits of the content's hash (fnv1aOfWords), "\n", the message. Records are not fsynced: they
/// must survive the death of the agent, which the page cache does; after a crash of the machine no
/// container is left that a record could describe, and a torn one is set aside.
class CheckpointStore {
 public:
  CheckpointStore(Filesystem& files, std::string stateFolder);

  /// `record`: a PodRecord in the wire format. Nothing is written when its hash is `saved`, which
  /// it is afterwards.
  Status savePod(const std::string& uid, const std::string& record, std::uint64_t& saved);
  /// Removes the pod's folder with all that is in it.
  Status removePod(const std::string& uid);

  struct Loaded {
    std::vector<records::PodRecord> pods;
    std::vector<std::string> unreadable;  ///< uids of pod folders without a usable record
  };
  /// A corrupted record is logged and set aside as "record.corrupt".
  Loaded loadPods();

  Status saveNode(const records::NodeRecord& record);
  std::optional<records::NodeRecord> loadNode();

 private:
  Status save(const std::string& path, const std::string& content, std::uint64_t hash);
  /// False when absent or corrupted (then set aside).
  bool load(const std::string& path, google::protobuf::MessageLite& message);

  Filesystem& files_;
  std::string stateFolder_;
};

}  // namespace podlab::node
