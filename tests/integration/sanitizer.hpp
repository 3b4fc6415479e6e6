#pragma once

namespace podlab::test {

/// Why a test cannot become an ordinary user, or null: ThreadSanitizer has a thread of its own, and
/// a process of several threads cannot enter a user namespace (unshare(2)).
#if __has_feature(thread_sanitizer)
inline constexpr const char* kNoUserNamespace =
    "ThreadSanitizer's own thread keeps the process out of user namespaces; asan runs this test";
#else
inline constexpr const char* kNoUserNamespace = nullptr;
#endif

/// Why a test cannot put itself before calls of libc, or null.
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr const char* kNoFaults = "the sanitizer itself stands before the calls of libc";
#else
inline constexpr const char* kNoFaults = nullptr;
#endif

}  // namespace podlab::test
