#include "common/json.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "common/rng.hpp"

namespace podlab {
namespace {

using nlohmann::json;

/// The document written again, or the reader's error.
std::string copied(std::string_view text, int indent = 0) {
  std::string out;
  JsonReader reader(text);
  JsonWriter writer(out, indent);
  copyJson(reader, writer);
  return reader.finish() ? out : reader.status().message();
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

TEST(JsonReader, KeepsEveryValue) {
  for (const std::string text :
       {R"({})", R"([])", R"({"a":{"b":[1,-2.5e+10,0,"x",true,false,null]},"c":[]})", R"("")", "0",
        "-0.0", "null"}) {
    EXPECT_EQ(copied(text), text);
  }
  EXPECT_EQ(copied(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), R"({"a":[1,2]})");
  EXPECT_EQ(copied(nested(JsonReader::kMaxDepth)), nested(JsonReader::kMaxDepth));
}

TEST(JsonReader, DecodesStrings) {
  EXPECT_EQ(copied(R"("\"\\\/\b\f\n\r\tA\u00e9\u20ac\ud83d\ude00")"),
            "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\tAé€😀\"");
  JsonReader reader(R"("before \u0000 after, long enough for the fast path")");
  std::string_view value;
  ASSERT_TRUE(reader.readString(&value));
  EXPECT_EQ(value, std::string_view("before \0 after, long enough for the fast path", 45));
}

TEST(JsonReader, NamesLineAndColumnOfFaults) {
  const struct {
    std::string_view text;
    std::string_view error;
  } cases[] = {
      {"", "line 1, column 1: unexpected end of the document: expected a value"},
      {"{", "line 1, column 2: unexpected end of the document: expected a quoted member name"},
      {"{\n  \"é\": x}", "line 2, column 8: expected a value"},
      {"{\"a\" 1}", "line 1, column 6: expected ':' after the member name"},
      {"{\"a\":1 \"b\":2}", "line 1, column 8: expected ',' or '}'"},
      {"{\"a\":1,}", "line 1, column 8: expected a quoted member name"},
      {"{a:1}", "line 1, column 2: expected a quoted member name"},
      {"[1,]", "line 1, column 4: expected a value"},
      {"[1 2]", "line 1, column 4: expected ',' or ']'"},
      {"[1}", "line 1, column 3: expected ',' or ']'"},
      {"[,1]", "line 1, column 2: expected a value"},
      {"{} {}", "line 1, column 4: unexpected text after the value"},
      {"nul", "line 1, column 1: expected null"},
      {"tru", "line 1, column 1: expected true or false"},
      {"01", "line 1, column 1: a number may not start with 0"},
      {"1.",
       "line 1, column 3: unexpected end of the document: expected a digit after the decimal "
       "point"},
      {"1e+", "line 1, column 4: unexpected end of the document: expected a digit in the exponent"},
      {"-", "line 1, column 2: unexpected end of the document: expected a number"},
      {"-x", "line 1, column 1: expected a number"},
      {"\"a", "line 1, column 3: unexpected end of the document: unfinished string"},
      {"\"a\\", "line 1, column 4: unexpected end of the document: unfinished string"},
      {"\"a\nb\"",
       "line 1, column 3: control character in a string: write it as an escape, e.g. \\n"},
      {"\"\\t\nb\"",
       "line 1, column 4: control character in a string: write it as an escape, e.g. \\n"},
      {"\"\\x\"", "line 1, column 2: unknown escape in a string"},
      {"\"\\u12g4\"", "line 1, column 2: expected four hexadecimal digits after \\u"},
      {"\"\\ud800\"", "line 1, column 2: lone surrogate in a string"},
      {"\"\\ud800\\u0041\"", "line 1, column 2: lone surrogate in a string"},
      {"\"\\udc00\"", "line 1, column 2: lone surrogate in a string"},
      {"\"abc\xFF\"", "line 1, column 5: malformed UTF-8 in a string"},
      {"\"\\n\xC0\x80\"", "line 1, column 4: malformed UTF-8 in a string"},
  };
  for (const auto& [text, error] : cases) EXPECT_EQ(copied(text), error) << text;
  EXPECT_EQ(copied(nested(JsonReader::kMaxDepth + 1)),
            "line 1, column 101: nested more than 100 levels deep");
}

TEST(JsonReader, ReturnsFalseForEverAfterAFault) {
  JsonReader reader("{\"a\": ?, \"b\": 1}");
  std::string_view text;
  ASSERT_TRUE(reader.beginObject());
  ASSERT_TRUE(reader.nextKey(&text));
  EXPECT_FALSE(reader.skip());
  EXPECT_FALSE(reader.nextKey(&text));
  EXPECT_FALSE(reader.finish());
  EXPECT_EQ(reader.status().message(), "line 1, column 7: expected a value");
}

TEST(JsonReader, SkipGivesTheValuesText) {
  JsonReader reader(R"([ {"a": [1, "]"]} , 2])");
  std::string_view text;
  ASSERT_TRUE(reader.beginArray());
  ASSERT_TRUE(reader.nextElement());
  ASSERT_TRUE(reader.skip(&text));
  EXPECT_EQ(text, R"({"a": [1, "]"]})");
  ASSERT_TRUE(reader.nextElement());
  ASSERT_TRUE(reader.skip(&text));
  EXPECT_EQ(text, "2");
  EXPECT_FALSE(reader.nextElement());
  EXPECT_TRUE(reader.finish());
}

TEST(JsonWriter, IndentsAsKubectl) {
  EXPECT_EQ(copied(R"({"a":[1,{"b":{}}],"c":[]})", 4),
            "{\n    \"a\": [\n        1,\n        {\n            \"b\": {}\n        }\n    ],\n    "
            "\"c\": []\n}");
}

TEST(JsonWriter, WritesNumbersSoThatTheyReadBack) {
  const auto written = [](auto value) {
    std::string out;
    JsonWriter(out).number(value);
    return out;
  };
  EXPECT_EQ(written(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(written(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(100000.0), "100000");
  EXPECT_EQ(written(1e21), "1e+21");
  EXPECT_EQ(written(std::numeric_limits<double>::infinity()), "null");
}

TEST(JsonWriter, ReplacesMalformedUtf8) {
  std::string out;
  appendJsonString(out, "a\xFF\xE2\x82z\xED\xA0\x80");
  EXPECT_EQ(out, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(Utf8, AcceptsWhatRfc3629Allows) {
  const std::string_view good[] = {"a",
                                   "\xC2\x80",
                                   "\xDF\xBF",
                                   "\xE0\xA0\x80",
                                   "\xED\x9F\xBF",
                                   "\xEE\x80\x80",
                                   "\xF0\x90\x80\x80",
                                   "\xF4\x8F\xBF\xBF"};
  for (const auto text : good) EXPECT_EQ(utf8SequenceLength(text), text.size());
  const std::string_view bad[] = {"",
                                  "\x80",
                                  "\xC1\xBF",
                                  "\xC2",
                                  "\xE0\x9F\xBF",
                                  "\xED\xA0\x80",
                                  "\xE2\x82",
                                  "\xE2\x28\xA1",
                                  "\xF0\x8F\xBF\xBF",
                                  "\xF4\x90\x80\x80",
                                  "\xF5\x80\x80\x80"};
  for (const auto text : bad) EXPECT_EQ(utf8SequenceLength(text), 0U);
}

/// nlohmann-json is the oracle: both accept the same damaged documents, and read the same from
/// them.
TEST(JsonReader, AgreesWithAnotherParserOnDamagedDocuments) {
  const std::string sound =
      R"({"name":"a\u00e9\ud83d\ude00é\n","list":[1,-2,3.5e-7,0,true,false,null,{"x":{}},[]],"long text without any escape":"0123456789"})";
  const std::string alphabet = "{}[]\",:\\u01-+.eE tnf\x80\xC3\n";
  constexpr std::uint64_t kSeed = 20261;
  SeededRng rng(kSeed);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = sound;
    const auto changes = rng.below(3);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const auto at = rng.below(text.size());
      switch (rng.below(3)) {
        case 0:
          text[at] = alphabet[rng.below(alphabet.size())];
          break;
        case 1:
          text.erase(at, 1 + rng.below(3));
          break;
        default:
          text.insert(at, 1, alphabet[rng.below(alphabet.size())]);
      }
    }
    std::string out;
    JsonReader reader(text);
    JsonWriter writer(out);
    copyJson(reader, writer);
    const bool ours = reader.finish();
    ASSERT_EQ(ours, json::accept(text)) << "seed " << kSeed << " round " << round << "\n"
                                        << text << "\n"
                                        << reader.status().message();
    if (!ours) continue;
    ++accepted;
    ASSERT_EQ(json::parse(out), json::parse(text)) << "seed " << kSeed << " round " << round << "\n"
                                                   << text;
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace podlab
