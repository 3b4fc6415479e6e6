#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "api/selectors.hpp"
#include "cli/reach_ports.hpp"
#include "common/status.hpp"
#include "net/address.hpp"
#include "net/reach.hpp"

namespace podlab::cli {

/// Who sends, or is probed.
struct ReachEnd {
  enum class Kind : std::uint8_t { kPod, kNode, kOutside };
  Kind kind = Kind::kPod;
  std::string ns;
  std::string name;  ///< of a pod or node
  std::string node;  ///< where it is; empty outside
  std::shared_ptr<const corev1::Pod> pod;
  std::vector<net::IpAddress> addresses;     ///< at most one a family
  std::vector<net::IpAddress> otherSources;  ///< of a node: addresses besides, from which it sends
  std::vector<net::IpAddress> underlay;      ///< addresses of its node there
  std::vector<net::ReachPort> declared;      ///< ports of its containers, by TCP and UDP
  std::vector<net::ReachPort> ports;         ///< at which it is probed
  bool sends = false;
  bool receives = false;

  /// "demo/web", "node:node1", "192.0.2.7".
  std::string toString() const;
};

/// Words that choose ends, of --from and --to and of expectation files:
///   web-*  demo/web-*       pods by name, with wildcards
///   app=web  demo:app=web   pods by labels (kubectl's -l)
///   on:node1                pods by node
///   node:node1  node:*      nodes themselves
///   192.0.2.7  192.0.2.7:80  [2001:db8::7]:80  192.0.2.0/24   addresses outside of the cluster
class ReachPattern {
 public:
  /// A pod's name without a namespace is meant in `ns` ("": in every one). kBadRequest says what is
  /// wrong and what would be right.
  static Result<ReachPattern> parse(std::string_view text, const std::string& ns);

  bool matches(const ReachEnd& end) const;
  const std::string& text() const { return text_; }
  /// Of one address outside, which is probed though nothing lists it.
  const std::optional<net::IpAddress>& address() const { return address_; }
  std::uint16_t port() const { return port_; }  ///< behind the address; 0: none

 private:
  Status parseAddress(std::string_view text);

  std::string text_;
  ReachEnd::Kind kind_ = ReachEnd::Kind::kPod;
  std::string ns_;    ///< with wildcards; empty: any
  std::string name_;  ///< with wildcards; empty: any
  std::string node_;  ///< with wildcards; empty: any
  std::optional<api::LabelSelector> labels_;
  std::optional<net::IpAddress> address_;
  std::optional<net::Cidr> range_;
  std::uint16_t port_ = 0;
};

/// What chooses the ends.
struct ReachSelection {
  std::string ns;      ///< empty: all namespaces
  std::string labels;  ///< of the pods where `from` or `to` is empty
  std::vector<std::string> from;
  std::vector<std::string> to;
  ReachPortChoice ports;
};

/// The ends of a run: running pods with an address of their own, nodes and addresses outside. Pods
/// that a name without wildcards means and that cannot take part are errors that say why, as are
/// words that choose nothing.
Result<std::vector<ReachEnd>> selectReachEnds(
    const ReachSelection& selection, const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
    const std::vector<std::shared_ptr<const corev1::Node>>& nodes);

}  // namespace podlab::cli
