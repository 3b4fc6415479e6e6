#include "api/bootstrap_tokens.hpp"

#include <gtest/gtest.h>

namespace podlab::api {
namespace {

TEST(BootstrapTokens, AreReadAsTheyAreWritten) {
  SeededRng rng(1);
  for (int i = 0; i < 100; ++i) {
    const BootstrapToken token = makeBootstrapToken(rng);
    const auto read = parseBootstrapToken(token.text());
    ASSERT_TRUE(read) << token.text();
    EXPECT_EQ(read->id, token.id);
    EXPECT_EQ(read->secret, token.secret);
  }
}

TEST(BootstrapTokens, OfAnotherFormAreRefused) {
  for (const char* text :
       {"", ".", "abcdef", "abcdef.", "abcdef.0123456789abcde", "abcdef.0123456789abcdef0",
        "abcdeF.0123456789abcdef", "abcdef-0123456789abcdef", "abcdef.0123456789abc.ef"}) {
    EXPECT_FALSE(parseBootstrapToken(text)) << text;
  }
}

TEST(BootstrapTokens, JoinTokensHoldTheHash) {
  const std::string hash = "sha256:" + std::string(64, 'a');
  auto join = parseJoinToken("abcdef.0123456789abcdef@" + hash);
  ASSERT_TRUE(join.ok()) << join.status().toString();
  EXPECT_EQ(join->caHash, hash);
  EXPECT_EQ(join->token.id, "abcdef");
  const std::string token = "abcdef.0123456789abcdef";
  for (const std::string& text :
       {token, token + "@", token + "@" + hash + "a", token + "@sha256:" + std::string(64, 'A'),
        token + "@md5:" + std::string(64, 'a'), "@" + hash}) {
    EXPECT_TRUE(parseJoinToken(text).status().is(Code::kBadRequest)) << text;
  }
}

TEST(BootstrapTokens, ExpireByTheirSecret) {
  const WallTime now = *parseTime("2026-01-01T00:00:00Z");
  const BootstrapToken token{"abcdef", "0123456789abcdef"};
  auto secret = toSecret(token, now + std::chrono::seconds(1), "for tests");
  EXPECT_FALSE(isExpiredToken(secret, now));
  EXPECT_TRUE(isExpiredToken(secret, now + std::chrono::seconds(1)));
  EXPECT_EQ(tokenField(secret, "description"), "for tests");
  (*secret.mutable_data())["expiration"] = "soon";
  EXPECT_TRUE(isExpiredToken(secret, now));
  secret.set_type("Opaque");
  EXPECT_FALSE(isExpiredToken(secret, now));
  EXPECT_FALSE(checkToken(secret, token, now).ok());
  EXPECT_FALSE(isExpiredToken(toSecret(token, std::nullopt, ""), now));
}

}  // namespace
}  // namespace podlab::api
