#pragma once
#include <string_view>

namespace podlab::node {

/// The signal that an image's StopSignal names: "SIGINT", "INT", "2", "SIGRTMIN+3"; SIGTERM when it
/// names none.
int stopSignalOf(std::string_view name);

}  // namespace podlab::node
