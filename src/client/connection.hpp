#pragma once
#include <functional>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"
#include "transport/rpc.hpp"

namespace podlab::client {

/// Keeps one RPC connection to an address: dials again whenever it is lost, after a delay that
/// doubles from minBackoff to maxBackoff (of which a random half is taken off, so that a thousand
/// clients of a restarted server do not come at once) and starts over once a connection has lasted
/// maxBackoff.
class ReconnectingConnection {
 public:
  struct Options {
    std::string address;
    rpc::Handler handler = nullptr;  ///< serves the streams that the peer opens
    /// Runs on each new connection before anybody else gets it, e.g. to register with the peer;
    /// when it fails the connection is dropped and dialled again.
    std::function<Co<Status>(rpc::Connection&)> onConnect = nullptr;
    rpc::ConnectionOptions rpc;
    Duration minBackoff = std::chrono::milliseconds(100);
    Duration maxBackoff = std::chrono::seconds(5);
  };

  /// What is given by reference must outlive stop().
  ReconnectingConnection(asio::any_io_executor executor, Clock& clock, Rng& rng, Dialer& dialer,
                         Options options);
  ~ReconnectingConnection();

  void start();
  /// Closes, and waits until no handler runs. To be awaited before destruction, once started.
  Co<void> stop();

  /// nullptr while there is none.
  std::shared_ptr<rpc::Connection> current() const;
  /// The current connection, or the next one; kUnavailable, with the last failure, at `deadline`.
  Co<Result<std::shared_ptr<rpc::Connection>>> get(MonoTime deadline);
  /// Why there is no connection; OK while there is one.
  Status lastError() const;
  const std::string& address() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::client
