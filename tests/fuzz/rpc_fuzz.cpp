// Arbitrary bytes, and arbitrary frames, into the server's side of a connection: whatever comes, it
// neither crashes nor leaks, and it ends once the peer has gone.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "common/log.hpp"
#include "sim/sim_clock.hpp"
#include "transport/memory.hpp"
#include "transport/rpc.hpp"
#include "transport/rpc_frame.hpp"

namespace {

using namespace podlab;

Co<Status> echo(rpc::Connection&, rpc::Stream& stream) {
  while (true) {
    auto message = co_await stream.receive();
    if (!message) co_return message.status();
    Status sent = co_await stream.send(std::move(*message));
    if (!sent) co_return sent;
  }
}

Co<void> writeAll(ByteStream& stream, std::string bytes, std::size_t piece) {
  Bytes rest = std::as_bytes(std::span(bytes));
  while (!rest.empty()) {
    auto part = rest.first(std::min(piece, rest.size()));
    if (!(co_await stream.write(part))) co_return;
    rest = rest.subspan(part.size());
  }
}

Co<void> readAll(ByteStream& stream) {
  std::byte buffer[4096];
  while (co_await stream.read(buffer)) {
  }
}

/// Records of type, flags, stream and length, each followed by its payload, as frames: reaches
/// what lies behind the parser.
std::string framesOf(std::string_view records) {
  std::string out;
  while (records.size() >= 4) {
    auto type = static_cast<rpc::FrameType>(records[0] % 8);
    auto length = std::min<std::size_t>(static_cast<unsigned char>(records[3]), records.size() - 4);
    rpc::appendFrame(out, type, static_cast<std::uint8_t>(records[1]),
                     static_cast<unsigned char>(records[2]), records.substr(4, length));
    records.remove_prefix(4 + length);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  initLogging(LogLevel::kOff, LogFormat::kText, "");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  bool greet = (data[0] & 1) != 0;
  bool frames = (data[0] & 2) != 0;
  bool reads = (data[0] & 4) != 0;
  std::size_t piece = 1 + data[1];

  asio::io_context io;
  sim::SimClock clock(io);
  auto [peer, own] = transport::makeMemoryPipe(4096);
  rpc::ConnectionOptions options;
  options.window = 2048;
  options.maxMessage = 8192;
  options.maxBuffered = 16384;
  options.maxStreams = 8;
  auto connection =
      rpc::makeConnection(io.get_executor(), clock, std::move(own), true, echo, options);

  std::string bytes;
  if (greet) rpc::appendHello(bytes, {2048, 8192});
  bytes += frames ? framesOf(input.substr(2)) : std::string(input.substr(2));
  asio::co_spawn(io, writeAll(*peer, std::move(bytes), piece), asio::detached);
  if (reads) asio::co_spawn(io, readAll(*peer), asio::detached);
  clock.runUntilIdle();
  clock.advance(std::chrono::seconds(15));
  peer->close();
  clock.advance(std::chrono::minutes(1));
  // Nothing may be left that waits: closed() returns at once.
  if (sim::runInSim(clock, connection->closed()).ok()) std::abort();
  connection.reset();
  clock.runUntilIdle();
  if (clock.pendingTimers() != 0) std::abort();
  return 0;
}
