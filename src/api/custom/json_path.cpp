#include "api/custom/json_path.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace podlab::api {
namespace {

constexpr std::size_t kMaxSteps = 64;

bool isNameChar(char c) {
  return c != '.' && c != '[' && c != ']' && c != '{' && c != '}' && c != ' ' && c != '\'' &&
         c != '"' && c != '(' && c != ')' && c != '=' && c != '<' && c != '>' && c != '!' &&
         c != '*' && c != '?' && c != '@' && c != '$' && c != ',';
}

}  // namespace

class JsonPath::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), left_(text) {}

  Result<JsonPath> parse() {
    JsonPath path;
    if (left_.starts_with('{') && left_.ends_with('}')) {
      left_.remove_prefix(1);
      left_.remove_suffix(1);
    }
    if (left_.starts_with('$')) left_.remove_prefix(1);
    if (left_.empty()) return fail("it is empty");
    while (!left_.empty()) {
      if (path.steps_.size() == kMaxSteps) return fail("it has too many steps");
      auto step = left_.starts_with('[') ? bracket() : member();
      if (!step) return step.status();
      path.steps_.push_back(std::move(*step));
    }
    return path;
  }

 private:
  Status fail(const std::string& why) const {
    return {Code::kBadRequest, "\"" + std::string(text_) + "\" is no JSON path: " + why};
  }

  bool take(std::string_view token) {
    if (!left_.starts_with(token)) return false;
    left_.remove_prefix(token.size());
    return true;
  }

  std::string name() {
    std::string made;
    while (!left_.empty() && (isNameChar(left_.front()) || left_.front() == '\\')) {
      // A backslash takes the next character as it is.
      if (left_.front() == '\\' && left_.size() > 1) left_.remove_prefix(1);
      made += left_.front();
      left_.remove_prefix(1);
    }
    return made;
  }

  /// A string in either kind of quotes.
  std::optional<std::string> quotedText() {
    const char quote = left_.empty() ? '\0' : left_.front();
    if (quote != '\'' && quote != '"') return std::nullopt;
    const auto end = left_.find(quote, 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string made(left_.substr(1, end - 1));
    left_.remove_prefix(end + 1);
    return made;
  }

  Result<Step> member() {
    if (!take(".")) return fail("a step begins with '.' or '['");
    if (take("*")) return Step(All());
    // ".[0]" is as good as "[0]".
    if (left_.starts_with('[')) return bracket();
    std::string found = name();
    if (found.empty()) return fail("a name is missing behind '.'");
    return Step(Member{std::move(found)});
  }

  Result<Step> bracket() {
    take("[");
    if (take("*]")) return Step(All());
    if (take("?(")) return filter();
    if (auto quoted = quotedText()) {
      if (!take("]")) return fail("']' is missing");
      return Step(Member{std::move(*quoted)});
    }
    Range range;
    const auto first = number();
    if (take(":")) {
      range.begin = first.value_or(0);
      range.end = number();
    } else if (first) {
      range.begin = *first;
      if (*first != -1) range.end = *first + 1;
    } else {
      return fail("in brackets there is an index, a range, '*', a quoted name or a filter ?(...)");
    }
    if (!take("]")) return fail("']' is missing");
    return Step(range);
  }

  std::optional<std::int64_t> number() {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(left_.data(), left_.data() + left_.size(), value);
    constexpr std::int64_t kMost = 1 << 30;
    if (error != std::errc() || value > kMost || value < -kMost) return std::nullopt;
    left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
    return value;
  }

  void skipSpace() {
    while (left_.starts_with(' ')) left_.remove_prefix(1);
  }

  /// @.path, or @.path OP value.
  Result<Step> filter() {
    Filter made;
    skipSpace();
    if (!take("@")) return fail("a filter begins with '@'");
    while (left_.starts_with('.') || left_.starts_with('[')) {
      auto step = left_.front() == '[' ? bracket() : member();
      if (!step) return step.status();
      auto* named = std::get_if<Member>(&*step);
      if (named == nullptr) return fail("a filter's path has names only");
      made.path.push_back(std::move(named->name));
    }
    skipSpace();
    constexpr std::array<std::string_view, 6> kOperators{"==", "!=", "<=", ">=", "<", ">"};
    for (const auto op : kOperators) {
      if (made.op.empty() && take(op)) made.op = op;
    }
    skipSpace();
    if (!made.op.empty()) {
      if (auto quoted = quotedText()) {
        made.value = std::move(*quoted);
      } else {
        made.value = Json::parse(name(), nullptr, false);
        if (made.value.is_discarded() || made.value.is_structured())
          return fail("a filter compares with a quoted text, a number, true or false");
      }
    }
    skipSpace();
    if (!take(")]")) return fail("')]' is missing");
    return Step(std::move(made));
  }

  std::string_view text_;
  std::string_view left_;
};

