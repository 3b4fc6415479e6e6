#include "api/json_path.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>

#include <nlohmann/json.hpp>

namespace podlab::api {
namespace {

using nlohmann::json;
using Values = std::vector<json>;

struct Step;
using Path = std::vector<Step>;

/// One step from values to values.
struct Step {
  enum class Kind {
    kField,
    kWildcard,
    kRecursive,  ///< the value and all below it
    kSlice,      ///< [from:to:by], or [from] alone
    kUnion,      ///< [a,b]
    kFilter,     ///< [?(left operation right)]
    kLiteral,
  };
  Kind kind = Kind::kField;
  std::string name;
  std::optional<std::int64_t> from, to, by;
  bool single = false;
  std::vector<Path> paths;  ///< the parts of a union; left and right of a filter
  std::string operation;    ///< "" for existence
  json literal;
};

Status fault(const std::string& what) {
  return {Code::kBadRequest, what};
}

}  // namespace

/// A part of a template: a path, or what stands between {range PATH} and {end}.
struct JsonPath::Item {
  Path path;
  bool range = false;
  std::vector<Item> body;
};

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::vector<JsonPath::Item>> items() {
    std::vector<JsonPath::Item> out;
    std::vector<std::vector<JsonPath::Item>> open;  // bodies around the range that is read
    while (at_ < text_.size()) {
      const auto brace = std::min(text_.find('{', at_), text_.size());
      if (brace > at_)
        out.push_back(itemOf({literal(std::string(text_.substr(at_, brace - at_)))}));
      at_ = brace + 1;
      if (brace == text_.size()) break;
      while (peek() == ' ') ++at_;
      if (word("range")) {
        open.push_back(std::move(out));
        out.clear();
        auto over = path();
        if (!over) return over.status();
        JsonPath::Item range;
        range.path = std::move(*over);
        range.range = true;
        open.back().push_back(std::move(range));
      } else if (word("end")) {
        if (open.empty()) return fault("not in range, nothing to end");
        open.back().back().body = std::move(out);
        out = std::move(open.back());
        open.pop_back();
      } else {
        auto one = path();
        if (!one) return one.status();
        out.push_back(itemOf(std::move(*one)));
      }
      while (peek() == ' ') ++at_;
      if (peek() != '}') return fault("unclosed action");
      ++at_;
    }
    while (!open.empty()) {  // as upstream: the end of the text ends a range
      open.back().back().body = std::move(out);
      out = std::move(open.back());
      open.pop_back();
    }
    return out;
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  static JsonPath::Item itemOf(Path path) {
    JsonPath::Item item;
    item.path = std::move(path);
    return item;
  }
  static Step literal(json value) {
    Step step;
    step.kind = Step::Kind::kLiteral;
    step.literal = std::move(value);
    return step;
  }
  bool word(std::string_view name) {
    if (text_.substr(at_, name.size()) != name) return false;
    const char next = peek(name.size());
    if (std::isalnum(static_cast<unsigned char>(next))) return false;
    at_ += name.size();
    return true;
  }

  /// Up to what ends a path: '}', ')', an operator, or in a union ',' and ']'.
  Result<Path> path() {
    if (++depth_ > kMaxDepth) return fault("nested too deeply");
    Path steps;
    for (bool more = true; more;) {
      while (peek() == ' ') ++at_;
      const char c = peek();
      if (c == '.') {
        ++at_;
        if (peek() == '.') {
          ++at_;
          Step step;
          step.kind = Step::Kind::kRecursive;
          steps.push_back(std::move(step));
        }
        if (peek() != '[') field(steps);
      } else if (c == '$' || c == '@') {
        ++at_;
      } else if (c == '[') {
        if (Status status = bracket(steps); !status) return status;
      } else if (c == '"' || c == '\'') {
        auto text = quoted();
        if (!text) return text.status();
        steps.push_back(literal(*text));
      } else if (std::isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '+') {
        steps.push_back(number());
      } else if (word("true") || word("false")) {
        steps.push_back(literal(text_[at_ - 2] == 'u'));
      } else if (steps.empty() && std::isalpha(static_cast<unsigned char>(c))) {
        return fault("unrecognized identifier " + identifier());
      } else {
        more = false;
      }
    }
    --depth_;
    return steps;
  }

  void field(Path& steps) {
    if (peek() == '*') {
      ++at_;
      Step step;
      step.kind = Step::Kind::kWildcard;
      steps.push_back(std::move(step));
      return;
    }
    Step step;
    step.name = identifier();
    if (!step.name.empty()) steps.push_back(std::move(step));
  }

  /// A field's name; a backslash takes the next character as it is.
  std::string identifier() {
    std::string name;
    for (; at_ < text_.size(); ++at_) {
      if (peek() == '\\' && at_ + 1 < text_.size()) {
        name += text_[++at_];
        continue;
      }
      if (std::string_view(" \t\r\n.,[]{}()$@=!<>").find(peek()) != std::string_view::npos) break;
      name += peek();
    }
    return name;
  }

  Result<std::string> quoted() {
    const char quote = text_[at_++];
    std::string out;
    for (; at_ < text_.size(); ++at_) {
      const char c = peek();
      if (c == quote) {
        ++at_;
        return out;
      }
      if (c != '\\') {
        out += c;
        continue;
      }
      ++at_;
      const char escaped = peek();
      out += escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped == 'r' ? '\r' : escaped;
    }
    return fault("unterminated quoted string");
  }

  Step number() {
    const auto begin = at_++;
    while (std::isdigit(static_cast<unsigned char>(peek())) || peek() == '.') ++at_;
    const std::string text(text_.substr(begin, at_ - begin));
    if (text.find('.') != std::string::npos) return literal(std::strtod(text.c_str(), nullptr));
    return literal(std::strtoll(text.c_str(), nullptr, 10));
  }

  std::optional<std::int64_t> integer() {
    const auto begin = at_;
    if (peek() == '-' || peek() == '+') ++at_;
    while (std::isdigit(static_cast<unsigned char>(peek()))) ++at_;
    if (at_ == begin) return std::nullopt;
    return std::strtoll(std::string(text_.substr(begin, at_ - begin)).c_str(), nullptr, 10);
  }

  Status bracket(Path& steps) {
    ++at_;
    if (peek() == '?') return filter(steps);
    // [a,b]: each part is a bracket of its own.
    std::vector<Path> parts;
    do {
      Path part;
      if (Status status = element(part); !status) return status;
      parts.push_back(std::move(part));
      while (peek() == ' ') ++at_;
    } while (peek() == ',' && ++at_ > 0);
    if (peek() != ']')
      return fault(at_ >= text_.size() ? "unterminated array" : "invalid array index");
    ++at_;
    if (parts.size() == 1) {
      std::ranges::move(parts.front(), std::back_inserter(steps));
      return {};
    }
    Step step;
    step.kind = Step::Kind::kUnion;
    step.paths = std::move(parts);
    steps.push_back(std::move(step));
    return {};
  }

  Status element(Path& steps) {
    while (peek() == ' ') ++at_;
    Step step;
    if (peek() == '\'' || peek() == '"') {
      // As upstream: a path, whose dots are escaped where they belong to a name.
      const auto end = text_.find(peek(), at_ + 1);
      if (end == std::string_view::npos) return fault("unterminated quoted string");
      const std::string inner = "." + std::string(text_.substr(at_ + 1, end - at_ - 1));
      Parser parser(inner);
      auto path = parser.path();
      if (!path) return path.status();
      if (parser.at_ < inner.size()) return fault("invalid array index " + inner.substr(1));
      std::ranges::move(*path, std::back_inserter(steps));
      at_ = end + 1;
      return {};
    }
    if (peek() == '*') {
      ++at_;
      step.kind = Step::Kind::kSlice;
    } else {
      step.kind = Step::Kind::kSlice;
      step.from = integer();
      if (peek() != ':') {
        if (!step.from) return fault("unterminated array");
        step.single = true;
      } else {
        ++at_;
        step.to = integer();
        if (peek() == ':' && ++at_ > 0) step.by = integer();
      }
    }
    steps.push_back(std::move(step));
    return {};
  }

  Status filter(Path& steps) {
    ++at_;
    if (peek() != '(') return fault("unterminated filter");
    ++at_;
    Step step;
    step.kind = Step::Kind::kFilter;
    auto left = path();
    if (!left) return left.status();
    step.paths.push_back(std::move(*left));
    for (const char* operation : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!text_.substr(at_).starts_with(operation)) continue;
      step.operation = operation;
      at_ += step.operation.size();
      auto right = path();
      if (!right) return right.status();
      step.paths.push_back(std::move(*right));
      break;
    }
    if (peek() != ')' || peek(1) != ']') return fault("unterminated filter");
    at_ += 2;
    steps.push_back(std::move(step));
    return {};
  }

