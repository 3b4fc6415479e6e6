#pragma once
#include <asio/awaitable.hpp>

namespace podlab {

/// A coroutine on the process's one io_context. A cancelled coroutine unwinds by asio::system_error
/// (operation_aborted) from the co_await where it waits; TaskGroup swallows that at the task's
/// edge.
template <typename T = void>
using Co = asio::awaitable<T>;

}  // namespace podlab
