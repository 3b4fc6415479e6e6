// Arbitrary bytes as frames of SPDY, and as their header blocks.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <asio/io_context.hpp>

#include "sim/sim_clock.hpp"
#include "transport/memory.hpp"
#include "transport/spdy_session.hpp"

using namespace podlab;

namespace {

/// What the frames say, whatever the pieces in which their data came.
struct Told {
  std::string data;
  std::size_t control = 0;
  std::size_t ends = 0;
  bool operator==(const Told&) const = default;
};

Told readFrames(std::string_view bytes, std::size_t piece) {
  spdy::FrameReader reader;
  Told told;
  while (!bytes.empty() && reader.fault().empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (auto frame = reader.next(part)) {
      if (frame->payload.size() > std::max(piece, spdy::FrameReader::kMaxControl)) std::abort();
      if (!frame->type) told.data += frame->payload;
      told.control += frame->type ? 1 : 0;
      told.ends += frame->fin ? 1 : 0;
    }
  }
  return told;
}

void readHeaders(std::string_view bytes) {
  spdy::HeaderReader reader;
  // The first header of zlib with the dictionary, then anything.
  (void)reader.read(std::string("\x78\xf9\xe3\xc6\xa7\xc2", 6).append(bytes));
  (void)reader.read(bytes);
}

/// A session takes it and ends.
void serve(std::string_view bytes) {
  asio::io_context io;
  sim::SimClock clock(io);
  auto talk = [](Clock& time, asio::any_io_executor executor, std::string text) -> Co<void> {
    auto [client, served] = transport::makeMemoryPipe(1UL << 20);
    spdy::Session session(executor, *served, time);
    (void)co_await client->write(std::as_bytes(std::span(text)));
    client->close();
    while (auto stream = co_await session.accept()) (*stream)->finishWriting();
    co_await session.stop();
  };
  clock.run(talk(clock, io.get_executor(), std::string(bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (readFrames(bytes, bytes.size()) != readFrames(bytes, 1)) std::abort();
  readHeaders(bytes);
  serve(bytes);
  return 0;
}
