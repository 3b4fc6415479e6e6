#pragma once
#include <functional>
#include <string>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// Runs `step`, which may be repeated, until it is OK: again after 200 ms, then ever later, up to
/// 30 s. Each failure is logged as the event `what`, about `pod`.
Co<void> untilDone(Clock& clock, std::string what, std::string pod,
                   std::function<Co<Status>()> step);

}  // namespace podlab::node
