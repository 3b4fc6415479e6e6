// Arbitrary bytes as requests of HTTP, and as queries, paths and patches of the REST API.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core_v1.pb.h"

#include "api/strategic_merge.hpp"
#include "apiserver/rest_path.hpp"
#include "transport/http_request.hpp"
#include "transport/websocket.hpp"

using namespace podlab;

namespace {

/// The same bytes in one piece and one by one are the same request.
void readRequest(std::string_view text) {
  http::RequestParser whole;
  const std::size_t taken = whole.feed(text);
  http::RequestParser pieces;
  std::size_t count = 0;
  while (count < text.size() && !pieces.done() && !pieces.fault())
    count += pieces.feed(text.substr(count, 1));
  if (whole.done() != pieces.done() || whole.fault().has_value() != pieces.fault().has_value())
    std::abort();
  if (!whole.done()) return;
  if (taken != count) std::abort();
  const http::Request request = whole.take();
  if (request.body != pieces.take().body || !request.path.starts_with('/')) std::abort();
  (void)http::parseQuery(request.query);
  (void)apiserver::parseRestPath(request.path);
}

void readPath(std::string_view text) {
  const auto path = apiserver::parseRestPath("/" + std::string(text));
  // A name never leads elsewhere.
  if (path.id.name.find('/') != std::string::npos || path.id.name == "..") std::abort();
}

/// The same bytes in one piece and one by one are the same messages.
void readWebSocket(std::string_view bytes) {
  http::WebSocketReader whole;
  const auto messages = whole.feed(bytes);
  http::WebSocketReader pieces;
  std::size_t count = 0;
  for (std::size_t i = 0; i < bytes.size() && !pieces.fault(); ++i)
    count += pieces.feed(bytes.substr(i, 1)).size();
  if (count != messages.size() || whole.fault() != pieces.fault()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  readRequest(text);
  readPath(text);
  readWebSocket(text);
  (void)http::parseQuery(text);
  (void)api::strategicMergePatch(
      R"({"metadata":{"finalizers":["a"]},"spec":{"containers":[{"name":"a","env":[{"name":"A"}]}]}})",
      text, k8s::io::api::core::v1::Pod::descriptor());
  return 0;
}
