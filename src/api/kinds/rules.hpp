#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_errors.hpp"
#include "api/object.hpp"
#include "api/pod_resources.hpp"
#include "api/quantity.hpp"
#include "api/selectors.hpp"
#include "api/taints.hpp"

/// Rules that several kinds share, in the wording of Kubernetes (pkg/apis/core/validation).
namespace podlab::api {

inline constexpr std::string_view kImmutable = "field is immutable";
inline constexpr std::string_view kImmutableWhenSet = "field is immutable when `immutable` is set";
inline constexpr std::int64_t kMaxDataBytes = 1 << 20;  ///< of a ConfigMap or Secret

/// The keys of a protobuf map in a fixed order.
template <typename Map>
std::vector<std::string> sortedKeys(const Map& map) {
  std::vector<std::string> keys;
  keys.reserve(map.size());
  for (const auto& entry : map) keys.push_back(entry.first);
  std::ranges::sort(keys);
  return keys;
}

/// Whether two protobuf maps have the same entries.
template <typename Map>
bool sameEntries(const Map& a, const Map& b) {
  return a.size() == b.size() && std::ranges::all_of(a, [&](const auto& entry) {
           const auto other = b.find(entry.first);
           return other != b.end() && other->second == entry.second;
         });
}

/// `list` with each element's path.
template <typename List, typename Function>
void forEach(const List& list, const FieldPath& path, Function function) {
  std::size_t i = 0;
  for (const auto& element : list) function(element, path.index(i++));
}

/// Equal but for unset fields that equal their defaults.
bool sameMessage(const google::protobuf::Message& a, const google::protobuf::Message& b);

void validateIp(const std::string& address, const FieldPath& path, FieldErrors& errors);
/// 4 or 6, or 0 for what is no address.
int addressFamily(const std::string& text);
/// 4 or 6 for "10.0.0.0/24" or "fd00::/64", 0 for what is no range.
int cidrFamily(std::string_view text);
/// Whether one range lies in another, larger one.
bool isStrictSubset(std::string_view inner, std::string_view outer);

void validateLabels(const Labels& labels, const FieldPath& path, FieldErrors& errors);
void validateFinalizer(const std::string& name, const FieldPath& path, FieldErrors& errors);
/// A set of addresses or ranges: at most one of each family.
void validateFamilies(const std::vector<int>& families, const std::string& value,
                      std::string_view what, const FieldPath& path, FieldErrors& errors);
/// A Quantity that is well-formed and not negative, and whole for resources other than cpu, memory
/// and storage.
void validateQuantity(std::string_view resource, const resourcev1::Quantity& quantity,
                      const FieldPath& path, FieldErrors& errors);
void validateTaintEffect(const std::string& effect, const FieldPath& path, FieldErrors& errors);
void validateDataKeys(const std::vector<std::string>& keys, const FieldPath& path,
                      FieldErrors& errors);
/// Canonical form, thousandths at the finest; a malformed quantity stays for validation to name it.
void canonicalize(ResourceMap& resources);

}  // namespace podlab::api
