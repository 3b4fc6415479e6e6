#include "api/codec_wire.hpp"

#include <gtest/gtest.h>

#include "api/arena_object.hpp"
#include "tests/api/codec_random.hpp"

namespace podlab::api::codec {
namespace {

TEST(CodecWire, FindsAFieldWithoutDecoding) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    corev1::Pod pod;
    RandomMessage(rng, 4).fill(pod);
    const std::string bytes = bytesOf(pod);
    EXPECT_EQ(fieldIn(bytes, corev1::Pod::kMetadataFieldNumber),
              pod.has_metadata() ? bytesOf(pod.metadata()) : "");
    EXPECT_EQ(fieldIn(bytes, corev1::Pod::kSpecFieldNumber),
              pod.has_spec() ? bytesOf(pod.spec()) : "");
    EXPECT_EQ(fieldIn(bytes, corev1::Pod::kStatusFieldNumber),
              pod.has_status() ? bytesOf(pod.status()) : "");
  }
}

TEST(CodecWire, OfWhatComesTwiceTheLastCounts) {
  std::string message;
  appendField(message, 1, "a");
  appendField(message, 2, "b");
  appendField(message, 1, "c");
  EXPECT_EQ(fieldIn(message, 1), "c");
  EXPECT_EQ(fieldIn(message, 2), "b");
  EXPECT_EQ(fieldIn(message, 3), "");
  // A number is no text.
  EXPECT_EQ(fieldIn(std::string_view("\x08\x01", 2), 1), "");
}

TEST(CodecWire, WhatIsAppendedIsDecoded) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("web");
  pod.mutable_spec()->set_nodename(std::string(300, 'n'));  // its size takes two bytes
  std::string bytes;
  appendField(bytes, corev1::Pod::kMetadataFieldNumber, bytesOf(pod.metadata()));
  appendField(bytes, corev1::Pod::kSpecFieldNumber, bytesOf(pod.spec()));
  EXPECT_EQ(bytes, bytesOf(pod));
}

TEST(CodecWire, DamagedBytesHaveNoMore) {
  std::string message;
  appendField(message, 1, "whole");
  const std::string first = message;
  appendField(message, 2, "cut");
  message.pop_back();
  EXPECT_EQ(fieldIn(message, 1), "whole");
  EXPECT_EQ(fieldIn(message, 2), "");
  EXPECT_EQ(fieldIn(first + "\xff", 2), "");
}

}  // namespace
}  // namespace podlab::api::codec
