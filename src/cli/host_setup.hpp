#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cli/ssh.hpp"
#include "common/co.hpp"
#include "common/process.hpp"
#include "common/status.hpp"
#include "lab/node_host.hpp"

namespace podlab::cli {

/// A podlab of a machine.
struct InstalledProgram {
  std::string path;
  std::string checksum;  ///< SHA-256
  bool operator==(const InstalledProgram&) const = default;
};

/// What a machine says of itself when podlab first comes there.
struct MachineFacts {
  std::string kernel;   ///< uname -s
  std::string machine;  ///< uname -m
  bool root = false;
  std::string sudo;    ///< why sudo does not work without a password; "" when it does, or need not
  std::string client;  ///< this machine's address, as that one sees it
  std::vector<InstalledProgram> programs;
};

/// From the output of lookAtMachine()'s script, in which there may be other lines, too.
MachineFacts readMachineFacts(std::string_view output);
/// Why it cannot be a node of ours, with the remedy.
Status judgeMachine(const MachineFacts& facts, const std::string& ownMachine);

/// What runs on machines, one call a step. `host` is where ssh goes.
Co<Result<MachineFacts>> lookAtMachine(const Ssh& ssh, ProcessRunner& processes,
                                       lab::NodeHost host);

/// SHA-256 of this program.
Co<Result<std::string>> ownChecksum(ProcessRunner& processes);

/// Where it is to be when it is not there yet: what a package has brought is left alone.
inline constexpr const char* kInstallPath = "/usr/local/bin/podlab";
/// The path of a podlab that is equal to ours, or "".
std::string equalProgram(const MachineFacts& facts, const std::string& checksum);
Co<Status> installProgram(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host,
                          std::string checksum);

/// podlab agent --background: "started", "restarted" or "running".
Co<Result<std::string>> startAgent(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host,
                                   std::string program, std::vector<std::string> flags,
                                   std::string token);
/// podlab agent --stop or --cleanup, if the machine is this node of the cluster whose CA has this
/// hash, or none: false for a node of another name or cluster, which is left alone.
Co<Result<bool>> endAgent(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host,
                          std::string node, std::string caHash, bool cleanup);
/// What its agent logged last, or "".
Co<std::string> lastWordsOfAgent(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host);

/// Why a command on a machine ended with an error: the last line that it said, with the remedy.
Status remoteFailure(const ProcessOutput& output);

}  // namespace podlab::cli
