#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "net/address.hpp"

namespace podlab::net {

/// Which pod has which address of this node's ranges. A pod gets one of each range and keeps it
/// until it is released. Addresses rotate: one that came free is used again only after all others.
/// Of each range the first address (the overlay's), the second (the bridge's) and the last
/// (broadcast) are not given; of a large IPv6 range only the first 2^32.
///
/// Kept in one file, durable before allocate() returns; calls of several threads share a write.
/// Blocking, thread-safe.
class Ipam {
 public:
  /// Reads the file when there is one; pods that have addresses outside of `ranges` are forgotten.
  /// `filesystem` must outlive it.
  static Result<std::unique_ptr<Ipam>> open(Filesystem& filesystem, std::string path,
                                            std::vector<Cidr> ranges);

  /// The pod's addresses, one for each range in their order: those that it has, or new ones.
  /// kExhausted names the range.
  Result<std::vector<IpAddress>> allocate(const std::string& podUid);
  /// Gives them back; unknown is OK.
  Status release(const std::string& podUid);
  /// Empty when the pod has none.
  std::vector<IpAddress> find(const std::string& podUid) const;
  std::vector<std::string> owners() const;  ///< pods that have addresses
  const std::vector<Cidr>& ranges() const { return ranges_; }

  /// Called after each release that made an address free, on the thread of release(): a pod that
  /// waits for one can try again.
  void onRelease(std::function<void()> listener);

 private:
  Ipam(Filesystem& filesystem, std::string path, std::vector<Cidr> ranges);
  Status load(const std::string& text);
  std::string serialize() const;
  void forget(const std::string& podUid);
  Status persist(std::unique_lock<std::mutex>& lock);

  Filesystem& filesystem_;
  const std::string path_;
  const std::vector<Cidr> ranges_;
  mutable std::mutex mutex_;
  std::condition_variable written_;
  std::map<std::string, std::vector<IpAddress>> pods_;
  std::set<IpAddress> used_;
  std::vector<std::uint64_t> cursor_;  // offset where the next search begins, for each range
  std::uint64_t version_ = 0;
  std::uint64_t durableVersion_ = 0;
  bool writing_ = false;
  std::function<void()> listener_;
};

}  // namespace podlab::net
