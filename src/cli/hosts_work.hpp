#pragma once
#include <cstddef>
#include <functional>
#include <string>

#include <asio/any_io_executor.hpp>

#include "cli/context.hpp"
#include "common/co.hpp"

namespace podlab::cli {

/// Runs step(0) to step(count - 1), a dozen of them at the same time. When the caller is cancelled
/// they are, too, and end on the executor.
Co<void> forEachHost(asio::any_io_executor executor, std::size_t count,
                     std::function<Co<void>(std::size_t)> step);

/// "1 host", "2 hosts"
std::string countHosts(std::size_t count);

/// A lasting line about one host; errors are said even when podlab is to be quiet.
void tellOfHost(const Context& context, Progress& progress, const Status& status,
                const std::string& line);

}  // namespace podlab::cli
