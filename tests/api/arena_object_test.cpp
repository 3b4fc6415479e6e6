#include "api/arena_object.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace podlab::api {
namespace {

TEST(ArenaObject, ACopyIsOfItsOwn) {
  corev1::ConfigMap map;
  map.mutable_metadata()->set_name("a");
  (*map.mutable_data())["key"] = "value";
  const auto copy = copyOf(map);
  EXPECT_TRUE(isSame(*copy, map));
  mutableMeta(*copy).set_name("b");
  EXPECT_EQ(map.metadata().name(), "a");
  EXPECT_FALSE(isSame(*copy, map));
}

TEST(ArenaObject, GrowsBeyondWhatWasSaid) {
  const auto object = makeOnArena(corev1::ConfigMap::default_instance(), 0);
  auto& data = *static_cast<corev1::ConfigMap&>(*object).mutable_data();
  for (int i = 0; i < 1000; ++i) data[std::to_string(i)] = std::string(100, 'x');
  EXPECT_EQ(copyOf(*object)->ByteSizeLong(), object->ByteSizeLong());
}

TEST(ArenaObject, MapsAreTheSameInAnyOrder) {
  corev1::ConfigMap one;
  corev1::ConfigMap other;
  for (int i = 0; i < 100; ++i) {
    (*one.mutable_data())[std::to_string(i)] = "x";
    (*other.mutable_data())[std::to_string(99 - i)] = "x";
  }
  EXPECT_TRUE(isSame(one, other));
  (*other.mutable_data())["7"] = "y";
  EXPECT_EQ(one.ByteSizeLong(), other.ByteSizeLong());
  EXPECT_FALSE(isSame(one, other));
}

TEST(ArenaObject, WhatIsSetToItsDefaultIsNotWhatIsUnset) {
  corev1::PodSpec unset;
  corev1::PodSpec set;
  set.set_priority(0);
  EXPECT_FALSE(isSame(unset, set));
}

TEST(ArenaObject, OutlivesTheThreadThatMadeIt) {
  corev1::ConfigMap map;
  (*map.mutable_data())["key"] = std::string(5000, 'x');
  MutableObjectPtr copy;
  std::thread([&] { copy = copyOf(map); }).join();
  EXPECT_TRUE(isSame(*copy, map));
  // And ends in another one, whose blocks go on to be used.
  std::thread([&] {
    copy = nullptr;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(isSame(*copyOf(map), map));
  }).join();
}

}  // namespace
}  // namespace podlab::api
