#pragma once
#include <cstdint>
#include <memory>

#include "common/co.hpp"
#include "net/address.hpp"
#include "node/dataplane.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::node {

/// Opens TCP connections from inside a pod's network namespace.
class PodDialer {
 public:
  virtual ~PodDialer() = default;
  virtual Co<Result<std::unique_ptr<ByteStream>>> dial(SandboxNamespaces pod,
                                                       net::IpAddress address,
                                                       std::uint16_t port) = 0;
};

}  // namespace podlab::node
