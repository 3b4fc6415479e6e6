#include "api/selectors.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "api/field_errors.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using Operator = LabelSelector::Operator;
using Requirement = LabelSelector::Requirement;

std::optional<std::int64_t> integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool contains(const std::vector<std::string>& values, const std::string& value) {
  return std::ranges::find(values, value) != values.end();
}

/// One rule for labels and nodes: `value` is null when the key is absent.
bool holds(Operator op, const std::vector<std::string>& values, const std::string* value) {
  switch (op) {
    case Operator::kIn:
      return value != nullptr && contains(values, *value);
    case Operator::kNotIn:
      return value == nullptr || !contains(values, *value);
    case Operator::kExists:
      return value != nullptr;
    case Operator::kDoesNotExist:
      return value == nullptr;
    case Operator::kGreaterThan:
    case Operator::kLessThan: {
      if (value == nullptr || values.size() != 1) return false;
      const auto have = integer(*value);
      const auto bound = integer(values.front());
      if (!have || !bound) return false;
      return op == Operator::kGreaterThan ? *have > *bound : *have < *bound;
    }
  }
  return false;
}

const std::string* find(const Labels& labels, const std::string& key) {
  const auto found = labels.find(key);
  return found == labels.end() ? nullptr : &found->second;
}

Status badSelector(std::string_view why) {
  return Status(Code::kBadRequest, "unable to parse requirement: " + std::string(why));
}

/// Why the requirement cannot be, OK when it can.
Status check(const Requirement& requirement) {
  const auto faulty = [&](std::string_view what, const std::string& value, const Faults& faults) {
    return faults.empty() ? Status()
                          : badSelector(std::string(what) + ": Invalid value: " + quoted(value) +
                                        ": " + faults.front());
  };
  if (Status bad = faulty("key", requirement.key, faultsOfQualifiedName(requirement.key)); !bad) {
    return bad;
  }
  const bool compares =
      requirement.op == Operator::kGreaterThan || requirement.op == Operator::kLessThan;
  for (const std::string& value : requirement.values) {
    if (compares && !integer(value)) {
      return badSelector("values[0][" + requirement.key + "]: Invalid value: " + quoted(value) +
                         ": for 'Gt', 'Lt' operators, the value must be an integer");
    }
    const std::string where = "values[0][" + requirement.key + "]";
    if (Status bad = faulty(where, value, faultsOfLabelValue(value)); !bad) return bad;
  }
  return {};
}

/// The tokens of a selector text: , ( ) ! = == != < > and words.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : left_(text) { next(); }

  std::string_view current() const { return current_; }
  bool atEnd() const { return current_.empty(); }
  bool isWord() const { return !current_.empty() && kSpecial.find(current_[0]) == kNone; }

  /// Passes over `token` if it is next.
  bool accept(std::string_view token) {
    if (current_ != token) return false;
    next();
    return true;
  }
  std::string_view take() {
    const std::string_view token = current_;
    next();
    return token;
  }

 private:
  static constexpr std::size_t kNone = std::string_view::npos;
  static constexpr std::string_view kSpecial = ",()!=<>";

  void next() {
    left_.remove_prefix(std::min(left_.find_first_not_of(" \t\r\n"), left_.size()));
    std::size_t length = std::min<std::size_t>(1, left_.size());
    if (left_.starts_with("==") || left_.starts_with("!=")) {
      length = 2;
    } else if (!left_.empty() && kSpecial.find(left_[0]) == kNone) {
      length = std::min(left_.find_first_of(",()!=<> \t\r\n"), left_.size());
    }
    current_ = left_.substr(0, length);
    left_.remove_prefix(length);
  }

  std::string_view left_;
  std::string_view current_;
};

Status expected(std::string_view what, const Tokens& tokens) {
  return badSelector("found " +
                     (tokens.atEnd() ? "the end" : "'" + std::string(tokens.current()) + "'") +
                     ", expected: " + std::string(what));
}

/// "(a,b,)": an empty value stands for itself.
Result<std::vector<std::string>> parseSet(Tokens& tokens) {
  if (!tokens.accept("(")) return expected("'('", tokens);
  std::vector<std::string> values;
  while (true) {
    values.emplace_back(tokens.isWord() ? tokens.take() : "");
    if (tokens.accept(")")) return values;
    if (!tokens.accept(",")) return expected("',' or ')'", tokens);
  }
}

