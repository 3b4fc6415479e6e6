#pragma once
#include <functional>
#include <memory>

#include <asio/io_context.hpp>

#include "api/api.hpp"
#include "cli/context.hpp"
#include "client/connection.hpp"
#include "client/remote_api.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"

namespace podlab::cli {

/// A command's connection to the lab's server, as its administrator.
struct Session {
  const Context& context;
  asio::io_context& io;
  Clock& clock;
  Rng& rng;
  client::ReconnectingConnection& connection;
  api::Api& api;
};

constexpr int kInterrupted = 130;

/// Runs `command` with a connection to the lab that `context` names; its result is the exit code. A
/// lab that does not exist or does not run is an error that says so. Ctrl-C ends the command with
/// 130.
int withSession(const Context& context, const std::function<Co<int>(Session&)>& command);

/// Without a lab: runs `command` on an io_context of its own. Ctrl-C ends it likewise.
int runCoroutine(const std::function<Co<int>(asio::io_context&, Clock&)>& command);

}  // namespace podlab::cli
