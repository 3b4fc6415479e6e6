#include "cli/reach_ends.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "net/node_network.hpp"
#include "policy/protocol.hpp"

namespace podlab::cli {
namespace {

using Kind = ReachEnd::Kind;

constexpr std::string_view kPatterns =
    "a pod (web, demo/web-*), labels (app=web, demo:app=web), on:NODE, node:NAME, or an address "
    "outside (192.0.2.7, 192.0.2.7:80)";

bool fits(const std::string& pattern, const std::string& text) {
  return pattern.empty() || ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

bool isSelector(std::string_view text) {
  return text.find_first_of("=!") != std::string_view::npos ||
         text.find(" in ") != std::string_view::npos ||
         text.find(" notin ") != std::string_view::npos;
}

/// A DNS name with wildcards.
bool isNamePattern(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           std::string_view("*?[]!").find(c) != std::string_view::npos;
  });
}

std::vector<net::ReachPort> declaredPorts(const corev1::Pod& pod) {
  std::vector<net::ReachPort> ports;
  for (const corev1::ContainerPort* port : policy::portsOf(pod)) {
    const auto protocol = policy::protocolOf(port->protocol());
    if (protocol == policy::Protocol::kSctp) continue;
    ports.push_back({static_cast<std::uint8_t>(protocol),
                     static_cast<std::uint16_t>(port->containerport()), false});
  }
  return ports;
}

ReachEnd endOf(const std::shared_ptr<const corev1::Pod>& pod) {
  ReachEnd end;
  end.ns = pod->metadata().namespace_();
  end.name = pod->metadata().name();
  end.node = pod->spec().nodename();
  end.pod = pod;
  end.addresses = policy::addressesOf(*pod);
  end.declared = declaredPorts(*pod);
  return end;
}

ReachEnd endOf(const corev1::Node& node) {
  ReachEnd end;
  end.kind = Kind::kNode;
  end.name = end.node = node.metadata().name();
  for (const auto& one : node.status().addresses()) {
    auto address = net::IpAddress::parse(one.address());
    if (one.type() == "InternalIP" && address) end.addresses.push_back(*address);
  }
  for (const auto& text : node.spec().podcidrs()) {
    const auto range = net::Cidr::parse(text);
    if (!range) continue;
    // What the kernel takes as source toward its own pods and others'.
    end.otherSources.push_back(net::NodeLayout::gateway(*range));
    end.otherSources.push_back(net::NodeLayout::overlayAddress(*range));
  }
  return end;
}

ReachEnd outsideEnd(const net::IpAddress& address) {
  ReachEnd end;
  end.kind = Kind::kOutside;
  end.addresses.push_back(address);
  return end;
}

/// Why a pod takes no part; empty when it does.
std::string obstacle(const corev1::Pod& pod) {
  const std::string& phase = pod.status().phase();
  if (pod.spec().hostnetwork()) {
    return "is on its node's network: name node:" + pod.spec().nodename();
  }
  if (pod.metadata().has_deletiontimestamp()) return "is being deleted";
  if (phase != "Running") return "is " + (phase.empty() ? "Pending" : phase) + ", not Running";
  return pod.status().podips().empty() ? "has no address yet" : "";
}

/// Chooses the ends of one side.
class Chooser {
 public:
  Chooser(const ReachSelection& selection,
          const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
          const std::vector<std::shared_ptr<const corev1::Node>>& nodes)
      : selection_(selection) {
    std::map<std::string, std::set<net::ReachPort>> hostPorts;
    for (const auto& pod : pods) {
      if (!obstacle(*pod).empty()) {
        absent_.push_back(pod);
        if (!pod->spec().hostnetwork() || pod->status().phase() != "Running") continue;
        const auto ports = declaredPorts(*pod);
        hostPorts[pod->spec().nodename()].insert(ports.begin(), ports.end());
        continue;
      }
      ends_.push_back(endOf(pod));
    }
    std::map<std::string, std::vector<net::IpAddress>> underlay;
    for (const auto& node : nodes) {
      ends_.push_back(endOf(*node));
      underlay[node->metadata().name()] = ends_.back().addresses;
      // Pods on a node's network are the node.
      const auto& ports = hostPorts[node->metadata().name()];
      ends_.back().declared.assign(ports.begin(), ports.end());
    }
    for (ReachEnd& end : ends_) end.underlay = underlay[end.node];
  }

