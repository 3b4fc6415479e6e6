#pragma once
#include <functional>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "lab_control.pb.h"

#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::lab {

/// Answers one request of the command line.
using ControlHandler = std::function<Co<LabResponse>(LabRequest)>;

/// Serves `handler` on a unix socket that only this user may open. Runs until cancelled.
Co<Status> serveControl(std::string socketPath, ControlHandler handler);

/// Asks the lab at `socketPath` and waits for its answer; kUnavailable when no lab listens there.
Result<LabResponse> askLab(const std::string& socketPath, const LabRequest& request);

}  // namespace podlab::lab
