#include "node/stop_signal.hpp"

#include <signal.h>
#include <string.h>

#include <charconv>
#include <optional>
#include <tuple>
#include <utility>

namespace podlab::node {
namespace {

std::optional<int> numberOf(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

int stopSignalOf(std::string_view name) {
  if (const auto number = numberOf(name); number && *number > 0 && *number < NSIG) return *number;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  // Names that glibc knows under another one.
  for (const auto& [alias, known] : {std::pair<std::string_view, std::string_view>{"IO", "POLL"},
                                     {"IOT", "ABRT"},
                                     {"CLD", "CHLD"}}) {
    if (name == alias) name = known;
  }
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  for (const auto& [prefix, base, sign] :
       {std::tuple<std::string_view, int, int>{"RTMIN+", SIGRTMIN, 1}, {"RTMAX-", SIGRTMAX, -1}}) {
    if (!name.starts_with(prefix)) continue;
    const auto offset = numberOf(name.substr(prefix.size()));
    if (offset && *offset >= 0 && *offset <= SIGRTMAX - SIGRTMIN) return base + sign * *offset;
  }
  if (name == "RTMIN") return SIGRTMIN;
  if (name == "RTMAX") return SIGRTMAX;
  return SIGTERM;
}

}  // namespace podlab::node
