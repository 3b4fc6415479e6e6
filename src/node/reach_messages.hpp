#pragma once
#include <vector>

#include "agent_rpc.pb.h"

#include "net/address.hpp"
#include "net/reach.hpp"

/// What the messages about reach hold, as both of their sides have it.
namespace podlab::node {

net::ProbeKey keyOf(const rpc::ProbeKey& key);
void setKey(rpc::ProbeKey& to, const net::ProbeKey& key);
/// Without what is no address.
std::vector<net::IpAddress> addressesOf(
    const google::protobuf::RepeatedPtrField<std::string>& texts);

}  // namespace podlab::node
