#pragma once
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"
#include "net/address.hpp"

namespace podlab::cli {

/// This machine's address for other nodes: on the link `underlay`, of the server's family; or, when
/// that is empty, the source address of the way to `server` ("host:port"), which is right also
/// where the first interface of every machine has the same address, as Vagrant's. kUnavailable
/// while there is no way. kInvalid names the flag.
Co<Result<net::IpAddress>> nodeAddress(std::string server, std::string underlay);

/// This machine's addresses but for loopback and link-local ones, and those of podlab's own links.
Result<std::vector<net::IpAddress>> ownAddresses();

/// Whether the cluster's pod ranges leave this machine's own networks alone; kConflict names both.
Status checkPodRanges(const std::vector<net::Cidr>& podRanges);

}  // namespace podlab::cli
