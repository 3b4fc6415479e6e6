#include "node/until_done.hpp"

#include <algorithm>
#include <chrono>

#include "common/log.hpp"

namespace podlab::node {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(200);
constexpr Duration kLongestPause = std::chrono::seconds(30);

}  // namespace

Co<void> untilDone(Clock& clock, std::string what, std::string pod,
                   std::function<Co<Status>()> step) {
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    Status status = co_await step();
    if (status.ok()) co_return;
    logWarning(what, {{"pod", pod}, {"error", status}});
    co_await clock.sleepFor(pause);
  }
}

}  // namespace podlab::node