Result<JsonPath> JsonPath::parse(std::string_view text) {
  return Parser(text).parse();
}

bool JsonPath::isSimple() const {
  return std::ranges::all_of(steps_, [](const Step& step) { return step.index() == 0; });
}

std::string_view JsonPath::firstMember() const {
  const auto* first = steps_.empty() ? nullptr : std::get_if<Member>(&steps_.front());
  return first == nullptr ? std::string_view() : std::string_view(first->name);
}

std::string JsonPath::pointer() const {
  Json::json_pointer made;
  for (const Step& step : steps_) {
    if (const auto* member = std::get_if<Member>(&step)) made /= member->name;
  }
  return made.to_string();
}

bool JsonPath::holds(const Filter& filter, const Json& element) {
  const Json* at = &element;
  for (const std::string& name : filter.path) {
    const auto found = at->is_object() ? at->find(name) : at->end();
    if (!at->is_object() || found == at->end()) return false;
    at = &*found;
  }
  const Json& wanted = filter.value;
  if (filter.op.empty()) return true;
  if (filter.op == "==") return *at == wanted;
  if (filter.op == "!=") return *at != wanted;
  const bool comparable =
      (at->is_number() && wanted.is_number()) || (at->is_string() && wanted.is_string());
  if (!comparable) return false;
  if (filter.op == "<") return *at < wanted;
  if (filter.op == ">") return *at > wanted;
  return filter.op == "<=" ? *at <= wanted : *at >= wanted;
}

std::vector<const JsonPath::Json*> JsonPath::find(const Json& value) const {
  std::vector<const Json*> here{&value};
  for (const Step& step : steps_) {
    std::vector<const Json*> next;
    for (const Json* at : here) {
      if (const auto* member = std::get_if<Member>(&step)) {
        if (at->is_object() && at->contains(member->name)) next.push_back(&at->at(member->name));
      } else if (const auto* range = std::get_if<Range>(&step)) {
        if (!at->is_array()) continue;
        const auto size = static_cast<std::int64_t>(at->size());
        const auto from = [&](std::int64_t index) { return index < 0 ? index + size : index; };
        const std::int64_t end = std::min(size, from(range->end.value_or(size)));
        for (std::int64_t i = std::max<std::int64_t>(0, from(range->begin)); i < end; ++i)
          next.push_back(&(*at)[static_cast<std::size_t>(i)]);
      } else if (at->is_structured()) {
        const auto* filter = std::get_if<Filter>(&step);
        if (filter != nullptr && !at->is_array()) continue;
        for (const Json& element : *at) {
          if (filter == nullptr || holds(*filter, element)) next.push_back(&element);
        }
      }
    }
    here = std::move(next);
  }
  return here;
}

const JsonPath::Json* JsonPath::findOne(const Json& value) const {
  const auto found = find(value);
  return found.empty() ? nullptr : found.front();
}

bool JsonPath::set(Json& value, Json wanted) const {
  Json* at = &value;
  for (const Step& step : steps_) {
    const auto* member = std::get_if<Member>(&step);
    if (member == nullptr || !(at->is_object() || at->is_null())) return false;
    at = &(*at)[member->name];
  }
  *at = std::move(wanted);
  return true;
}

}  // namespace podlab::api
