#include "transport/tunnel.hpp"

#include <span>
#include <string>
#include <variant>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "common/sync.hpp"

namespace podlab::rpc {
namespace {

using namespace asio::experimental::awaitable_operators;

constexpr std::size_t kPiece = 32UL * 1024;

/// Lets the direction that has ended first wait for the other.
class Directions {
 public:
  Co<Status> ended() {
    if (--open_ == 0) changed_.notifyAll();
    while (open_ > 0) co_await changed_.wait();
    co_return Status();
  }

 private:
  int open_ = 2;
  WaitQueue changed_;
};

/// Why the other end gives up; nothing when it does not.
Co<Status> failure(Stream& stream) {
  const auto more = co_await stream.receive();
  if (!more && !more.status().is(Code::kEndOfStream)) co_return more.status();
  co_await untilCancelled();
  co_return Status();
}

Co<Status> toStream(ByteStream& bytes, Stream& stream, Directions& directions) {
  std::string piece;
  do {
    piece.resize(kPiece);
    auto got = co_await bytes.read(std::as_writable_bytes(std::span(piece)));
    if (!got && !got.status().is(Code::kEndOfStream)) co_return got.status();
    piece.resize(got ? *got : 0);
    // Who takes no more has ended the stream: why, toBytes() learns.
    if (!co_await stream.send(piece)) co_await untilCancelled();
  } while (!piece.empty());
  co_return co_await directions.ended();
}

Co<Status> toBytes(Stream& stream, ByteStream& bytes, Directions& directions) {
  for (;;) {
    auto piece = co_await stream.receive();
    if (!piece) co_return piece.status();
    if (piece->empty()) break;
    const Status written = co_await bytes.write(std::as_bytes(std::span(*piece)));
    if (!written) co_return written;
  }
  bytes.finishWriting();
  const auto end = co_await (directions.ended() || failure(stream));
  co_return std::visit([](const Status& status) { return status; }, end);
}

}  // namespace

Co<Status> tunnel(ByteStream& bytes, Stream& stream) {
  Directions directions;
  const auto end =
      co_await (toStream(bytes, stream, directions) || toBytes(stream, bytes, directions));
  co_return std::visit([](const Status& status) { return status; }, end);
}

}  // namespace podlab::rpc