  /// The pods that -n and -l choose.
  Status chooseDefault(bool sending) {
    auto labels = api::LabelSelector::parse(selection_.labels);
    if (!labels) return labels.status().withContext("-l \"" + selection_.labels + "\"");
    for (ReachEnd& end : ends_) {
      const bool chosen = end.kind == Kind::kPod &&
                          (selection_.ns.empty() || end.ns == selection_.ns) &&
                          labels->matches(end.pod->metadata().labels());
      if (chosen) mark(end, sending, 0);
    }
    return Status();
  }

  Status choose(const std::string& text, bool sending) {
    const std::string flag = sending ? "--from" : "--to";
    // A name means a pod of the default namespace, as with kubectl; labels are looked for in all.
    const std::string ns = selection_.ns.empty() && !isSelector(text) ? "default" : selection_.ns;
    const bool anywhere = ns.empty() || text.find_first_of("/:") != std::string::npos;
    auto pattern = ReachPattern::parse(text, ns);
    if (!pattern) return pattern.status().withContext(flag);
    bool found = false;
    for (ReachEnd& end : ends_) {
      const bool same =
          pattern->address() &&
          std::ranges::find(end.addresses, *pattern->address()) != end.addresses.end();
      if (!same && !pattern->matches(end)) continue;
      mark(end, sending, pattern->port());
      found = true;
    }
    if (found) return Status();
    if (pattern->address()) {
      if (sending) {
        return Status(Code::kBadRequest, flag + " \"" + text +
                                             "\": only pods and nodes send: it is nobody's address "
                                             "in the cluster");
      }
      ends_.push_back(outsideEnd(*pattern->address()));
      mark(ends_.back(), sending, pattern->port());
      return Status();
    }
    for (const auto& pod : absent_) {
      ReachEnd end = endOf(pod);
      if (pattern->matches(end)) {
        return Status(Code::kNotFound,
                      flag + " \"" + text + "\": pod " + end.toString() + " " + obstacle(*pod));
      }
    }
    return Status(Code::kNotFound, flag + " \"" + text + "\" chooses no running pod or node" +
                                       (anywhere ? "" : " (in namespace " + ns + ")") + ": say " +
                                       std::string(kPatterns));
  }

  std::vector<ReachEnd> take() {
    std::erase_if(ends_, [](const ReachEnd& end) { return !end.sends && !end.receives; });
    std::ranges::sort(ends_, [](const ReachEnd& a, const ReachEnd& b) {
      return std::tie(a.kind, a.ns, a.name, a.addresses) <
             std::tie(b.kind, b.ns, b.name, b.addresses);
    });
    return std::move(ends_);
  }

 private:
  void mark(ReachEnd& end, bool sending, std::uint16_t port) const {
    if (sending) {
      end.sends = true;
      return;
    }
    end.receives = true;
    for (const auto& one : selection_.ports.portsOf(end, port)) {
      if (std::ranges::find(end.ports, one) == end.ports.end()) end.ports.push_back(one);
    }
    std::ranges::sort(end.ports);
  }

  const ReachSelection& selection_;
  std::vector<ReachEnd> ends_;
  std::vector<std::shared_ptr<const corev1::Pod>> absent_;
};

}  // namespace

std::string ReachEnd::toString() const {
  if (kind == Kind::kPod) return ns + "/" + name;
  return kind == Kind::kNode ? "node:" + name : addresses.front().toString();
}

