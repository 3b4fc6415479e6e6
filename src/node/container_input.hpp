#pragma once
#include <memory>

#include <asio/any_io_executor.hpp>

#include "node/container_runtime.hpp"
#include "node/shim_state.hpp"

namespace podlab::node {

/// The stdin or terminal of a running container, taken from its shim (kShimInput in shim.hpp) by
/// pidfd_getfd(2), so that it outlives agents and costs nothing until somebody attaches. kNotFound
/// when the shim has none, or not any more; kUnavailable where the kernel refuses.
Result<std::unique_ptr<ContainerInput>> openContainerInput(const asio::any_io_executor& executor,
                                                           const ProcessIdentity& shim);

}  // namespace podlab::node
