#include "cli/event_text.hpp"

#include <algorithm>

#include "api/age.hpp"
#include "api/times.hpp"
#include "client/modify.hpp"

namespace podlab::cli {

WallTime lastSeen(const corev1::Event& event) {
  if (event.series().has_lastobservedtime()) {
    return api::toWallTime(event.series().lastobservedtime());
  }
  if (api::isSet(event.lasttimestamp())) return api::toWallTime(event.lasttimestamp());
  if (api::isSet(event.eventtime())) return api::toWallTime(event.eventtime());
  return api::toWallTime(event.metadata().creationtimestamp());
}

void sortEvents(Events& events) {
  std::ranges::sort(events, [](const auto& a, const auto& b) {
    const WallTime first = lastSeen(*a);
    const WallTime second = lastSeen(*b);
    return first == second ? client::isNewer(*b, a) : first < second;
  });
}

std::string eventAge(const corev1::Event& event, WallTime now) {
  std::string age = api::formatAge(now - lastSeen(event));
  if (event.count() > 1) {
    age += " (x" + std::to_string(event.count()) + " over " +
           api::formatAge(now - api::toWallTime(event.firsttimestamp())) + ")";
  }
  return age;
}

std::string eventMessage(const corev1::Event& event) {
  return event.message().substr(0, event.message().find_last_not_of('\n') + 1);
}

}  // namespace podlab::cli
