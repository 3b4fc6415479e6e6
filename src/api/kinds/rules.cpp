#include "api/kinds/rules.hpp"

#include <arpa/inet.h>
#include <google/protobuf/util/message_differencer.h>

#include <array>
#include <charconv>

#include "api/names.hpp"

namespace podlab::api {
bool sameMessage(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equivalent(a, b);
}

int addressFamily(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return 4;
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return 6;
  return 0;
}

void validateIp(const std::string& address, const FieldPath& path, FieldErrors& errors) {
  if (addressFamily(address) != 0) return;
  errors.invalid(path, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

namespace {

struct Range {
  int family = 0;  ///< 0: no range
  int bits = 0;
  std::array<unsigned char, 16> address{};
};

Range rangeOf(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {};
  const std::string address(text.substr(0, slash));
  const std::string_view length = text.substr(slash + 1);
  Range range{addressFamily(address), -1, {}};
  const auto [end, error] =
      std::from_chars(length.data(), length.data() + length.size(), range.bits);
  if (error != std::errc() || end != length.data() + length.size()) return {};
  if (range.family == 0 || range.bits < 0 || range.bits > (range.family == 4 ? 32 : 128)) return {};
  inet_pton(range.family == 4 ? AF_INET : AF_INET6, address.c_str(), range.address.data());
  return range;
}

}  // namespace

int cidrFamily(std::string_view text) {
  return rangeOf(text).family;
}

bool isStrictSubset(std::string_view inner, std::string_view outer) {
  const Range in = rangeOf(inner);
  const Range out = rangeOf(outer);
  if (in.family == 0 || in.family != out.family || in.bits <= out.bits) return false;
  for (int bit = 0; bit < out.bits; ++bit) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((in.address[at] & mask) != (out.address[at] & mask)) return false;
  }
  return true;
}

void validateLabels(const Labels& labels, const FieldPath& path, FieldErrors& errors) {
  for (const std::string& key : sortedKeys(labels)) {
    errors.invalidEach(path, key, faultsOfQualifiedName(key));
    const std::string& value = labels.at(key);
    errors.invalidEach(path, value, faultsOfLabelValue(value));
  }
}

void validateFinalizer(const std::string& name, const FieldPath& path, FieldErrors& errors) {
  errors.invalidEach(path, name, faultsOfQualifiedName(name));
  const bool standard = name == "kubernetes" || name == "orphan" || name == "foregroundDeletion";
  if (!standard && name.find('/') == std::string::npos) {
    errors.invalid(path, name,
                   "name is neither a standard finalizer name nor is it fully qualified");
  }
}

void validateFamilies(const std::vector<int>& families, const std::string& value,
                      std::string_view what, const FieldPath& path, FieldErrors& errors) {
  if (std::ranges::count(families, 4) > 1 || std::ranges::count(families, 6) > 1) {
    errors.invalid(path, value,
                   "may specify no more than one " + std::string(what) + " for each IP family");
  }
}

void validateQuantity(std::string_view resource, const resourcev1::Quantity& quantity,
                      const FieldPath& path, FieldErrors& errors) {
  const auto parsed = Quantity::parse(quantity);
  if (!parsed) {
    errors.invalid(path, quantity.string(), parsed.status().message());
  } else if (parsed->isNegative()) {
    errors.invalid(path, quantity.string(), "must be greater than or equal to 0");
  } else if ((resource.find('/') != std::string_view::npos || resource == "pods") &&
             *parsed != Quantity::of(parsed->value())) {
    errors.invalid(path, quantity.string(), "must be an integer");
  }
}

void validateTaintEffect(const std::string& effect, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kEffects[] = {kNoSchedule, kPreferNoSchedule, kNoExecute};
  errors.oneOf(path, effect, kEffects);
}

void validateDataKeys(const std::vector<std::string>& keys, const FieldPath& path,
                      FieldErrors& errors) {
  for (const std::string& key : keys) {
    errors.invalidEach(path.key(key), key, faultsOfConfigMapKey(key));
  }
}

void canonicalize(ResourceMap& resources) {
  for (auto& [name, quantity] : resources) {
    const auto parsed = Quantity::parse(quantity);
    if (parsed) quantity.set_string(parsed->roundedToMilli().toString());
  }
}

}  // namespace podlab::api
