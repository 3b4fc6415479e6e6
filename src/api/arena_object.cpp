#include "api/arena_object.hpp"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <memory>

namespace podlab::api {
namespace {

/// How many bytes an object takes for each of its bytes in the wire format, in its arena.
constexpr std::size_t kExpansion = 8;
constexpr std::size_t kSmallest = 256;

}  // namespace

MutableObjectPtr makeOnArena(const google::protobuf::Message& prototype, std::size_t bytes) {
  google::protobuf::ArenaOptions options;
  options.start_block_size = std::max(kSmallest, bytes * kExpansion);
  const auto arena = std::make_shared<google::protobuf::Arena>(options);
  return {arena, prototype.New(arena.get())};
}

MutableObjectPtr copyOf(const google::protobuf::Message& object) {
  auto copy = makeOnArena(object, object.ByteSizeLong());
  copy->CopyFrom(object);
  return copy;
}

std::string bytesOf(const google::protobuf::Message& message) {
  std::string bytes;
  bytes.reserve(message.ByteSizeLong());
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  message.SerializeWithCachedSizes(&out);
  out.Trim();
  return bytes;
}

bool isSame(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  return a.ByteSizeLong() == b.ByteSizeLong() && bytesOf(a) == bytesOf(b);
}

}  // namespace podlab::api
