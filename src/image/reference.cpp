#include "image/reference.hpp"

#include <algorithm>
#include <optional>

namespace podlab::image {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::string_view kDefaultDomain = "docker.io";

bool isLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool isUpper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool isDigit(char c) {
  return c >= '0' && c <= '9';
}
bool isAlphanumeric(char c) {
  return isLower(c) || isUpper(c) || isDigit(c);
}
bool isLowerHex(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'f');
}
bool isHex(char c) {
  return isLowerHex(c) || (c >= 'A' && c <= 'F');
}

bool allOf(std::string_view text, bool (*predicate)(char)) {
  return std::all_of(text.begin(), text.end(), predicate);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (isUpper(c)) c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Calls `check` for each part between separators; false at the first that fails.
template <typename Check>
bool eachPart(std::string_view text, char separator, Check check) {
  for (;;) {
    const auto end = std::min(text.find(separator), text.size());
    if (!check(text.substr(0, end))) return false;
    if (end == text.size()) return true;
    text.remove_prefix(end + 1);
  }
}

bool isDomainComponent(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         allOf(text, [](char c) { return isAlphanumeric(c) || c == '-'; });
}

/// host[:port]: names of letters, digits and hyphens, or an IPv6 address in brackets.
bool isDomain(std::string_view text) {
  const auto bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
  const auto colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const auto port = text.substr(colon + 1);
    if (port.empty() || !allOf(port, isDigit)) return false;
    text = text.substr(0, colon);
  }
  if (text.starts_with('[')) {
    return text.size() > 2 && text.ends_with(']') &&
           allOf(text.substr(1, text.size() - 2), [](char c) { return isHex(c) || c == ':'; });
  }
  return eachPart(text, '.', isDomainComponent);
}

/// Lower-case letters and digits, with ".", "_", "__" or hyphens between.
bool isPathComponent(std::string_view text) {
  const auto isPlain = [](char c) { return isLower(c) || isDigit(c); };
  std::size_t at = 0;
  const auto word = [&] {
    const auto begin = at;
    while (at < text.size() && isPlain(text[at])) ++at;
    return at > begin;
  };
  if (!word()) return false;
  while (at < text.size()) {
    const auto begin = at;
    while (at < text.size() && !isPlain(text[at])) ++at;
    const auto separator = text.substr(begin, at - begin);
    const bool hyphens = allOf(separator, [](char c) { return c == '-'; });
    if (!hyphens && separator != "." && separator != "_" && separator != "__") return false;
    if (!word()) return false;
  }
  return true;
}

bool isTag(std::string_view text) {
  const auto isWord = [](char c) { return isAlphanumeric(c) || c == '_'; };
  return !text.empty() && text.size() <= kMaxTag && isWord(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return isWord(c) || c == '.' || c == '-'; });
}

/// algorithm:hex of at least 32 digits; the algorithm's parts begin with a letter.
bool looksLikeDigest(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto hex = text.substr(colon + 1);
  if (hex.size() < 32 || !allOf(hex, isHex)) return false;
  bool begin = true;
  for (const char c : text.substr(0, colon)) {
    const bool separator = c == '-' || c == '_' || c == '+' || c == '.';
    if (begin ? !(isLower(c) || isUpper(c)) : !(isAlphanumeric(c) || separator)) return false;
    begin = separator;
  }
  return !begin;
}

/// What opencontainers/go-digest finds wrong; empty when nothing.
std::string_view faultOfDigest(std::string_view text) {
  const auto colon = text.find(':');
  const auto algorithm = text.substr(0, colon);
  const auto hex = text.substr(colon + 1);
  const std::size_t length = algorithm == "sha256"   ? 64
                             : algorithm == "sha384" ? 96
                             : algorithm == "sha512" ? 128
                                                     : 0;
  if (length == 0) return "unsupported digest algorithm";
  if (hex.size() != length) return "invalid checksum digest length";
  if (!allOf(hex, isLowerHex)) return "invalid checksum digest format";
  return {};
}

Status invalid(std::string message) {
  return Status(Code::kInvalid, std::move(message));
}

}  // namespace

std::string Reference::toString() const {
  return repository() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

bool isSha256Digest(std::string_view digest) {
  return digest.starts_with("sha256:") && faultOfDigest(digest).empty();
}

Result<Reference> parseReference(std::string_view text) {
  if (text.size() == 64 && allOf(text, isLowerHex)) {
    return invalid("invalid repository name (" + std::string(text) +
                   "), cannot specify 64-byte hexadecimal strings");
  }
  // What is before the first slash is a domain only when it cannot be a part of a path.
  Reference reference;
  std::string_view rest = text;
  const auto slash = text.find('/');
  const auto first = text.substr(0, slash);
  if (slash == std::string_view::npos || (first.find_first_of(".:") == std::string_view::npos &&
                                          first != "localhost" && lower(first) == first)) {
    reference.domain = kDefaultDomain;
  } else {
    reference.domain = first;
    rest = text.substr(slash + 1);
  }
  if (reference.domain == "index.docker.io") reference.domain = kDefaultDomain;

  const auto name = rest.substr(0, rest.find(':'));
  if (lower(name) != name) {
    return invalid("invalid reference format: repository name (" + std::string(name) +
                   ") must be lowercase");
  }
  const auto at = rest.find('@');
  if (at != std::string_view::npos) {
    const auto digest = rest.substr(at + 1);
    if (!looksLikeDigest(digest)) return invalid("invalid reference format");
    if (const auto fault = faultOfDigest(digest); !fault.empty())
      return invalid(std::string(fault));
    reference.digest = digest;
    rest = rest.substr(0, at);
  }
  const auto colon = rest.find(':');
  if (colon != std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    if (!isTag(reference.tag)) return invalid("invalid reference format");
    rest = rest.substr(0, colon);
  }
  if (!isDomain(reference.domain) || !eachPart(rest, '/', isPathComponent))
    return invalid("invalid reference format");
  const bool official =
      reference.domain == kDefaultDomain && rest.find('/') == std::string_view::npos;
  reference.path = (official ? "library/" : "") + std::string(rest);
  if (reference.repository().size() > kMaxName)
    return invalid("repository name must not be more than 255 characters");
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

}  // namespace podlab::image
