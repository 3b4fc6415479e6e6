#include "api/arena_object.hpp"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <utility>

namespace podlab::api {
namespace {

using google::protobuf::Message;

/// How many bytes an object takes for each of its bytes in the wire format, in its arena.
constexpr std::size_t kExpansion = 8;

/// Blocks of arenas that are gone, for those that come: most objects live for one request only, and
/// the general allocator looks long for pieces of their size. Of one thread.
class BlockPool {
 public:
  static constexpr std::size_t kSmallest = 512;

  ~BlockPool() {
    for (Block*& first : free_) {
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
    }
    isGone = true;
  }

  /// What a block of at least `size` bytes should take: sizes are powers of two.
  static std::size_t fit(std::size_t size) { return std::bit_ceil(std::max(size, kSmallest)); }

  static void* allocate(std::size_t size) {
    const std::size_t of = classOf(size);
    if (of == kClasses || isGone || pool.free_[of] == nullptr) return ::operator new(size);
    --pool.count_[of];
    return std::exchange(pool.free_[of], pool.free_[of]->next);
  }

  static void release(void* block, std::size_t size) {
    const std::size_t of = classOf(size);
    if (of == kClasses || isGone || pool.count_[of] == kMost) return ::operator delete(block);
    ++pool.count_[of];
    pool.free_[of] = new (block) Block{pool.free_[of]};
  }

 private:
  struct Block {
    Block* next;
  };
#if __has_feature(address_sanitizer)
  static constexpr bool kKeeps = false;  // it would not see what is used after its end
#else
  static constexpr bool kKeeps = true;
#endif
  static constexpr std::size_t kClasses = 8;  // up to 64 KiB
  static constexpr std::size_t kMost = 32;    // of a size

  /// kClasses for what is not kept.
  static std::size_t classOf(std::size_t size) {
    if (!kKeeps || !std::has_single_bit(size) || size < kSmallest) return kClasses;
    return std::min<std::size_t>(std::countr_zero(size / kSmallest), kClasses);
  }

  static thread_local BlockPool pool;
  static thread_local bool isGone;  ///< objects may outlive it at a thread's end

  std::array<Block*, kClasses> free_{};
  std::array<std::size_t, kClasses> count_{};
};

thread_local BlockPool BlockPool::pool;
thread_local bool BlockPool::isGone = false;

MutableObjectPtr makeInBlock(const Message& prototype, std::size_t size) {
  google::protobuf::ArenaOptions options;
  options.start_block_size = BlockPool::fit(size);
  options.block_alloc = BlockPool::allocate;
  options.block_dealloc = BlockPool::release;
  const auto arena = std::make_shared<google::protobuf::Arena>(options);
  return {arena, prototype.New(arena.get())};
}

/// A message whose size has just been computed.
std::string encode(const Message& message, std::size_t size) {
  std::string bytes;
  bytes.reserve(size);
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  message.SerializeWithCachedSizes(&out);
  out.Trim();
  return bytes;
}

}  // namespace

MutableObjectPtr makeOnArena(const Message& prototype, std::size_t bytes) {
  return makeInBlock(prototype, bytes * kExpansion);
}

MutableObjectPtr makeLike(const Message& object) {
  // Its size in the wire format would have to be computed.
  const auto* arena = object.GetArena();
  return makeInBlock(
      object, arena == nullptr ? object.ByteSizeLong() * kExpansion : arena->SpaceAllocated());
}

MutableObjectPtr copyOf(const Message& object) {
  auto copy = makeLike(object);
  copy->MergeFrom(object);  // CopyFrom() would look for itself in it
  return copy;
}

std::string bytesOf(const Message& message) {
  return encode(message, message.ByteSizeLong());
}

bool isSame(const Message& a, const Message& b) {
  const std::size_t size = a.ByteSizeLong();
  return size == b.ByteSizeLong() && encode(a, size) == encode(b, size);
}

}  // namespace podlab::api