  static constexpr int kMaxDepth = 100;
  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

Result<Values> follow(const Path& path, Values values);

Status slice(const Step& step, const json& value, Values& out) {
  if (value.is_null()) return {};
  if (!value.is_array()) return fault(value.dump() + " is not array or slice");
  const auto size = static_cast<std::int64_t>(value.size());
  std::int64_t from = step.from.value_or(0);
  if (from < 0) from += size;
  std::int64_t to = step.single ? from + 1 : step.to.value_or(size);
  if (to < 0) to += size;
  if (from == to) return {};
  for (const std::int64_t index : {from, to - 1}) {
    if (index >= 0 && index < size) continue;
    return fault("array index out of bounds: index " + std::to_string(index) + ", length " +
                 std::to_string(size));
  }
  const std::int64_t by = step.by.value_or(1);
  if (by <= 0) return fault("step must be > 0");
  for (std::int64_t i = from; i < to; i += by) out.push_back(value[static_cast<std::size_t>(i)]);
  return {};
}

void addAll(const json& value, Values& out) {
  if (!value.is_structured()) return;
  out.push_back(value);
  for (const auto& child : value) addAll(child, out);
}

bool holds(const std::string& operation, const json& left, const json& right) {
  if (operation == "==") return left == right;
  if (operation == "!=") return left != right;
  if (operation == "<") return left < right;
  if (operation == "<=") return left <= right;
  if (operation == ">") return left > right;
  return left >= right;
}

Status filter(const Step& step, const json& value, Values& out) {
  if (!value.is_array())
    return fault(value.dump() + " is not array or slice and cannot be filtered");
  for (const auto& element : value) {
    auto left = follow(step.paths[0], {element});
    if (!left) return left.status();
    if (step.operation.empty()) {
      if (!left->empty()) out.push_back(element);
      continue;
    }
    auto right = follow(step.paths[1], {element});
    if (!right) return right.status();
    if (left->size() > 1 || right->size() > 1)
      return fault("can only compare one element at a time");
    if (!left->empty() && !right->empty() && holds(step.operation, left->front(), right->front()))
      out.push_back(element);
  }
  return {};
}

Result<Values> take(const Step& step, const Values& values) {
  Values out;
  for (const auto& path : step.kind == Step::Kind::kUnion ? step.paths : std::vector<Path>()) {
    auto part = follow(path, values);
    if (!part) return part;
    out.insert(out.end(), part->begin(), part->end());
  }
  for (const auto& value : values) {
    Status status;
    switch (step.kind) {
      case Step::Kind::kField:
        if (value.is_object() && value.contains(step.name)) out.push_back(value[step.name]);
        break;
      case Step::Kind::kWildcard:
        if (value.is_structured()) out.insert(out.end(), value.begin(), value.end());
        break;
      case Step::Kind::kRecursive:
        addAll(value, out);
        break;
      case Step::Kind::kSlice:
        status = slice(step, value, out);
        break;
      case Step::Kind::kUnion:
        break;
      case Step::Kind::kFilter:
        status = filter(step, value, out);
        break;
      case Step::Kind::kLiteral:
        out.push_back(step.literal);
        break;
    }
    if (!status) return status;
  }
  return out;
}

Result<Values> follow(const Path& path, Values values) {
  for (const auto& step : path) {
    auto next = take(step, values);
    if (!next) return next;
    values = std::move(*next);
  }
  return values;
}

Status findAll(const std::vector<JsonPath::Item>& items, const json& object,
               std::vector<Values>& out) {
  for (const auto& item : items) {
    auto found = follow(item.path, {object});
    if (!found) return found.status();
    if (!item.range) {
      out.push_back(std::move(*found));
      continue;
    }
    for (const auto& one : *found) {
      if (Status status = findAll(item.body, one, out); !status) return status;
    }
  }
  return {};
}

}  // namespace

