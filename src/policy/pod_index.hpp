#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/selectors.hpp"
#include "net/address.hpp"
#include "policy/protocol.hpp"

namespace podlab::policy {

/// A declared port with a name.
struct NamedPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  std::uint16_t number = 0;
};

/// Pods that no policy can tell apart, as those of one Deployment: selectors are asked once for all
/// of them, and their labels are kept once.
struct PodClass {
  std::string ns;
  api::Labels labels;
  std::vector<NamedPort> ports;
  struct Member {
    std::vector<net::IpAddress> addresses;
    bool local = false;  ///< on this node
  };
  std::map<std::string, Member> members;  ///< by uid
  std::size_t locals = 0;
};

/// What policies ask of a pod, and nothing else of it: a fraction of its size.
api::ObjectPtr slimPod(const corev1::Pod& pod);
/// Whether two states of a pod, slim ones, differ in nothing that policies ask.
bool sameForPolicies(const corev1::Pod& a, const corev1::Pod& b);

/// The pods of a cluster, as one node's rules see them.
class PodIndex {
 public:
  PodIndex() = default;
  PodIndex(PodIndex&&) = default;
  PodIndex& operator=(PodIndex&&) = default;

  /// The pod as it is now, in place of what was known of its uid.
  void put(const corev1::Pod& pod, std::vector<net::IpAddress> addresses, bool local);
  void erase(const std::string& uid);
  std::size_t size() const { return classOf_.size(); }
  const std::map<std::string, PodClass>& classes() const { return classes_; }

 private:
  std::map<std::string, PodClass> classes_;  // by what they have in common, as text
  std::unordered_map<std::string, std::map<std::string, PodClass>::iterator> classOf_;
};

}  // namespace podlab::policy
