#include "node/container_id.hpp"

#include <gtest/gtest.h>

namespace podlab::node {
namespace {

TEST(ContainerIdTest, IsReadAsItIsWritten) {
  const ContainerId id{"1b4e28ba-2fa1-11d2-883f-0016d3cca427", "main-1", 12};
  EXPECT_EQ(id.toString(), "1b4e28ba-2fa1-11d2-883f-0016d3cca427_main-1_12");
  EXPECT_EQ(ContainerId::parse(id.toString()), id);
  EXPECT_EQ(ContainerId::parse("crun://" + id.toString()), id);
}

TEST(ContainerIdTest, TakesNothingElse) {
  for (const char* text : {"", "_", "uid_main", "uid_main_", "uid_main_x", "uid_main_1x",
                           "uid_main_-1", "uid_main_99999999999", "crun://"}) {
    EXPECT_EQ(ContainerId::parse(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace podlab::node
