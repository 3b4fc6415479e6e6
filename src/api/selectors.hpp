#pragma once
#include <google/protobuf/map.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/kinds.hpp"
#include "api/object.hpp"
#include "common/status.hpp"

namespace podlab::api {

using Labels = google::protobuf::Map<std::string, std::string>;

/// Whether both have the same keys with the same values.
bool sameLabels(const Labels& a, const Labels& b);

/// A set of requirements on labels, all of which must hold (apimachinery's labels.Selector). The
/// empty one matches everything.
class LabelSelector {
 public:
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist, kGreaterThan, kLessThan };
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;  ///< sorted
  };

  LabelSelector() = default;
  /// "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2" (kubectl's -l). kBadRequest names the fault.
  static Result<LabelSelector> parse(std::string_view text);
  /// An API object's selector; kInvalid names an unknown operator or wrong values.
  static Result<LabelSelector> of(const metav1::LabelSelector& selector);

  /// != and notin hold also for an object without the label.
  bool matches(const Labels& labels) const;
  bool empty() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  /// The text form, sorted by key; "" for the empty selector.
  std::string toString() const;

 private:
  std::vector<Requirement> requirements_;
};

/// Requirements on fields: "spec.nodeName=a,status.phase!=Failed".
class FieldSelector {
 public:
  struct Requirement {
    std::string field;
    bool equal = true;
    std::string value;
  };

  FieldSelector() = default;
  /// kBadRequest for a malformed text and for a field that `kind` cannot select by.
  static Result<FieldSelector> parse(const Kind& kind, std::string_view text);

  bool matches(const google::protobuf::Message& object) const;
  bool empty() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  /// The value that `field` must have ("metadata.name"), nullptr when the selector does not fix it.
  const std::string* requiredValue(std::string_view field) const;

 private:
  std::vector<Requirement> requirements_;
  /// How to read each requirement's field.
  std::vector<std::function<std::string(const google::protobuf::Message&)>> readers_;
};

/// Whether a node is in `terms`: one of them must hold, with all of its expressions. A term without
/// expressions holds for none.
bool matchesNodeSelector(const corev1::NodeSelector& selector, const corev1::Node& node);
bool matchesNodeSelectorTerm(const corev1::NodeSelectorTerm& term, const corev1::Node& node);
/// Whether spec.nodeSelector and the required node affinity of the pod allow the node.
bool podAllowsNode(const corev1::PodSpec& pod, const corev1::Node& node);

}  // namespace podlab::api
