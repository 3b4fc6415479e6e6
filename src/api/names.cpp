#include "api/names.hpp"

#include <algorithm>

namespace podlab::api {
namespace {

constexpr std::string_view kLabelRegex = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kDns1035Regex = "[a-z]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kSubdomainRegex =
    "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
constexpr std::string_view kQualifiedRegex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
constexpr std::string_view kLabelValueRegex = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

bool isLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool isDigit(char c) {
  return c >= '0' && c <= '9';
}
bool isLowerAlnum(char c) {
  return isLower(c) || isDigit(c);
}
bool isAlnum(char c) {
  return isLowerAlnum(c) || (c >= 'A' && c <= 'Z');
}

/// First and last by `ends`, the others by `ends` or one of `inner`; not empty.
bool matches(std::string_view value, bool (*ends)(char), std::string_view inner) {
  return !value.empty() && ends(value.front()) && ends(value.back()) &&
         std::ranges::all_of(
             value, [&](char c) { return ends(c) || inner.find(c) != std::string_view::npos; });
}

bool isDns1123Label(std::string_view value) {
  return matches(value, isLowerAlnum, "-");
}

bool isDns1123Subdomain(std::string_view value) {
  while (true) {
    const std::size_t dot = value.find('.');
    if (!isDns1123Label(value.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    value.remove_prefix(dot + 1);
  }
}

std::string tooLong(std::size_t most) {
  return "must be no more than " + std::to_string(most) + " characters";
}

/// "RULE (e.g. 'A',  or 'B', regex used for validation is 'REGEX')".
std::string regexFault(std::string_view rule, std::string_view regex,
                       std::initializer_list<std::string_view> examples) {
  std::string text(rule);
  text += " (e.g. ";
  for (const std::string_view example : examples) {
    if (!text.ends_with(" (e.g. ")) text += " or ";
    text.append("'").append(example).append("', ");
  }
  return text.append("regex used for validation is '").append(regex).append("')");
}

}  // namespace

std::string rangeFault(std::int64_t low, std::int64_t high) {
  return "must be between " + std::to_string(low) + " and " + std::to_string(high) + ", inclusive";
}

Faults faultsOfDns1123Label(std::string_view value) {
  Faults faults;
  if (value.size() > 63) faults.push_back(tooLong(63));
  if (!isDns1123Label(value)) {
    // A valid subdomain that is no label has dots: say that instead of the whole rule.
    faults.push_back(
        isDns1123Subdomain(value)
            ? "must not contain dots"
            : regexFault("a lowercase RFC 1123 label must consist of lower case alphanumeric "
                         "characters or '-', and must start and end with an alphanumeric character",
                         kLabelRegex, {"my-name", "123-abc"}));
  }
  return faults;
}

Faults faultsOfDns1035Label(std::string_view value) {
  Faults faults;
  if (value.size() > 63) faults.push_back(tooLong(63));
  if (!isDns1123Label(value) || (value[0] >= '0' && value[0] <= '9')) {
    faults.push_back(regexFault(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
        "alphabetic character, and end with an alphanumeric character",
        kDns1035Regex, {"my-name", "abc-123"}));
  }
  return faults;
}

Faults faultsOfDns1123Subdomain(std::string_view value) {
  Faults faults;
  if (value.size() > 253) faults.push_back(tooLong(253));
  if (!isDns1123Subdomain(value)) {
    faults.push_back(
        regexFault("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                   "characters, '-' or '.', and must start and end with an alphanumeric character",
                   kSubdomainRegex, {"example.com"}));
  }
  return faults;
}

Faults faultsOfQualifiedName(std::string_view value) {
  constexpr std::string_view kRule =
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
      "alphanumeric character";
  Faults faults;
  const std::size_t slash = value.find('/');
  std::string_view name = value;
  if (slash != std::string_view::npos) {
    if (value.find('/', slash + 1) != std::string_view::npos) {
      faults.push_back(regexFault("a qualified name " + std::string(kRule), kQualifiedRegex,
                                  {"MyName", "my.name", "123-abc"}) +
                       " with an optional DNS subdomain prefix and '/' (e.g. "
                       "'example.com/MyName')");
      return faults;
    }
    const std::string_view prefix = value.substr(0, slash);
    name = value.substr(slash + 1);
    if (prefix.empty()) {
      faults.emplace_back("prefix part must be non-empty");
    } else {
      for (const std::string& fault : faultsOfDns1123Subdomain(prefix)) {
        faults.push_back("prefix part " + fault);
      }
    }
  }
  if (name.empty()) {
    faults.emplace_back("name part must be non-empty");
  } else if (name.size() > 63) {
    faults.push_back("name part " + tooLong(63));
  }
  if (!matches(name, isAlnum, "-_.")) {
    faults.push_back(regexFault("name part " + std::string(kRule), kQualifiedRegex,
                                {"MyName", "my.name", "123-abc"}));
  }
  return faults;
}

Faults faultsOfLabelValue(std::string_view value) {
  Faults faults;
  if (value.size() > 63) faults.push_back(tooLong(63));
  if (!value.empty() && !matches(value, isAlnum, "-_.")) {
    faults.push_back(regexFault(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
        "'.', and must start and end with an alphanumeric character",
        kLabelValueRegex, {"MyValue", "my_value", "12345"}));
  }
  return faults;
}

Faults faultsOfPortName(std::string_view value) {
  Faults faults;
  if (value.size() > 15) faults.push_back(tooLong(15));
  if (value.empty() ||
      !std::ranges::all_of(value, [](char c) { return isLowerAlnum(c) || c == '-'; })) {
    faults.emplace_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (std::ranges::none_of(value, isLower)) {
    faults.emplace_back("must contain at least one letter (a-z)");
  }
  if (value.find("--") != std::string_view::npos) {
    faults.emplace_back("must not contain consecutive hyphens");
  }
  if (value.starts_with('-') || value.ends_with('-')) {
    faults.emplace_back("must not begin or end with a hyphen");
  }
  return faults;
}

Faults faultsOfPortNumber(std::int64_t port) {
  if (port >= 1 && port <= 65535) return {};
  return {rangeFault(1, 65535)};
}

Faults faultsOfEnvName(std::string_view value) {
  if (!value.empty() &&
      std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~' && c != '='; })) {
    return {};
  }
  return {
      "a valid environment variable name must consist only of printable ASCII characters other "
      "than '='"};
}

Faults faultsOfConfigMapKey(std::string_view value) {
  Faults faults;
  if (value.size() > 253) faults.push_back(tooLong(253));
  const bool wellFormed = !value.empty() && std::ranges::all_of(value, [](char c) {
    return isAlnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!wellFormed) {
    faults.push_back(
        regexFault("a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                   "[-._a-zA-Z0-9]+", {"key.name", "KEY_NAME", "key-name"}));
  }
  if (value == ".") {
    faults.emplace_back("must not be '.'");
  } else if (value == "..") {
    faults.emplace_back("must not be '..'");
  } else if (value.starts_with("..")) {
    faults.emplace_back("must not start with '..'");
  }
  return faults;
}

Faults faultsOfHttpHeaderName(std::string_view value) {
  if (!value.empty() && std::ranges::all_of(value, [](char c) { return isAlnum(c) || c == '-'; })) {
    return {};
  }
  return {regexFault("a valid HTTP header must consist of alphanumeric characters or '-'",
                     "[-A-Za-z0-9]+", {"X-Header-Name"})};
}

}  // namespace podlab::api
