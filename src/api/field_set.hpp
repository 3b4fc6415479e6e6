#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab::api {

/// A set of the fields of an object, as a tree. What leads from a node to a child is a path element
/// in the words of metav1.FieldsV1 (upstream's structured-merge-diff, fieldpath/serialize-pe.go):
/// "f:NAME" a member, "k:{KEYS}" the element of a list with these keys, "v:VALUE" the element of a
/// set, "i:N" an element by its place.
struct FieldSet {
  using Children = std::map<std::string, FieldSet, std::less<>>;

  bool member = false;  ///< the field itself is in the set
  Children children;    ///< none is empty

  bool empty() const { return !member && children.empty(); }
  bool operator==(const FieldSet& other) const {
    return member == other.member && children == other.children;
  }

  void unite(const FieldSet& other);
  void subtract(const FieldSet& other);
  void intersect(const FieldSet& other);
  /// Puts a subtree in, unless it is empty or has no element to be found by.
  void put(std::string element, FieldSet child);
  /// The paths of all members as errors name them: ".spec.containers[name="a"].image".
  std::vector<std::string> paths() const;

  /// The text of metav1.FieldsV1: {"f:data":{".":{},"f:k":{}}}.
  std::string toFieldsV1() const;
  /// Path elements of an unknown sort are left out. kBadRequest for what is no such text.
  static Result<FieldSet> parse(std::string_view fieldsV1);
};

}  // namespace podlab::api