Result<Requirement> parseRequirement(Tokens& tokens) {
  Requirement made;
  const bool negated = tokens.accept("!");
  if (!tokens.isWord()) return expected("a label's name", tokens);
  made.key = tokens.take();
  if (negated) {
    made.op = Operator::kDoesNotExist;
    return made;
  }
  if (tokens.atEnd() || tokens.current() == ",") return made;

  const std::string op(tokens.take());
  if (op == "in" || op == "notin") {
    made.op = op == "in" ? Operator::kIn : Operator::kNotIn;
    auto values = parseSet(tokens);
    if (!values) return values.status();
    made.values = *std::move(values);
  } else if (op == "=" || op == "==" || op == "!=") {
    made.op = op == "!=" ? Operator::kNotIn : Operator::kIn;
    made.values.emplace_back(tokens.isWord() ? tokens.take() : "");
  } else if (op == ">" || op == "<") {
    made.op = op == ">" ? Operator::kGreaterThan : Operator::kLessThan;
    made.values.emplace_back(tokens.isWord() ? tokens.take() : "");
  } else {
    return badSelector("found '" + op + "', expected: in, notin, =, ==, !=, gt, lt");
  }
  return made;
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector made;
  Tokens tokens(text);
  if (tokens.atEnd()) return made;
  do {
    auto requirement = parseRequirement(tokens);
    if (!requirement) return requirement.status();
    if (Status bad = check(*requirement); !bad) return bad;
    std::ranges::sort(requirement->values);
    made.requirements_.push_back(*std::move(requirement));
  } while (tokens.accept(","));
  if (!tokens.atEnd()) return expected("',' or the end", tokens);
  std::ranges::sort(made.requirements_, {}, &Requirement::key);
  return made;
}

Result<LabelSelector> LabelSelector::of(const metav1::LabelSelector& selector) {
  LabelSelector made;
  for (const auto& [key, value] : selector.matchlabels()) {
    made.requirements_.push_back({key, Operator::kIn, {value}});
  }
  for (const auto& expression : selector.matchexpressions()) {
    Requirement requirement{
        expression.key(), {}, {expression.values().begin(), expression.values().end()}};
    const std::string& op = expression.operator_();
    const bool takesValues = op == "In" || op == "NotIn";
    if (takesValues) {
      requirement.op = op == "In" ? Operator::kIn : Operator::kNotIn;
    } else if (op == "Exists" || op == "DoesNotExist") {
      requirement.op = op == "Exists" ? Operator::kExists : Operator::kDoesNotExist;
    } else {
      return Status(Code::kInvalid, quoted(op) + " is not a valid label selector operator");
    }
    if (takesValues == requirement.values.empty()) {
      return Status(Code::kInvalid,
                    "values: Invalid value: for 'In' and 'NotIn' operators the values set must not "
                    "be empty, for 'Exists' and 'DoesNotExist' it must be");
    }
    std::ranges::sort(requirement.values);
    made.requirements_.push_back(std::move(requirement));
  }
  for (const Requirement& requirement : made.requirements_) {
    if (const Status bad = check(requirement); !bad) return Status(Code::kInvalid, bad.message());
  }
  std::ranges::sort(made.requirements_, {}, &Requirement::key);
  return made;
}

bool LabelSelector::matches(const Labels& labels) const {
  return std::ranges::all_of(requirements_, [&](const Requirement& requirement) {
    return holds(requirement.op, requirement.values, find(labels, requirement.key));
  });
}

std::string LabelSelector::toString() const {
  std::string text;
  for (const Requirement& requirement : requirements_) {
    if (!text.empty()) text += ',';
    std::string values;
    for (const std::string& value : requirement.values) {
      if (&value != &requirement.values.front()) values += ',';
      values += value;
    }
    const bool single = requirement.values.size() == 1;
    switch (requirement.op) {
      case Operator::kIn:
        text += requirement.key + (single ? "=" + values : " in (" + values + ")");
        break;
      case Operator::kNotIn:
        text += requirement.key + (single ? "!=" + values : " notin (" + values + ")");
        break;
      case Operator::kExists:
        text += requirement.key;
        break;
      case Operator::kDoesNotExist:
        text += "!" + requirement.key;
        break;
      case Operator::kGreaterThan:
        text += requirement.key + ">" + values;
        break;
      case Operator::kLessThan:
        text += requirement.key + "<" + values;
        break;
    }
  }
  return text;
}

namespace {

/// How `kind` reads a field for selectors; empty when it cannot.
std::function<std::string(const google::protobuf::Message&)> readerOf(const Kind& kind,
                                                                      std::string_view field) {
  if (field == "metadata.name") {
    return [](const google::protobuf::Message& object) { return meta(object).name(); };
  }
  if (field == "metadata.namespace" && kind.namespaced()) {
    return [](const google::protobuf::Message& object) { return meta(object).namespace_(); };
  }
  for (const auto& [name, reader] : kind.strategy.fieldLabels) {
    if (name == field) return reader;
  }
  if (!kind.form) return {};
  for (const auto& [name, stored] : kind.form->fieldLabels) {
    if (name != field) continue;
    return [&kind, read = readerOf(kind.stored(), stored)](const google::protobuf::Message& shown) {
      const auto object = kind.stored().make();
      kind.form->toStored(shown, *object);
      return read(*object);
    };
  }
  return {};
}

}  // namespace

