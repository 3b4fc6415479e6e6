#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "tests/api/codec_random.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Message;

/// nullopt when the bytes are malformed.
std::optional<std::string> transcoded(const Message& prototype, std::string_view bytes,
                                      const TypeMeta& type = {}) {
  std::string text;
  JsonWriter writer(text);
  if (!transcodeJson(writer, bytes, prototype.GetDescriptor(), type)) return std::nullopt;
  return text;
}

TEST(Transcode, WritesWhatTheMessageWouldBe) {
  constexpr std::uint64_t kSeed = 20265;
  for (const Kind& kind : kinds()) {
    SeededRng rng(kSeed, std::string(kind.plural));
    const TypeMeta type{kind.apiVersion(), std::string(kind.kind)};
    for (int round = 0; round < 40; ++round) {
      const auto object = kind.make();
      RandomMessage(rng, round % 7).fill(*object);
      const std::string bytes = object->SerializeAsString();
      EXPECT_EQ(transcoded(*object, bytes, type), toJson(*object, {.type = type}))
          << kind.kind << ", seed " << kSeed << ", round " << round;
      EXPECT_EQ(transcoded(*object, bytes), toJson(*object));
    }
  }
}

// A message that is there twice is both, merged: so protobuf has it.
TEST(Transcode, PutsPiecesTogether) {
  constexpr std::uint64_t kSeed = 20266;
  for (const Kind& kind : kinds()) {
    SeededRng rng(kSeed, std::string(kind.plural));
    for (int round = 0; round < 20; ++round) {
      const auto one = kind.make();
      const auto other = kind.make();
      RandomMessage(rng, 3).fill(*one);
      RandomMessage(rng, 3).fill(*other);
      const std::string bytes = one->SerializeAsString() + other->SerializeAsString();
      ASSERT_TRUE(one->ParseFromString(bytes));
      EXPECT_EQ(transcoded(*one, bytes), toJson(*one))
          << kind.kind << ", seed " << kSeed << ", round " << round;
    }
  }
}

// Zero and empty values that other writers set all the same, and what is in no message.
TEST(Transcode, KnowsWhatCountsAsUnset) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("");
  pod.mutable_metadata()->mutable_deletiontimestamp();
  pod.mutable_metadata()->mutable_creationtimestamp()->set_seconds(0);
  pod.mutable_spec()->set_hostnetwork(false);
  pod.mutable_spec()->set_priority(0);
  pod.mutable_spec()->add_containers();
  (*pod.mutable_metadata()->mutable_labels())["a"] = "";
  std::string bytes = pod.SerializeAsString();
  bytes += "\xfa\x3e\x03xyz";           // bytes of field 1007
  bytes += "\xfb\x3e\x08\x01\xfc\x3e";  // a group of that number
  bytes += "\x08\x01";                  // metadata as a number
  EXPECT_EQ(transcoded(pod, bytes), toJson(pod));
}

TEST(Transcode, RefusesWhatIsMalformed) {
  constexpr std::uint64_t kSeed = 20267;
  const google::protobuf::LogSilencer quiet;  // of characters that are cut in two
  SeededRng rng(kSeed);
  corev1::Pod pod;
  RandomMessage(rng, 6).fill(pod);
  const std::string bytes = pod.SerializeAsString();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    corev1::Pod part;
    const std::string_view cut = std::string_view(bytes).substr(0, size);
    const bool whole = part.ParseFromArray(cut.data(), static_cast<int>(cut.size()));
    EXPECT_EQ(transcoded(pod, cut), whole ? std::optional(toJson(part)) : std::nullopt)
        << "seed " << kSeed << ", " << size << " bytes";
  }
  EXPECT_EQ(transcoded(pod, std::string(1000, '\x0b')), std::nullopt);  // groups without an end
  for (const std::string_view bad : {"\x0a\xff\xff\xff\xff\x7f", "\x02", "\x0c", "\x0f", "\xff"})
    EXPECT_EQ(transcoded(pod, bad), std::nullopt);
}

// What protobuf makes of damaged bytes, if anything, is what is written.
TEST(Transcode, ReadsDamageAsProtobufDoes) {
  constexpr std::uint64_t kSeed = 20268;
  const google::protobuf::LogSilencer quiet;
  for (const Kind& kind : kinds()) {
    SeededRng rng(kSeed, std::string(kind.plural));
    for (int round = 0; round < 50; ++round) {
      const auto object = kind.make();
      RandomMessage(rng, 2 + round % 4).fill(*object);
      std::string bytes = object->SerializeAsString();
      if (bytes.empty()) continue;
      for (auto damages = 1 + rng.below(3); damages > 0; --damages)
        bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
      const auto text = transcoded(*object, bytes);
      if (!object->ParseFromString(bytes)) continue;
      EXPECT_EQ(text, toJson(*object)) << kind.kind << ", seed " << kSeed << ", round " << round;
    }
  }
}

}  // namespace
}  // namespace podlab::api
