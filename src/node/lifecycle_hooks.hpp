#pragma once
#include <functional>
#include <string>

#include "api/object.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "node/prober.hpp"

namespace podlab::node {

/// Runs a postStart or preStop handler to its end, without a time limit (kubelet
/// pkg/kubelet/lifecycle): a command must exit with 0; of an HTTP request any answer will do. A
/// server that answers HTTPS in plain HTTP is asked again so; `fellBack` hears of it.
Co<Status> runHook(Clock& clock, Prober& prober, ProbeTarget target,
                   corev1::LifecycleHandler handler,
                   std::function<void(std::string message)> fellBack);

}  // namespace podlab::node
