#pragma once
#include <memory>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "node/pod_dialer.hpp"

namespace podlab::node {

/// Dials by sockets that are opened inside the pod's network namespace.
std::unique_ptr<PodDialer> makeKernelPodDialer(asio::any_io_executor executor, BlockingPool& pool);

}  // namespace podlab::node
