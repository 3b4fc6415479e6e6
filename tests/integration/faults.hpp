#pragma once
#include <string>

namespace podlab::test {

/// Lets one call of libc fail: faults.cpp puts itself before the calls by which the agent and its
/// shim change the world. Forked processes count along; so do those that find the path of `open()`
/// in the environment.
class Faults {
 public:
  /// Shares the count with all processes that this one starts, by a file.
  static void open(const std::string& path);
  /// From here on calls are counted from 0, and the call number `at` fails; a negative number:
  /// none.
  static void arm(long at);
  /// Ends that; how many calls there were.
  static long disarm();
  /// "mount: Cannot allocate memory", once the armed call has come; empty before.
  static std::string struck();
  /// While it lives, this thread's calls are neither counted nor fail.
  struct Exempt {
    Exempt();
    ~Exempt();
  };
};

}  // namespace podlab::test
