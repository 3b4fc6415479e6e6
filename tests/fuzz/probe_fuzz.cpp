// Arbitrary bytes as the answers of probed servers: HTTP and gRPC.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/grpc_health.hpp"
#include "node/http_message.hpp"

using namespace podlab;
using namespace podlab::node;

namespace {

/// The same bytes in one piece and one by one are the same reply.
void readHttp(std::string_view text) {
  HttpReply whole;
  const bool wholeOk = whole.feed(text).ok();
  HttpReply pieces;
  bool piecesOk = true;
  for (const char& byte : text) piecesOk = piecesOk && pieces.feed({&byte, 1}).ok();
  if (whole.done() && wholeOk) {
    if (!piecesOk || !pieces.done() || whole.code() != pieces.code()) std::abort();
    if (whole.body() != pieces.body() || whole.body().size() > HttpReply::kMaxBody) std::abort();
  }
  (void)whole.end();
}

void readLocation(std::string_view text) {
  HttpTarget from;
  from.host = "10.0.0.1";
  from.path = "/a/b?c";
  auto to = resolveLocation(from, text);
  if (!to.ok()) return;
  // What goes into a request line holds nothing that would end it.
  if (!to->path.starts_with('/') || to->path.find_first_of(" \r\n") != std::string::npos)
    std::abort();
}

void readGrpc(std::string_view text) {
  GrpcHealthCheck check("10.0.0.1:1", "service");
  (void)check.output();
  while (!text.empty() && !check.done()) {
    const auto piece = text.substr(0, 7);
    text.remove_prefix(piece.size());
    if (!check.feed(piece).ok()) return;
    (void)check.output();
  }
  if (check.done()) (void)check.answer();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  readHttp(text);
  readLocation(text);
  readGrpc(text);
  return 0;
}
