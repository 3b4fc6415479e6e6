#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <asio.hpp>

#include "transport/byte_stream.hpp"

namespace podlab::transport {

/// What a failed call of a socket means to the caller. The calls of a cancelled coroutine throw.
inline Status socketStatus(const asio::error_code& error, bool closed, const std::string& what) {
  if (closed) return Status(Code::kCanceled, what + ": closed by this side");
  if (error == asio::error::eof) return Status(Code::kEndOfStream, what + ": end of stream");
  if (error == asio::error::operation_aborted) throw asio::system_error(error);
  return Status(Code::kUnavailable, what + ": " + error.message());
}

/// A stream over a connected socket of asio's.
template <typename Socket>
class SocketStream final : public ByteStream {
 public:
  /// `peer` is its name in logs, `identity` who is known to be there.
  SocketStream(Socket socket, std::string peer, PeerIdentity identity = {})
      : socket_(std::move(socket)), peer_(std::move(peer)), identity_(std::move(identity)) {}

  Co<Result<std::size_t>> read(MutableBytes out) override {
    if (!socket_.is_open()) co_return socketStatus({}, true, peer_);
    asio::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto buffer = asio::buffer(out.data(), out.size());
    std::size_t n = co_await socket_.async_read_some(buffer, token);
    if (error) co_return socketStatus(error, !socket_.is_open(), peer_);
    co_return n;
  }

  Co<Status> write(Bytes data) override {
    if (!socket_.is_open()) co_return socketStatus({}, true, peer_);
    asio::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto buffer = asio::buffer(data.data(), data.size());
    co_await asio::async_write(socket_, buffer, token);
    if (error) co_return socketStatus(error, !socket_.is_open(), peer_);
    co_return Status();
  }

  void close() override {
    asio::error_code ignored;
    socket_.shutdown(Socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  bool finishWriting() override {
    asio::error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    return true;
  }

  std::string peer() const override { return peer_; }
  PeerIdentity peerIdentity() const override { return identity_; }

 private:
  Socket socket_;
  std::string peer_;
  PeerIdentity identity_;
};

/// Accepts the sockets of a listening one, and makes streams of them with `makeStream`.
template <typename Protocol>
class SocketListener final : public Listener {
 public:
  using Socket = typename Protocol::socket;
  using MakeStream = std::function<std::unique_ptr<ByteStream>(Socket)>;

  SocketListener(typename Protocol::acceptor acceptor, std::string address, MakeStream makeStream)
      : acceptor_(std::move(acceptor)),
        address_(std::move(address)),
        makeStream_(std::move(makeStream)) {}

  Co<Result<std::unique_ptr<ByteStream>>> accept() override {
    while (acceptor_.is_open()) {
      asio::error_code error;
      auto token = asio::redirect_error(asio::use_awaitable, error);
      Socket socket = co_await acceptor_.async_accept(token);
      if (!error) co_return makeStream_(std::move(socket));
      // The peer gave up between its connecting and our accept.
      if (error == asio::error::connection_aborted) continue;
      co_return socketStatus(error, !acceptor_.is_open(), "accept on " + address_);
    }
    co_return socketStatus({}, true, "accept on " + address_);
  }

  std::string address() const override { return address_; }

  void close() override {
    asio::error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  typename Protocol::acceptor acceptor_;
  std::string address_;
  MakeStream makeStream_;
};

}  // namespace podlab::transport
