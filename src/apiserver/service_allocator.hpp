#pragma once
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core_v1_services.pb.h"

#include "apiserver/watch_cache.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"

namespace podlab::apiserver {

/// A range from which services have their addresses: "10.96.0.0/16" or "fd00:10:96::/112". Of a
/// large one the first 65,534 are used.
class ServiceRange {
 public:
  /// kInvalid for what is no range, or has no room for an address.
  static Result<ServiceRange> parse(std::string_view text);

  std::string_view family() const { return v6_ ? "IPv6" : "IPv4"; }
  const std::string& text() const { return text_; }
  bool contains(const std::string& address) const;
  std::uint32_t size() const { return size_; }
  /// The address at `index` in [0, size).
  std::string at(std::uint32_t index) const;

 private:
  std::string text_;
  bool v6_ = false;
  int prefix_ = 0;
  std::string network_;
  std::uint32_t size_ = 0;
};

/// Gives services their addresses and node ports: no two services have the same (upstream:
/// pkg/registry/core/service/storage/alloc.go).
class ServiceAllocator {
 public:
  ServiceAllocator(WatchCache& cache, Rng& rng, std::vector<ServiceRange> ranges)
      : cache_(cache), rng_(rng), ranges_(std::move(ranges)) {}

  /// Keeps for a service what it got until that can be seen in the cache, which is when the write
  /// has returned.
  using Hold = std::shared_ptr<void>;

  /// Fills in what `service` wants and lacks. `before` is null for a new one. kInvalid names what
  /// is taken, out of range, or used up.
  Result<Hold> complete(corev1::Service& service, const corev1::Service* before);

 private:
  struct Taken {
    std::set<std::string> addresses;
    std::set<std::pair<std::int32_t, std::string>> ports;  ///< with the protocol

    void merge(Taken other);
  };

  static Taken usedBy(const corev1::Service& service);

  Taken takenByOthers(const corev1::Service& service) const;
  void chooseFamilies(corev1::Service& service, std::vector<Cause>& causes) const;
  void completeAddresses(corev1::Service& service, const Taken& taken, std::vector<Cause>& causes);
  void completePorts(corev1::Service& service, const Taken& taken, std::vector<Cause>& causes);
  const ServiceRange* rangeOf(std::string_view family) const;

  WatchCache& cache_;
  Rng& rng_;
  const std::vector<ServiceRange> ranges_;  ///< the first is the default family
  Taken held_;
};

}  // namespace podlab::apiserver
