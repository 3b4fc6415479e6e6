#include "api/type_cache.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "api/kinds.hpp"

namespace podlab::api {
namespace {

TEST(TypeCache, TellsTypesApartWhereverTheirDescriptionsAre) {
  TypeCache<std::string> names;
  for (int round = 0; round < 3; ++round) {
    for (const Kind& kind : kinds()) {
      const auto& object = *kind.prototype;
      EXPECT_EQ(names.of(object, [&] { return object.GetTypeName(); }), object.GetTypeName());
    }
  }
}

TEST(TypeCache, AsksOnceOfATypeThatIsAskedForAgain) {
  TypeCache<int> values;
  int made = 0;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(values.of(corev1::Pod(), [&] { return ++made; }), 1);
}

TEST(TypeCache, KeepsNothingOfATypeThatHasNone) {
  TypeCache<int> values;
  const auto none = []() -> int { throw std::logic_error("none"); };
  EXPECT_THROW(values.of(corev1::Pod(), none), std::logic_error);
  EXPECT_EQ(values.of(corev1::Pod(), [] { return 2; }), 2);
}

}  // namespace
}  // namespace podlab::api
