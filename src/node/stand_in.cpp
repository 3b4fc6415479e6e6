#include "node/stand_in.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

namespace podlab::node {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void add(std::vector<StandInPort>& ports, std::string protocol, int number) {
  const bool known = std::ranges::any_of(ports, [&](const StandInPort& port) {
    return port.protocol == protocol && port.number == number;
  });
  if (!known && number > 0 && number < 65536) ports.push_back({std::move(protocol), number, ""});
}

void addProbe(std::vector<StandInPort>& ports, const corev1::Container& container,
              const corev1::Probe& probe) {
  const auto& handler = probe.handler();
  const auto addPort = [&](const auto& action) {
    if (!action.host().empty()) return;
    if (action.port().type() == 0) return add(ports, "tcp", action.port().intval());
    for (const auto& port : container.ports()) {
      if (port.name() == action.port().strval()) add(ports, "tcp", port.containerport());
    }
  };
  if (handler.has_httpget()) addPort(handler.httpget());
  if (handler.has_tcpsocket()) addPort(handler.tcpsocket());
}

std::vector<StandInPort> ownPorts(const corev1::Container& container) {
  std::vector<StandInPort> ports;
  for (const auto& port : container.ports())
    add(ports, port.protocol().empty() ? "tcp" : lower(port.protocol()), port.containerport());
  addProbe(ports, container, container.startupprobe());
  addProbe(ports, container, container.readinessprobe());
  addProbe(ports, container, container.livenessprobe());
  return ports;
}

/// The containers that run beside each other, in the order of their start.
std::vector<const corev1::Container*> lastingContainers(const corev1::PodSpec& spec) {
  std::vector<const corev1::Container*> containers;
  for (const auto& container : spec.initcontainers()) {
    if (container.restartpolicy() == "Always") containers.push_back(&container);
  }
  for (const auto& container : spec.containers()) containers.push_back(&container);
  return containers;
}

}  // namespace

std::vector<StandInPort> standInPorts(const corev1::Pod& pod, const corev1::Container& container) {
  auto ports = ownPorts(container);
  for (const auto* other : lastingContainers(pod.spec())) {
    if (other->name() == container.name()) break;
    for (const auto& taken : ownPorts(*other)) {
      for (auto& port : ports) {
        if (port.protocol == taken.protocol && port.number == taken.number && port.leftTo.empty())
          port.leftTo = other->name();
      }
    }
  }
  return ports;
}

std::vector<std::string> standInCommand(const corev1::Pod& pod, const corev1::Container& container,
                                        bool init) {
  std::vector<std::string> command{
      kStandInProgram, "stand-in",
      "stand-in pod=" + pod.metadata().name() + " namespace=" + pod.metadata().namespace_() +
          " container=" + container.name() + " node=" + pod.spec().nodename() +
          " image=" + container.image()};
  if (init && container.restartpolicy() != "Always") {
    command.emplace_back("--end");
    return command;
  }
  for (const auto& port : standInPorts(pod, container)) {
    command.push_back(port.protocol + ":" + std::to_string(port.number) +
                      (port.leftTo.empty() ? "" : ":" + port.leftTo));
  }
  return command;
}

void becomeStandIn(const corev1::Pod& pod, bool init, corev1::Container& container) {
  const auto command = standInCommand(pod, container, init);
  container.mutable_command()->Assign(command.begin(), command.end());
  container.clear_args();
  container.clear_workingdir();
}

std::string standInMessage(const corev1::Pod& pod, const corev1::Container& container) {
  std::string listens;
  std::string left;
  for (const auto& port : standInPorts(pod, container)) {
    const std::string text = std::to_string(port.number) + "/" + port.protocol;
    if (port.leftTo.empty()) {
      listens += (listens.empty() ? "" : ", ") + text;
    } else {
      left += "; " + text + " is left to container " + port.leftTo;
    }
  }
  return "Image \"" + container.image() + "\" is not on this host: a stand-in takes the place of " +
         "container " + container.name() + ", and listens on " +
         (listens.empty() ? "no port" : listens) + left;
}

}  // namespace podlab::node
