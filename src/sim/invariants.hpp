#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/api.hpp"
#include "common/time.hpp"
#include "sim/sim_disk.hpp"
#include "store/store.hpp"

namespace podlab::sim {

/// What must hold of a cluster whatever happens to it, checked on everything that is written to the
/// server's disk, as it is written:
///  - revisions grow, by one;
///  - a pod is bound once, and stays on its node; its node exists at that moment;
///  - what bound pods ask for fits into their node;
///  - no two pods that have not finished have the same address, no two nodes the same range, and a
///    node keeps its range;
///  - what was acknowledged is there when the server has died and come back;
///  - a watch shows each change once, in order, without a gap;
///  - who must leave a node that is away is being deleted soon after its toleration is over;
///  - nobody writes the same object over and over.
class Invariants {
 public:
  Invariants(const Clock& clock, SimDisk& disk);

  /// Looks at all that is written until it is cancelled.
  Co<void> follow();
  /// Follows the pods over `api`, whose watches may break, and compares them with the disk. Until
  /// cancelled. follow() runs.
  Co<void> auditWatch(api::Api& api, Clock& clock);
  /// A server comes back, and has written nothing yet.
  Co<void> checkAcknowledged();
  /// While the server has been at work for so long.
  void checkEvictions(Duration serverUpFor);
  /// Of a cluster to which nothing has happened for a while.
  void checkQuiet();

  void report(std::string what);
  /// The first ones.
  const std::vector<std::string>& violations() const { return violations_; }
  /// Writes go on and on: time hardly moves any more.
  bool isSpinning() const { return spinning_; }
  std::uint64_t changes() const { return changes_; }
  std::uint64_t audited() const { return audited_; }

 private:
  struct Pod {
    std::string uid, node;  ///< empty node: not bound
    std::int64_t milliCpu = 0, memory = 0;
    std::vector<std::string> addresses;
    std::vector<corev1::Toleration> tolerations;
    bool finished = false, deleting = false, takesRoom = false;
  };
  struct Node {
    std::string uid;
    std::vector<std::string> ranges;
    std::int64_t milliCpu = 0, memory = 0, pods = 0;
    std::int64_t usedCpu = 0, usedMemory = 0, usedPods = 0;
    std::vector<corev1::Taint> taints;
    bool known = false, ready = false, schedulable = false;
  };
  struct Written {
    store::Revision revision = 0;
    bool present = false;
    MonoTime countedFrom = {};
    int count = 0;  ///< of writes since
  };
  struct PodChange {
    store::Revision revision;
    std::string key;
    api::EventType type;
  };

  void see(const store::Event& event);
  void countWrite(const std::string& key, Written& written);
  void seePod(const std::string& key, const store::Event& event);
  void seeNode(const std::string& name, const store::Event& event);
  void leave(Pod& pod, const std::string& key);
  void takeRoom(const std::string& key, Pod& pod);
  void takeAddresses(const std::string& key, Pod& pod, std::vector<std::string> addresses);
  Co<Status> auditOnce(api::Api& api, std::string& after);
  void audit(const api::WatchEvent& event);

  const Clock& clock_;
  SimDisk& disk_;
  store::Revision revision_ = 0;
  std::map<std::string, Written> written_;  ///< the last of each key
  std::map<std::string, Pod> pods_;         ///< by key
  std::map<std::string, Node> nodes_;
  std::unordered_map<std::string, std::string> podByAddress_;
  std::map<std::string, std::string> nodeByRange_;
  std::deque<PodChange> unaudited_;
  bool auditing_ = false;
  bool spinning_ = false;
  std::uint64_t changes_ = 0;
  std::uint64_t audited_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace podlab::sim