JsonPath::JsonPath(std::vector<Item> items) : items_(std::move(items)) {}
JsonPath::~JsonPath() = default;
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath& JsonPath::operator=(JsonPath&&) noexcept = default;

Result<JsonPath> JsonPath::parse(std::string_view text) {
  auto items = Parser(text).items();
  if (!items)
    return fault("error parsing jsonpath " + std::string(text) + ", " + items.status().message());
  return JsonPath(std::move(*items));
}

Result<JsonPath> JsonPath::parseRelaxed(std::string_view text) {
  std::string_view path = text;
  const bool braces = path.starts_with('{') && path.ends_with('}');
  if (braces) path = path.substr(1, path.size() - 2);
  if (path.starts_with('.')) path.remove_prefix(1);
  if (path.empty() || path.find_first_of("{}") != std::string_view::npos) {
    return fault(
        "unexpected path string, expected a 'name1.name2' or '.name1.name2' or "
        "'{name1.name2}' or '{.name1.name2}'");
  }
  return parse("{." + std::string(path) + "}");
}

Result<std::vector<Values>> JsonPath::find(const json& object) const {
  std::vector<Values> out;
  if (Status status = findAll(items_, object, out); !status) return status;
  return out;
}

Result<std::string> JsonPath::print(const json& object) const {
  auto found = find(object);
  if (!found) return found.status();
  std::string text;
  for (const auto& values : *found) {
    bool first = true;
    for (const auto& value : values) {
      if (!std::exchange(first, false)) text += ' ';
      text += value.is_string() ? value.get<std::string>() : value.dump();
    }
  }
  return text;
}

}  // namespace podlab::api
