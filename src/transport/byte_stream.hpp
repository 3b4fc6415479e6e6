#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// A connected, ordered stream of bytes: TCP, TLS or an in-memory pipe. At most one read and one
/// write at a time, which may overlap. After close(), pending and later calls fail with kCanceled.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At least one byte into `out`; kEndOfStream when the peer has ended its side.
  virtual Co<Result<std::size_t>> read(MutableBytes out) = 0;
  /// All of `data`. After a cancelled or failed write the stream is of no more use.
  virtual Co<Status> write(Bytes data) = 0;
  virtual void close() = 0;
  /// Tells the peer that no more will be written: its read() ends; read() here goes on. No write()
  /// may be pending. False where the kind of stream can say so by close() only (TLS).
  virtual bool finishWriting() { return false; }
  /// For logs: "10.0.0.1:4321", "memory".
  virtual std::string peer() const = 0;
  /// The peer's verified certificate subject, empty when there is none: CN and the O values.
  struct PeerIdentity {
    std::string commonName;
    std::vector<std::string> organizations;
  };
  virtual PeerIdentity peerIdentity() const { return {}; }
};

/// Opens streams to addresses: "host:port" or "[v6]:port" for sockets, any name for memory
/// networks.
class Dialer {
 public:
  virtual ~Dialer() = default;
  virtual Co<Result<std::unique_ptr<ByteStream>>> dial(std::string address) = 0;
};

/// Accepts streams. Destroying it stops listening.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual Co<Result<std::unique_ptr<ByteStream>>> accept() = 0;
  virtual std::string address() const = 0;
  virtual void close() = 0;
};

}  // namespace podlab
