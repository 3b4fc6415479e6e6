#include "api/packed.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace podlab::api {
namespace {

std::shared_ptr<corev1::ConfigMap> mapOf(const std::string& value) {
  auto map = std::make_shared<corev1::ConfigMap>();
  map->mutable_metadata()->set_name("a");
  (*map->mutable_data())["key"] = value;
  return map;
}

PackedPtr packedMap(const std::string& value) {
  return std::make_shared<const Packed>(corev1::ConfigMap::default_instance(),
                                        mapOf(value)->SerializeAsString());
}

TEST(Packed, IsOneObjectForAllWhoHaveIt) {
  const PackedPtr packed = packedMap("v");
  ObjectPtr object = packed->decode();
  ASSERT_TRUE(object);
  EXPECT_EQ(as<corev1::ConfigMap>(object).data().at("key"), "v");
  EXPECT_EQ(packed->decode(), object);
  EXPECT_EQ(Packed::of(object), packed);
  const std::weak_ptr<const google::protobuf::Message> gone = object;
  object = nullptr;
  EXPECT_TRUE(gone.expired());
  EXPECT_EQ(as<corev1::ConfigMap>(packed->decode()).data().at("key"), "v");
  // Neither keeps the other.
  EXPECT_EQ(packed.use_count(), 1);
}

TEST(Packed, PacksWhatCameDecoded) {
  const ObjectPtr object = mapOf("v");
  const PackedPtr packed = Packed::of(object);
  EXPECT_EQ(packed->bytes(), object->SerializeAsString());
  EXPECT_EQ(packed->decode()->SerializeAsString(), object->SerializeAsString());
}

TEST(Packed, TakesTheObjectThatItsWriterHas) {
  const PackedPtr packed = packedMap("v");
  auto written = mapOf("v");
  const ObjectPtr object = packed->adopt(written);
  EXPECT_EQ(object.get(), written.get());
  EXPECT_EQ(packed->decode(), object);
  EXPECT_EQ(Packed::of(object), packed);
}

TEST(Packed, AdoptedTwiceStaysWithWhoHasItStill) {
  const PackedPtr packed = packedMap("v");
  const ObjectPtr first = packed->decode();
  packed->adopt(first).reset();
  EXPECT_EQ(packed->decode(), first);
  // Another that says the same is not needed.
  EXPECT_EQ(packed->adopt(mapOf("v")), first);
}

TEST(Packed, OfDamagedBytesIsNoObject) {
  const Packed damaged(corev1::ConfigMap::default_instance(), "\x0a\x7f");
  EXPECT_EQ(damaged.decode(), nullptr);
}

TEST(Packed, IsChangedInPlaceOnlyByItsOnlyOwner) {
  ObjectPtr owned = mapOf("v");
  const auto* raw = owned.get();
  EXPECT_EQ(toChange(std::move(owned)).get(), raw);

  const ObjectPtr shared = mapOf("v");
  EXPECT_NE(toChange(shared), shared);
  // Whoever has the bytes can have the object.
  const PackedPtr packed = packedMap("v");
  ObjectPtr decoded = packed->decode();
  raw = decoded.get();
  EXPECT_NE(toChange(std::move(decoded)).get(), raw);
  // Nobody can by bytes that were made of it.
  ObjectPtr object = mapOf("v");
  const PackedPtr made = Packed::of(object);
  mutableMeta(*toChange(std::move(object))).set_name("changed");
  EXPECT_EQ(meta(*made->decode()).name(), "a");
}

TEST(ListItem, IsDecodedWhenLookedAt) {
  const PackedPtr packed = packedMap("v");
  const ListItem item = packed;
  EXPECT_EQ(item.packed(), packed);
  EXPECT_EQ(meta(*item).name(), "a");
  EXPECT_EQ(item.object(), packed->decode());
  const auto map = mapOf("w");
  const ListItem decoded = map;
  EXPECT_EQ(decoded.packed(), nullptr);
  EXPECT_EQ(decoded.object(), map);
}

}  // namespace
}  // namespace podlab::api
