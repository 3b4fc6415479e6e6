#pragma once
#include <string>
#include <vector>

#include "api/object.hpp"

namespace podlab::node {

/// Where a stand-in's container finds podlab's program.
inline constexpr const char* kStandInProgram = "/mnt/podlab";

/// A port that a stand-in listens on.
struct StandInPort {
  std::string protocol;  ///< "tcp", "udp" or "sctp"
  int number = 0;
  /// Another container of the pod that declares it too and comes first: it is left to that one.
  std::string leftTo;
  bool operator==(const StandInPort&) const = default;
};

/// The ports that a container declares and those of its http and tcp probes, each once.
std::vector<StandInPort> standInPorts(const corev1::Pod& pod, const corev1::Container& container);

/// The command of the stand-in for a container. In place of an init container, which is to end, it
/// ends at once with success.
std::vector<std::string> standInCommand(const corev1::Pod& pod, const corev1::Container& container,
                                        bool init);

/// Lets the container run its stand-in instead of its own program.
void becomeStandIn(const corev1::Pod& pod, bool init, corev1::Container& container);

/// What the event about a stand-in says.
std::string standInMessage(const corev1::Pod& pod, const corev1::Container& container);

/// The process, `podlab stand-in ...` with what standInCommand() gives: listens on the ports, on
/// IPv4 and IPv6; answers HTTP requests with 200 and who it is, and other input, datagrams and
/// silent peers with that line; logs what it receives. Ends on SIGTERM.
int standInMain(int argc, char** argv);

}  // namespace podlab::node
