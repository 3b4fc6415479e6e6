#include "node/container_id.hpp"

#include <charconv>

namespace podlab::node {

std::string ContainerId::toString() const {
  std::string text;
  text.reserve(podUid.size() + name.size() + 8);
  text.append(podUid).append(1, '_').append(name).append(1, '_');
  return text += std::to_string(attempt);
}

std::optional<ContainerId> ContainerId::parse(std::string_view text) {
  constexpr std::string_view kSchemeEnd = "://";
  if (const auto scheme = text.find(kSchemeEnd); scheme != std::string_view::npos)
    text.remove_prefix(scheme + kSchemeEnd.size());
  const auto first = text.find('_');
  const auto last = text.rfind('_');
  if (first == last) return std::nullopt;
  ContainerId id{std::string(text.substr(0, first)),
                 std::string(text.substr(first + 1, last - first - 1))};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + last + 1, end, id.attempt);
  if (parsed.ec != std::errc() || parsed.ptr != end || id.attempt < 0) return std::nullopt;
  return id;
}

}  // namespace podlab::node
