#pragma once
#include <sys/types.h>

#include <functional>
#include <string>

#include "cli/context.hpp"
#include "common/filesystem.hpp"
#include "common/time.hpp"
#include "lab/cluster_config.hpp"
#include "lab/control.hpp"

namespace podlab::cli {

/// The host's own networks: addresses and routes of its links, which pods must not shadow.
Result<std::vector<lab::HostNetwork>> hostNetworks();

/// Starts the lab whose cluster file is in its state folder, in namespaces of its own, with its API
/// on the host's loopback (the port that it had, when free). Returns once the lab's first process,
/// a child of this one, runs: its pid.
Result<pid_t> launchLab(const Context& context, const lab::LabPaths& paths);

/// Waits, in steps of a few milliseconds, for what another process does: kDone once it holds,
/// kFailed after `patience`, or kInterrupted.
int waitUntil(const std::function<bool()>& holds, Duration patience);

/// Waits until the lab or server answers, on a slow host up to a minute; kFailed at once when
/// `process`, its first and a child of this one (-1: another's), has ended. The other codes are
/// waitUntil's.
int waitForAnswer(const lab::LabPaths& paths, pid_t process, Result<lab::LabResponse>& answer);

/// What the log of a process ends with, or that it is empty.
std::string endOfLog(Filesystem& files, const std::string& log);

/// Starts `podlab server` for machines of their own, in the background, at this address
/// (--advertise; "": as it finds it), and waits until it answers. What it is to know is in its
/// folder already.
Status launchServer(const Context& context, const lab::LabPaths& paths,
                    const std::string& advertise);

}  // namespace podlab::cli