Status ReachPattern::parseAddress(std::string_view text) {
  kind_ = Kind::kOutside;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with("[")) {
    const auto parts = cutAt(text.substr(1), ']');
    if (!parts || !parts->second.starts_with(":")) {
      return Status(Code::kBadRequest, "\"" + std::string(text) +
                                           "\" is not [ADDRESS]:PORT, such as [2001:db8::7]:80");
    }
    host = parts->first;
    port = parts->second.substr(1);
  } else if (const auto parts = cutAt(text, ':'); parts && std::ranges::count(text, ':') == 1) {
    std::tie(host, port) = *parts;
  }
  auto address = net::IpAddress::parse(host);
  if (!address) return address.status();
  address_ = *address;
  if (host.size() == text.size()) return Status();
  const auto number = portNumber(port);
  if (!number) {
    return Status(Code::kBadRequest, "\"" + std::string(text) + "\": \"" + std::string(port) +
                                         "\" is not a port from 1 to 65535");
  }
  port_ = *number;
  return Status();
}

Result<ReachPattern> ReachPattern::parse(std::string_view text, const std::string& ns) {
  ReachPattern pattern;
  pattern.text_ = text;
  const auto refuse = [&](std::string_view why) {
    return Status(Code::kBadRequest, "\"" + std::string(text) + "\" " + std::string(why) +
                                         "; what would be right: " + std::string(kPatterns));
  };
  if (const auto parts = cutAt(text, '/'); parts && net::IpAddress::parse(parts->first)) {
    auto range = net::Cidr::parse(text);
    if (!range) return range.status();
    pattern.kind_ = Kind::kOutside;
    pattern.range_ = *range;
    return pattern;
  }
  const bool numeric = text.starts_with("[")
                           ? text.find("]:") != std::string_view::npos
                           : net::IpAddress::parse(text).ok() ||
                                 net::IpAddress::parse(text.substr(0, text.find(':'))).ok();
  if (numeric) {
    if (Status status = pattern.parseAddress(text); !status) return status;
    return pattern;
  }
  if (isSelector(text)) {
    pattern.ns_ = ns;
    std::string_view selector = text;
    if (const auto parts = cutAt(text, ':')) {
      pattern.ns_ = parts->first;
      selector = parts->second;
      if (!isNamePattern(parts->first)) return refuse("has no namespace before its colon");
    }
    auto labels = api::LabelSelector::parse(selector);
    if (!labels) return labels.status().withContext("\"" + std::string(text) + "\"");
    pattern.labels_ = std::move(*labels);
    return pattern;
  }
  if (const auto parts = cutAt(text, ':')) {
    const auto& [kind, name] = *parts;
    if ((kind != "node" && kind != "on") || !isNamePattern(name)) return refuse("means nothing");
    if (kind == "node") {
      pattern.kind_ = Kind::kNode;
      pattern.name_ = name;
    } else {
      pattern.node_ = name;
    }
    return pattern;
  }
  std::string_view name = text;
  // A bare * is every pod.
  pattern.ns_ = text == "*" ? "" : ns;
  if (const auto parts = cutAt(text, '/')) {
    if (!isNamePattern(parts->first)) return refuse("has no valid namespace before its slash");
    pattern.ns_ = parts->first;
    name = parts->second;
  }
  if (!isNamePattern(name)) return refuse("names no pod");
  pattern.name_ = name;
  return pattern;
}

bool ReachPattern::matches(const ReachEnd& end) const {
  if (end.kind != kind_) return false;
  switch (kind_) {
    case Kind::kPod:
      return fits(ns_, end.ns) && fits(name_, end.name) && fits(node_, end.node) &&
             (!labels_ || labels_->matches(end.pod->metadata().labels()));
    case Kind::kNode:
      return fits(name_, end.name);
    case Kind::kOutside:
      return std::ranges::any_of(end.addresses, [&](const net::IpAddress& one) {
        return address_ == one ||
               (range_ && range_->family() == one.family() && range_->contains(one));
      });
  }
  return false;
}

Result<std::vector<ReachEnd>> selectReachEnds(
    const ReachSelection& selection, const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
    const std::vector<std::shared_ptr<const corev1::Node>>& nodes) {
  Chooser chooser(selection, pods, nodes);
  for (const bool sending : {true, false}) {
    const auto& words = sending ? selection.from : selection.to;
    if (words.empty()) {
      if (Status status = chooser.chooseDefault(sending); !status) return status;
    }
    for (const auto& word : words) {
      if (Status status = chooser.choose(word, sending); !status) return status;
    }
  }
  return chooser.take();
}

}  // namespace podlab::cli
