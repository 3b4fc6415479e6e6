#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <string_view>

#include <re2/re2.h>

#include "api/custom/schema.hpp"
#include "api/names.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

/// Formats that a pattern tells (kube-openapi/pkg/validation/strfmt; go-openapi's regular
/// expressions for the same).
struct Pattern {
  std::string_view format;
  const char* pattern;
};
constexpr std::array<Pattern, 12> kPatterns{{
    {"bsonobjectid", "^[0-9a-fA-F]{24}$"},
    {"creditcard", R"(^(\d[ -]?){12,18}\d$)"},
    {"email", R"(^[^@\s]+@[^@\s]+$)"},
    {"hexcolor", "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"},
    {"mac", "^([0-9a-fA-F]{2}[:-]){5}([0-9a-fA-F]{2})$"},
    {"rgbcolor", R"(^rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)$)"},
    {"ssn", R"(^\d{3}[- ]?\d{2}[- ]?\d{4}$)"},
    {"uri", R"(^([a-zA-Z][a-zA-Z0-9+.-]*:|/)[^\s]*$)"},
    {"uuid", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"},
    {"uuid3", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$"},
    {"uuid4", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"},
    {"uuid5", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"},
}};

bool isAddress(int family, const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(family, text.c_str(), bytes.data()) == 1;
}

bool isCidr(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos) return false;
  const std::string address = text.substr(0, slash);
  const std::string_view length = std::string_view(text).substr(slash + 1);
  int bits = -1;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  if (error != std::errc() || end != length.data() + length.size() || bits < 0) return false;
  return (isAddress(AF_INET, address) && bits <= 32) ||
         (isAddress(AF_INET6, address) && bits <= 128);
}

}  // namespace

bool hasFormat(const std::string& text, const std::string& format) {
  if (format == "ipv4") return isAddress(AF_INET, text);
  if (format == "ipv6") return isAddress(AF_INET6, text);
  if (format == "cidr") return isCidr(text);
  if (format == "date") return text.size() == 10 && parseTime(text + "T00:00:00Z").has_value();
  if (format == "date-time" || format == "datetime") return parseTime(text).has_value();
  if (format == "duration") return parseDuration(text).has_value();
  if (format == "hostname") return faultsOfDns1123Subdomain(text).empty();
  if (format == "k8s-short-name") return faultsOfDns1123Label(text).empty();
  if (format == "k8s-long-name") return faultsOfDns1123Subdomain(text).empty();
  if (format == "byte") {
    static const re2::RE2 kBase64("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$");
    return re2::RE2::FullMatch(text, kBase64);
  }
  for (const auto& [name, pattern] : kPatterns) {
    if (name == format) return re2::RE2::PartialMatch(text, pattern);
  }
  return true;
}

}  // namespace podlab::api
