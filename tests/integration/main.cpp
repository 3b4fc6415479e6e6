#include <gtest/gtest.h>

#include <string_view>

#include "node/shim.hpp"

#if __has_feature(thread_sanitizer)
/// A test's agent that is to be killed is a fork of it, which starts threads of its own.
extern "C" const char* __tsan_default_options() {
  return "die_after_fork=0";
}
#endif

/// The test binary stands for podlab where it starts itself: `... shim LOCK`.
int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") return podlab::node::shimMain(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
