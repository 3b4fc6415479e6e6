#include <gtest/gtest.h>

#include <string_view>

#include "node/shim.hpp"

/// The test binary stands for podlab where it starts itself: `... shim LOCK`.
int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") return podlab::node::shimMain(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
