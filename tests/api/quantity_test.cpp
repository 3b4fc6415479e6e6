#include "api/quantity.hpp"

#include <gtest/gtest.h>

#include <random>

#include "api/pod_resources.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

std::string canonical(std::string_view text) {
  const auto parsed = Quantity::parse(text);
  return parsed ? parsed->toString() : "error";
}

TEST(Quantity, IsWrittenInCanonicalForm) {
  const std::pair<const char*, const char*> kCases[] = {
      {"0", "0"},           {"0Mi", "0"},
      {"1", "1"},           {"+5", "5"},
      {"-5", "-5"},         {"1000", "1k"},
      {"1500", "1500"},     {"1000m", "1"},
      {"1500m", "1500m"},   {"0.5", "500m"},
      {".5", "500m"},       {"1.", "1"},
      {"0.1m", "100u"},     {"1024", "1024"},
      {"1Ki", "1Ki"},       {"1024Ki", "1Mi"},
      {"1536Mi", "1536Mi"}, {"1.5Gi", "1536Mi"},
      {"512", "512"},       {"0.5Ki", "512"},
      {"0.5Mi", "512Ki"},   {"1.0001Ki", "1024102400u"},
      {"1e3", "1e3"},       {"1E3", "1e3"},
      {"1E", "1E"},         {"12e-1", "1200e-3"},
      {"1e+3", "1e3"},      {"100e1", "1e3"},
      {"1000E", "1000E"},   {"1n", "1n"},
      {"0.1n", "1n"},       {"-0.1n", "-1n"},
      {"1000000n", "1m"},   {"8Ei", "9223372036854775807"},
      {"1e-20", "1e-9"},    {"00012", "12"},
      {"1P", "1P"},         {"1000P", "1E"},
      {"1Ti", "1Ti"}};
  for (const auto& [text, expected] : kCases) EXPECT_EQ(canonical(text), expected) << text;
}

TEST(Quantity, RefusesWhatIsNone) {
  for (const char* text : {"", ".", "m", "Mi", "1MM", "1 ", " 1", "1ki", "1K", "0x10", "1e",
                           "1e+-3", "1.2.3", "--1", "1m1", "abc", "1Kii", "\xff"}) {
    const auto parsed = Quantity::parse(text);
    EXPECT_FALSE(parsed) << text;
    if (!parsed) EXPECT_TRUE(parsed.status().is(Code::kInvalid));
  }
}

