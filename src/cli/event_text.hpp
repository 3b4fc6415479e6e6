#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/time.hpp"

namespace podlab::cli {

using Events = std::vector<std::shared_ptr<const corev1::Event>>;

/// When the event was seen last.
WallTime lastSeen(const corev1::Event& event);
/// Oldest first; those of the same second in the order in which the server took them.
void sortEvents(Events& events);
/// "5m", or "2s (x3 over 5m)" for one that came several times.
std::string eventAge(const corev1::Event& event, WallTime now);
/// The message without the line ends after it.
std::string eventMessage(const corev1::Event& event);

}  // namespace podlab::cli