Result<FieldSelector> FieldSelector::parse(const Kind& kind, std::string_view text) {
  FieldSelector made;
  std::string_view left = text;
  while (!left.empty()) {
    // A backslash takes the next character as it is.
    std::string term;
    std::size_t op = std::string::npos;
    std::size_t i = 0;
    for (; i < left.size() && left[i] != ','; ++i) {
      if (op == std::string::npos && (left[i] == '=' || left.substr(i).starts_with("!="))) {
        op = term.size();
      }
      if (left[i] == '\\' && i + 1 < left.size()) ++i;
      term += left[i];
    }
    left.remove_prefix(std::min(i + 1, left.size()));
    if (term.empty()) continue;
    if (op == std::string::npos) {
      return Status(Code::kBadRequest, "invalid selector: '" + std::string(text) +
                                           "'; can't understand '" + term + "'");
    }
    const bool equal = term[op] == '=';
    const std::size_t opSize = equal && !term.substr(op).starts_with("==") ? 1 : 2;
    Requirement requirement{term.substr(0, op), equal, term.substr(op + opSize)};
    made.requirements_.push_back(std::move(requirement));
  }
  for (const Requirement& requirement : made.requirements_) {
    if (auto reader = readerOf(kind, requirement.field)) {
      made.readers_.push_back(std::move(reader));
      continue;
    }
    return Status(Code::kBadRequest,
                  "Unable to find \"" + std::string(kind.group) + "/" + std::string(kind.version) +
                      ", Resource=" + std::string(kind.plural) +
                      "\" that match label selector \"\", field selector \"" + std::string(text) +
                      "\": field label not supported: " + requirement.field);
  }
  return made;
}

bool FieldSelector::matches(const google::protobuf::Message& object) const {
  for (std::size_t i = 0; i < requirements_.size(); ++i) {
    const Requirement& requirement = requirements_[i];
    if ((readers_[i](object) == requirement.value) != requirement.equal) return false;
  }
  return true;
}

const std::string* FieldSelector::requiredValue(std::string_view field) const {
  for (const Requirement& requirement : requirements_) {
    if (requirement.field == field && requirement.equal) return &requirement.value;
  }
  return nullptr;
}

namespace {

bool holdsFor(const corev1::NodeSelectorRequirement& requirement, const std::string* value) {
  constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {"In", Operator::kIn},          {"NotIn", Operator::kNotIn},
      {"Exists", Operator::kExists},  {"DoesNotExist", Operator::kDoesNotExist},
      {"Gt", Operator::kGreaterThan}, {"Lt", Operator::kLessThan}};
  for (const auto& [name, op] : kOperators) {
    if (name == requirement.operator_()) {
      return holds(op, {requirement.values().begin(), requirement.values().end()}, value);
    }
  }
  return false;
}

}  // namespace

bool matchesNodeSelectorTerm(const corev1::NodeSelectorTerm& term, const corev1::Node& node) {
  if (term.matchexpressions().empty() && term.matchfields().empty()) return false;
  const metav1::ObjectMeta& metadata = node.metadata();
  return std::ranges::all_of(term.matchexpressions(),
                             [&](const auto& requirement) {
                               return holdsFor(requirement,
                                               find(metadata.labels(), requirement.key()));
                             }) &&
         std::ranges::all_of(term.matchfields(), [&](const auto& requirement) {
           return requirement.key() == "metadata.name" && holdsFor(requirement, &metadata.name());
         });
}

bool matchesNodeSelector(const corev1::NodeSelector& selector, const corev1::Node& node) {
  return std::ranges::any_of(selector.nodeselectorterms(),
                             [&](const auto& term) { return matchesNodeSelectorTerm(term, node); });
}

bool podAllowsNode(const corev1::PodSpec& pod, const corev1::Node& node) {
  for (const auto& [key, value] : pod.nodeselector()) {
    const std::string* label = find(node.metadata().labels(), key);
    if (label == nullptr || *label != value) return false;
  }
  const corev1::NodeAffinity& affinity = pod.affinity().nodeaffinity();
  return !affinity.has_requiredduringschedulingignoredduringexecution() ||
         matchesNodeSelector(affinity.requiredduringschedulingignoredduringexecution(), node);
}

bool sameLabels(const Labels& a, const Labels& b) {
  return a.size() == b.size() && std::ranges::all_of(a, [&b](const auto& label) {
           const auto found = b.find(label.first);
           return found != b.end() && found->second == label.second;
         });
}

}  // namespace podlab::api
