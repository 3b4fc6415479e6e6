#include "common/yaml.hpp"

#include <gtest/gtest.h>

#include <string>

#include "common/json.hpp"
#include "common/rng.hpp"

namespace podlab {
namespace {

/// The only document as JSON, or the error.
std::string read(std::string_view yaml) {
  const auto documents = yamlToJson(yaml);
  if (!documents) return documents.status().message();
  return documents->size() == 1 ? documents->front().json
                                : std::to_string(documents->size()) + " documents";
}

std::string written(std::string_view json) {
  const auto yaml = jsonToYaml(json);
  return yaml ? *yaml : yaml.status().message();
}

TEST(YamlRead, ResolvesPlainScalarsAsGoYaml) {
  const struct {
    std::string_view yaml;
    std::string_view json;
  } cases[] = {
      {"80", "80"},
      {"\"80\"", "\"80\""},
      {"'80'", "\"80\""},
      {"!!str 80", "\"80\""},
      {"! \"80\"", "\"80\""},
      {"!!int \"80\"", "80"},
      {"0644", "420"},
      {"0o644", "420"},
      {"0x1F", "31"},
      {"0b101", "5"},
      {"-0b101", "-5"},
      {"089", "89"},
      {"1_000", "1000"},
      {"+12", "12"},
      {"-12", "-12"},
      {"-0", "0"},
      {"-0.0", "0"},
      {"18446744073709551615", "18446744073709551615"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"1.0", "1"},
      {"1.5", "1.5"},
      {".5", "0.5"},
      {"1.", "1"},
      {"1e3", "1000"},
      {"1E400", "line 1: '1E400' is no finite number; quote it if it is text"},
      {".inf", "line 1: '.inf' is no finite number; quote it if it is text"},
      {"true", "true"},
      {"Yes", "true"},
      {"on", "true"},
      {"y", "true"},
      {"no", "false"},
      {"OFF", "false"},
      {"oN", "\"oN\""},
      {"'yes'", "\"yes\""},
      {"a: ~", R"({"a":null})"},
      {"a:", R"({"a":null})"},
      {"a: ''", R"({"a":""})"},
      {"2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\""},
      {"2026-01-02", "\"2026-01-02\""},
      {"10:30", "\"10:30\""},
      {"1.2.3", "\"1.2.3\""},
      {"64Mi", "\"64Mi\""},
      {"-", "[null]"},
      {"--flag", "\"--flag\""},
      {"+", "\"+\""},
      {"0x", "\"0x\""},
      {"!!binary aGk=", "line 1: tag 'tag:yaml.org,2002:binary' is not supported here"},
  };
  for (const auto& [yaml, json] : cases) EXPECT_EQ(read(yaml), json) << yaml;
}

TEST(YamlRead, ReadsBlocksAndFlows) {
  EXPECT_EQ(read("a: {b: [1, x], c: }\nd:\n- e\n-   f: 1\n    g: 2\n"),
            R"({"a":{"b":[1,"x"],"c":null},"d":["e",{"f":1,"g":2}]})");
  EXPECT_EQ(read("a: |\n  one\n   two\n\n  three\nb: >-\n  one\n  two\nc: \"x\\ty\\u00e9\"\n"),
            R"({"a":"one\n two\n\nthree\n","b":"one two","c":"x\tyé"})");
  EXPECT_EQ(read("1: a\ntrue: b\nno: c\n1.5: d\n'2': e"),
            R"({"1":"a","true":"b","false":"c","1.5":"d","2":"e"})");
  EXPECT_EQ(read("a: 1\na: 2"), R"({"a":1,"a":2})");
  EXPECT_EQ(read(R"({"a": ["b", 1.50]})"), R"({"a":["b",1.5]})");
}

TEST(YamlRead, SplitsDocuments) {
  const auto documents =
      yamlToJson("# comment\n---\na: 1\n---\n\n---\n# nothing\n...\n---\nb: 2\n");
  ASSERT_TRUE(documents) << documents.status().message();
  ASSERT_EQ(documents->size(), 2U);
  EXPECT_EQ((*documents)[0].json, R"({"a":1})");
  EXPECT_EQ((*documents)[0].line, 3);
  EXPECT_EQ((*documents)[1].json, R"({"b":2})");
  EXPECT_EQ((*documents)[1].line, 10);
  EXPECT_EQ(read(""), "0 documents");
  EXPECT_EQ(read("---\n---\n"), "0 documents");
}

TEST(YamlRead, ExpandsAliasesAndMergeKeys) {
  EXPECT_EQ(read("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n"),
            R"({"a":{"b":1},"c":{"b":1},"d":[{"b":1},{"b":1}]})");
  EXPECT_EQ(read("base: &x {a: 1, b: 2}\nmore: &y {b: 3, c: 4}\nm:\n  <<: [*x, *y]\n  a: 9\n"),
            R"({"base":{"a":1,"b":2},"more":{"b":3,"c":4},"m":{"a":9,"b":2,"c":4}})");
  EXPECT_EQ(read("x: &x {<<: {a: 1}, b: 2}\nz: {<<: *x}"),
            R"({"x":{"b":2,"a":1},"z":{"b":2,"a":1}})");
  EXPECT_EQ(read("'<<': 1"), R"({"<<":1})");
  EXPECT_EQ(read("a: *nothing"), "line 1: unknown anchor 'nothing'");
  EXPECT_EQ(read("a: 1\n<<: 2"), "line 2: a merge key (<<) takes a mapping or a list of mappings");
  EXPECT_EQ(read("--- &a 1\n--- *a"), "line 2: unknown anchor 'a'");
}

std::string laughs(std::string_view first, std::string_view each) {
  std::string yaml = "l0: &l0 " + std::string(first) + "\n";
  for (int level = 1; level < 30; ++level) {
    std::string line = "lN: &lN " + std::string(each) + "\n";
    for (std::size_t at = 0; (at = line.find_first_of("NM", at)) != line.npos;) {
      line.replace(at, 1, std::to_string(line[at] == 'N' ? level : level - 1));
    }
    yaml += line;
  }
  return yaml;
}

TEST(YamlRead, StopsAliasBombs) {
  EXPECT_EQ(read(laughs("[x]", "[*lM, *lM, *lM]")), "line 1: aliases expand to more than 10 MiB");
  const auto merged = read(laughs("{a: 1}", "{<<: [*lM, *lM, *lM]}"));
  EXPECT_NE(merged.find("aliases expand to more than 10 MiB"), merged.npos)
      << merged.substr(0, 100);
  EXPECT_EQ(read("a: &a [*a]"), "line 1: nested more than 100 levels deep");
  EXPECT_EQ(read("a: &a {<<: *a}"), "line 1: nested more than 100 levels deep");
  const std::string deep = std::string(200, '[') + std::string(200, ']');
  EXPECT_EQ(read(deep), "line 1: nested more than 100 levels deep");
  // The limit is on what aliases add: a large document without aliases is fine.
  EXPECT_EQ(read("a: &x " + std::string(11 << 20, 'x')).size(), (11U << 20) + 8);
}

TEST(YamlRead, NamesTheLineOfFaults) {
  EXPECT_EQ(read("a:\n  b: 1\n\tc: 2\n"),
            "line 3, column 1: found a tab character that violates indentation while scanning a "
            "plain scalar; YAML "
            "is indented by spaces, and this line begins with a tab");
  EXPECT_EQ(read("a:\n\tc: 2\n"),
            "line 2, column 1: found character that cannot start any token while scanning for the "
            "next token; YAML "
            "is indented by spaces, and this line begins with a tab");
  EXPECT_EQ(read("a: 1\nb\n"),
            "line 3, column 1: could not find expected ':' while scanning a simple key");
  EXPECT_EQ(read("a: [1\nb: 2"),
            "line 2, column 2: did not find expected ',' or ']' while parsing a flow sequence");
  EXPECT_EQ(read("? [a]\n: b"), "line 1: a key must be a scalar");
  EXPECT_EQ(read("a: 1\n~: b"), "line 2: a key is missing or null; quote it if it is text");
  EXPECT_EQ(read("a: \xFF"), "byte 3: invalid leading UTF-8 octet");
}

TEST(YamlWrite, LooksLikeKubectl) {
  EXPECT_EQ(
      written(
          R"({"apiVersion":"v1","items":[{"a":1,"b":[]},{"c":{}}],"list":["x",["y"]],"none":null})"),
      "apiVersion: v1\nitems:\n- a: 1\n  b: []\n- c: {}\nlist:\n- x\n- - \"y\"\nnone: null\n");
  EXPECT_EQ(written(R"({"script":"#!/bin/sh\necho\n","no newline":"a\nb"})"),
            "script: |\n  #!/bin/sh\n  echo\nno newline: |-\n  a\n  b\n");
}

TEST(YamlWrite, QuotesOnlyWhereNeeded) {
  const struct {
    std::string_view value;
    std::string_view yaml;
  } cases[] = {
      {"nginx:1.25", "nginx:1.25"},
      {"80", "\"80\""},
      {"0644", "\"0644\""},
      {"1.5", "\"1.5\""},
      {"1e3", "\"1e3\""},
      {"true", "\"true\""},
      {"no", "\"no\""},
      {"y", "\"y\""},
      {"", "\"\""},
      {"~", "\"~\""},
      {"null", "\"null\""},
      {"2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\""},
      {"10:30", "\"10:30\""},
      {"64Mi", "64Mi"},
      {"10.0.0.1", "10.0.0.1"},
      {"*", "'*'"},
      {"a: b", "'a: b'"},
      {"# no comment", "'# no comment'"},
      {" padded ", "' padded '"},
      {"it's", "it's"},
      {"- x", "'- x'"},
      {"tab\there", "\"tab\\there\""},
      {"é", "é"},
  };
  for (const auto& [value, yaml] : cases) {
    std::string json = "{\"k\":";
    appendJsonString(json, value);
    EXPECT_EQ(written(json + "}"), "k: " + std::string(yaml) + "\n");
  }
}

TEST(YamlWrite, RefusesBadJson) {
  EXPECT_EQ(written("{\"a\":1"),
            "line 1, column 7: unexpected end of the document: expected ',' or '}'");
}

std::string randomText(Rng& rng) {
  constexpr std::string_view kAlphabet = "abyYnN01289:.-+_~#&*!|>'\"%@`{}[], \n\t\\=<?oxeT";
  std::string text = rng.text(rng.below(12), kAlphabet);
  constexpr std::string_view kSpecial[] = {
      "é",    "😀", "\xC2\x85", "\xE2\x80\xA8", "\xEF\xBB\xBF", std::string_view("\0", 1),
      "\x7F", "\r", "\r\n"};
  if (rng.chance(0.2))
    text.insert(rng.below(text.size() + 1), kSpecial[rng.below(std::size(kSpecial))]);
  if (rng.chance(0.05)) text += std::string(100, 'w') + " " + std::string(40, 'v');
  return text;
}

void randomValue(Rng& rng, JsonWriter& writer, int depth) {
  switch (rng.below(depth > 0 ? 6 : 4)) {
    case 0:
      return writer.number(static_cast<std::int64_t>(rng.next()));
    case 1:
      return rng.chance(0.5) ? writer.null() : writer.boolean(rng.chance(0.5));
    case 4: {
      writer.beginArray();
      for (auto left = rng.below(4); left > 0; --left) randomValue(rng, writer, depth - 1);
      return writer.endArray();
    }
    case 5: {
      writer.beginObject();
      for (auto left = rng.below(4); left > 0; --left) {
        writer.key(randomText(rng));
        randomValue(rng, writer, depth - 1);
      }
      return writer.endObject();
    }
    default:
      return writer.string(randomText(rng));
  }
}

TEST(YamlWrite, ReadsBackTheSame) {
  constexpr std::uint64_t kSeed = 20262;
  SeededRng rng(kSeed);
  for (int round = 0; round < 20000; ++round) {
    std::string json;
    JsonWriter writer(json);
    writer.beginArray();
    randomValue(rng, writer, 3);
    writer.endArray();
    const std::string yaml = written(json);
    ASSERT_EQ(read(yaml), json) << "seed " << kSeed << " round " << round << "\n" << yaml;
  }
}

}  // namespace
}  // namespace podlab
