#include "api/names.hpp"

#include <gtest/gtest.h>

#include "api/field_errors.hpp"

namespace podlab::api {
namespace {

using Rule = Faults (*)(std::string_view);

struct Case {
  Rule rule;
  const char* name;
  std::vector<std::string> good;
  std::vector<std::string> bad;
};

TEST(Names, FollowTheirRules) {
  const std::string s63(63, 'a'), s64(64, 'a'), s253(253, 'a'), s254(254, 'a');
  const Case kCases[] = {
      {faultsOfDns1123Label,
       "label",
       {"a", "0", "a-b", s63},
       {"", "-a", "a-", "A", "a.b", "ä", s64}},
      {faultsOfDns1123Subdomain,
       "subdomain",
       {"a", "a.b", "a-1.b", s253},
       {"", ".", "a.", ".a", "a..b", "a.-b", "A", "a_b", s254}},
      {faultsOfQualifiedName,
       "qualified name",
       {"a", "A_b.c", "x.io/y", "x/" + s63},
       {"", "/", "a/", "/a", "a/b/c", "-a", "a b", "X.io/a", "x/" + s64}},
      {faultsOfLabelValue, "label value", {"", "a", "A_b.c", s63}, {"-", "a-", "a b", "a/b", s64}},
      {faultsOfPortName,
       "port name",
       {"a", "http", "a1-b", "1a", "abcdefghijklmno"},
       {"", "1", "A", "a--b", "-a", "a-", "abcdefghijklmnop"}},
      {faultsOfEnvName, "variable", {"A", "a.b-c", "1", "a b"}, {"", "a=b", "ä", "\n"}},
      {faultsOfConfigMapKey,
       "key",
       {"a", ".a", "A_b-c.d", s253},
       {"", ".", "..", "..a", "a/b", s254}},
      {faultsOfHttpHeaderName, "header", {"X-A", "a1"}, {"", "a b", "a:"}},
  };
  for (const Case& each : kCases) {
    for (const std::string& value : each.good) {
      EXPECT_TRUE(each.rule(value).empty()) << each.name << " " << value;
    }
    for (const std::string& value : each.bad) {
      EXPECT_FALSE(each.rule(value).empty()) << each.name << " " << value;
    }
  }
  for (const int port : {1, 65535}) EXPECT_TRUE(faultsOfPortNumber(port).empty());
  for (const int port : {-1, 0, 65536}) EXPECT_FALSE(faultsOfPortNumber(port).empty());
}

TEST(FieldErrors, ShowValuesSafely) {
  FieldErrors errors;
  errors.invalid(FieldPath("a").child("b").index(2).key("c/d"), "\"\\\n\x01", "no");
  const std::vector<Cause> causes = errors.take();
  EXPECT_EQ(causes.at(0).field, "a.b[2][c/d]");
  EXPECT_EQ(causes.at(0).message, "Invalid value: \"\\\"\\\\\\n\\x01\": no");
}

}  // namespace
}  // namespace podlab::api
