#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "networking_v1.pb.h"

#include "policy/protocol.hpp"

namespace podlab::policy {

/// One end of a connection.
struct Endpoint {
  enum class Kind : std::uint8_t {
    kPod,
    kNode,    ///< what runs on a node's own network, pods with hostNetwork among it
    kOutside  ///< of the cluster
  };
  Kind kind = Kind::kOutside;
  std::string name;        ///< "namespace/name" of a pod, or the node's
  net::IpAddress address;  ///< by which the other end knows it

  static Endpoint pod(std::string key, net::IpAddress address) {
    return {Kind::kPod, std::move(key), address};
  }
  static Endpoint node(std::string name, net::IpAddress address) {
    return {Kind::kNode, std::move(name), address};
  }
  static Endpoint outside(net::IpAddress address) { return {Kind::kOutside, "", address}; }
  /// "default/web", "node node1", "192.0.2.7".
  std::string toString() const;
};

/// Whether one may open a connection to the other, and why.
struct Verdict {
  bool allowed = true;
  std::string reason;  ///< in one sentence, without its full stop
  /// Whose side has decided; nullopt where no policy has a say.
  std::optional<Direction> direction = {};
  /// The one that admits it, or all that isolate the pod: "namespace/name".
  std::vector<std::string> policies = {};
  std::optional<int> rule = {};  ///< spec.ingress[rule] or spec.egress[rule] of the one that admits
};

/// Who should reach whom, from the objects alone and without a packet: the definition of
/// networking.k8s.io/v1 NetworkPolicy (staging/src/k8s.io/api/networking/v1/types.go), as plainly
/// as it can be written. The oracle for what nodes enforce (rules.hpp), with which it shares
/// nothing but selectors.
class Model {
 public:
  Model(std::vector<std::shared_ptr<const corev1::Pod>> pods,
        std::vector<std::shared_ptr<const corev1::Namespace>> namespaces,
        const std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>>& policies);

  /// Of a new connection, or a datagram or echo that answers none; its replies follow it. `port` is
  /// the target's. A pod that is not known, or has finished, is judged by its address alone.
  Verdict judge(const Endpoint& from, const Endpoint& to, Protocol protocol,
                std::uint16_t port) const;

 private:
  struct Peer;
  struct Rule;
  struct Policy;

  const corev1::Pod* find(const Endpoint& endpoint) const;
  Endpoint resolve(const Endpoint& endpoint) const;
  Verdict judgeResolved(const Endpoint& from, const Endpoint& to, Protocol protocol,
                        std::uint16_t port) const;
  /// What policies say about `pod`, whose other end is `peer`.
  Verdict judgeSide(Direction direction, const corev1::Pod& pod, const Endpoint& self,
                    const Endpoint& peer, const Endpoint& to, Protocol protocol,
                    std::uint16_t port) const;
  bool admitsPeer(const Peer& peer, const std::string& ns, const Endpoint& endpoint) const;
  bool admitsPort(const networkingv1::NetworkPolicyPort& wanted, const Endpoint& to,
                  Protocol protocol, std::uint16_t port) const;

  std::unordered_map<std::string, std::shared_ptr<const corev1::Pod>> pods_;
  std::map<std::string, std::shared_ptr<const corev1::Namespace>> namespaces_;
  std::vector<std::shared_ptr<const Policy>> policies_;
  /// Which of them isolate a pod.
  std::map<std::pair<const corev1::Pod*, Direction>, std::vector<const Policy*>> isolating_;
};

}  // namespace podlab::policy
