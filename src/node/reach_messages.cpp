#include "node/reach_messages.hpp"

namespace podlab::node {

net::ProbeKey keyOf(const rpc::ProbeKey& key) {
  return {key.from(), key.to(), static_cast<net::Family>(key.family()),
          static_cast<std::uint8_t>(key.protocol()), static_cast<std::uint16_t>(key.port())};
}

void setKey(rpc::ProbeKey& to, const net::ProbeKey& key) {
  to.set_from(key.from);
  to.set_to(key.to);
  to.set_family(static_cast<std::uint32_t>(key.family));
  to.set_protocol(key.protocol);
  to.set_port(key.port);
}

std::vector<net::IpAddress> addressesOf(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<net::IpAddress> addresses;
  for (const auto& text : texts) {
    if (auto address = net::IpAddress::parse(text)) addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace podlab::node