TEST(Quantity, RoundsAwayFromZeroAndSaturates) {
  const auto quantity = [](std::string_view text) { return *Quantity::parse(text); };
  EXPECT_EQ(quantity("0.0001").milliValue(), 1);
  EXPECT_EQ(quantity("-0.0001").milliValue(), -1);
  EXPECT_EQ(quantity("1.5").value(), 2);
  EXPECT_EQ(quantity("-1.5").value(), -2);
  EXPECT_EQ(quantity("250m").milliValue(), 250);
  EXPECT_EQ(quantity("1e30").value(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(quantity("-1e300000000000").value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(quantity("9223372036854775807").milliValue(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(quantity("0.12345").roundedToMilli().toString(), "124m");
  EXPECT_EQ(quantity("-0.12345").roundedToMilli().toString(), "-124m");
  EXPECT_EQ(quantity("1e300") + quantity("1e300"), quantity("1e300"));
  EXPECT_EQ((quantity("-1e300") - quantity("1e300") - quantity("1n")).toString().front(), '-');
}

TEST(Quantity, SumsKeepTheLeftFormat) {
  EXPECT_EQ((*Quantity::parse("1Gi") + *Quantity::parse("1024")).toString(), "1048577Ki");
  EXPECT_EQ((Quantity() + *Quantity::parse("1Gi")).toString(), "1Gi");
  EXPECT_EQ((*Quantity::parse("1") + *Quantity::parse("1Ki")).toString(), "1025");
  EXPECT_EQ(Quantity::of(64, Quantity::Format::kDecimal), *Quantity::parse("0.0625Ki"));
  EXPECT_LT(*Quantity::parse("999m"), Quantity::of(1));
  EXPECT_EQ(Quantity::ofMilli(1500).toMessage().string(), "1500m");
}

/// A decimal number as digits and a power of ten: the slow, obvious arithmetic that Quantity must
/// equal.
struct Decimal {
  std::string digits;  ///< an integer without sign
  int exponent = 0;

  void timesSmall(int factor) {
    int carry = 0;
    for (std::size_t i = digits.size(); i-- > 0;) {
      const int value = (digits[i] - '0') * factor + carry;
      digits[i] = static_cast<char>('0' + value % 10);
      carry = value / 10;
    }
    for (; carry != 0; carry /= 10)
      digits.insert(digits.begin(), static_cast<char>('0' + carry % 10));
  }
  /// In units of 10^scale, rounded up; without leading zeros.
  std::string inUnits(int scale) const {
    std::string text = digits;
    if (exponent >= scale) {
      text.append(static_cast<std::size_t>(exponent - scale), '0');
    } else {
      const auto cut = static_cast<std::size_t>(scale - exponent);
      if (text.size() < cut) text.insert(0, cut - text.size(), '0');
      const bool rest = text.find_first_not_of('0', text.size() - cut) != std::string::npos;
      text.resize(text.size() - cut);
      if (rest) text = plusOne(text);
    }
    text.erase(0, std::min(text.find_first_not_of('0'), text.size()));
    return text.empty() ? "0" : text;
  }
  static std::string plusOne(std::string text) {
    for (std::size_t i = text.size(); i-- > 0;) {
      if (text[i] != '9') {
        ++text[i];
        return text;
      }
      text[i] = '0';
    }
    return "1" + text;
  }
};

TEST(Quantity, EqualsLongDecimalArithmetic) {
  constexpr std::uint64_t kSeed = 20240607;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const auto below = [&](std::uint64_t n) { return static_cast<int>(random() % n); };
  struct Suffix {
    const char* text;
    int base;
    int exponent;
  };
  const Suffix kSuffixes[] = {{"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0},
                              {"k", 10, 3},  {"M", 10, 6},  {"G", 10, 9},  {"e-4", 10, -4},
                              {"e5", 10, 5}, {"Ki", 2, 10}, {"Mi", 2, 20}, {"Gi", 2, 30}};
  for (int round = 0; round < 20000; ++round) {
    std::string whole;
    std::string fraction;
    for (int i = below(7); i-- > 0;) whole += static_cast<char>('0' + below(10));
    for (int i = below(14); i-- > 0;) fraction += static_cast<char>('0' + below(10));
    if (whole.empty() && fraction.empty()) whole = "7";
    const Suffix& suffix = kSuffixes[below(std::size(kSuffixes))];
    std::string text = whole;
    if (!fraction.empty()) text.append(".").append(fraction);
    text += suffix.text;

    Decimal expected{whole + fraction, -static_cast<int>(fraction.size())};
    if (suffix.base == 10) {
      expected.exponent += suffix.exponent;
    } else {
      for (int i = 0; i < suffix.exponent; ++i) expected.timesSmall(2);
    }
    const auto parsed = Quantity::parse(text);
    ASSERT_TRUE(parsed) << text;
    // What is finer than 1e-9 rounds up there, so coarser units round up from that.
    Decimal nano{expected.inUnits(-9), -9};
    ASSERT_EQ(std::to_string(parsed->value()), nano.inUnits(0)) << text;
    ASSERT_EQ(std::to_string(parsed->milliValue()), nano.inUnits(-3)) << text;
    const auto again = Quantity::parse(parsed->toString());
    ASSERT_TRUE(again) << text << " -> " << parsed->toString();
    ASSERT_EQ(*again, *parsed) << text << " -> " << parsed->toString();
    ASSERT_EQ(again->toString(), parsed->toString()) << text;
  }
}

std::string shown(const ResourceList& resources) {
  std::string text;
  for (const auto& [name, amount] : resources) text += name + "=" + amount.toString() + " ";
  return text;
}

TEST(PodRequests, IsTheLargerOfRunningAndStarting) {
  const auto container = [](const char* list, const char* cpu, const char* memory,
                            const char* more = "") {
    return std::string(list) +
           R"( { name: "x" resources { requests { key: "cpu" value { string: ")" + cpu +
           R"(" } } requests { key: "memory" value { string: ")" + memory + R"(" } } } )" + more +
           " } ";
  };
  const auto requests = [](const std::string& spec) {
    return shown(podRequests(fromText<corev1::Pod>("spec { " + spec + " }")));
  };
  const std::string two =
      container("containers", "100m", "64Mi") + container("containers", "200m", "64Mi");
  EXPECT_EQ(requests(two), "cpu=300m memory=128Mi ");
  EXPECT_EQ(requests(two + container("initContainers", "1", "32Mi")), "cpu=1 memory=128Mi ");
  // A restartable one runs beside the containers and beside the init containers after it.
  EXPECT_EQ(
      requests(two + container("initContainers", "100m", "1Gi", R"(restartPolicy: "Always")") +
               container("initContainers", "1", "32Mi")),
      "cpu=1100m memory=1152Mi ");
  EXPECT_EQ(requests(two + R"(overhead { key: "cpu" value { string: "10m" } })"),
            "cpu=310m memory=128Mi ");
  EXPECT_EQ(requests(R"(containers { name: "a" })"), "");
}

TEST(PodRequests, DecideTheQosClass) {
  const auto qos = [](const std::string& requests, const std::string& limits) {
    const auto list = [](const char* field, const std::string& cpu) {
      return cpu.empty()
                 ? ""
                 : std::string(field) + R"( { key: "cpu" value { string: ")" + cpu + R"(" } } )" +
                       field + R"( { key: "memory" value { string: "1Gi" } } )";
    };
    return qosClass(fromText<corev1::Pod>("spec { containers { resources { " +
                                          list("requests", requests) + list("limits", limits) +
                                          "} } }"));
  };
  EXPECT_EQ(qos("", ""), "BestEffort");
  EXPECT_EQ(qos("1", ""), "Burstable");
  EXPECT_EQ(qos("1", "2"), "Burstable");
  EXPECT_EQ(qos("1", "1000m"), "Guaranteed");
}

}  // namespace
}  // namespace podlab::api
