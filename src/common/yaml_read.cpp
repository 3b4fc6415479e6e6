#include <yaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "common/json.hpp"
#include "common/yaml.hpp"
#include "common/yaml_scalar.hpp"

namespace podlab {
namespace {

using Type = YamlScalar::Type;

constexpr std::size_t kMaxExpansion = 10 << 20;  // bytes that aliases may add to a document
constexpr std::size_t kNodeSize = 32;            // what an expanded node counts besides its text

/// An event of libyaml, freed at the end.
struct Event {
  Event() = default;
  ~Event() { yaml_event_delete(&raw); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  yaml_event_t raw{};
};

/// A document as a tree, so that aliases and merge keys find their anchors.
struct Node {
  enum class Kind { kScalar, kSequence, kMapping };
  Kind kind = Kind::kScalar;
  bool isString = false;  ///< whatever the text looks like
  std::string text;
  std::vector<const Node*> children;  ///< of a mapping: keys and values in turn
  std::size_t line = 0;
  bool anchored = false;
};

/// Thrown inside this file only; its edge is yamlToJson.
struct Failure {
  std::string message;
};

[[noreturn]] void fail(std::size_t line, const std::string& what) {
  throw Failure{"line " + std::to_string(line) + ": " + what};
}

std::string text(const yaml_char_t* from) {
  return from ? reinterpret_cast<const char*>(from) : std::string();
}

class Reader {
 public:
  explicit Reader(std::string_view yaml) : yaml_(yaml) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(yaml.data()),
                                 yaml.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// The next document, or nullptr at the end of the stream. It lives until the next call.
  const Node* nextDocument() {
    nodes_.clear();
    anchors_.clear();
    while (true) {
      Event event;
      next(event);
      if (event.raw.type == YAML_STREAM_END_EVENT) return nullptr;
      if (event.raw.type != YAML_DOCUMENT_START_EVENT)
        continue;  // the stream's start, a document's end
      Event root;
      next(root);
      return node(root, 0);
    }
  }

 private:
  void next(Event& event) {
    if (!yaml_parser_parse(&parser_, &event.raw)) throw Failure{problem()};
  }

  std::string problem() const {
    const std::string what = parser_.problem ? parser_.problem : "not enough memory";
    if (parser_.error == YAML_READER_ERROR)
      return "byte " + std::to_string(parser_.problem_offset) + ": " + what;
    const auto& mark = parser_.problem_mark;
    std::string message = "line " + std::to_string(mark.line + 1) + ", column " +
                          std::to_string(mark.column + 1) + ": " + what;
    if (parser_.context) message += std::string(" ") + parser_.context;
    if (indentedByTab(mark.line))
      message += "; YAML is indented by spaces, and this line begins with a tab";
    return message;
  }

  bool indentedByTab(std::size_t line) const {
    std::string_view rest = yaml_;
    for (; line > 0; --line) rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
    return rest.substr(0, rest.find_first_not_of(" \t")).find('\t') != rest.npos;
  }

  const Node* node(const Event& event, int depth) {
    const std::size_t line = event.raw.start_mark.line + 1;
    if (depth > JsonReader::kMaxDepth) {
      fail(line, "nested more than " + std::to_string(JsonReader::kMaxDepth) + " levels deep");
    }
    if (event.raw.type == YAML_ALIAS_EVENT) {
      const std::string name = text(event.raw.data.alias.anchor);
      const auto found = anchors_.find(name);
      if (found == anchors_.end()) fail(line, "unknown anchor '" + name + "'");
      return found->second;
    }
    nodes_.push_back(std::make_unique<Node>());
    Node& made = *nodes_.back();
    made.line = line;
    const yaml_char_t* anchor = nullptr;
    yaml_event_type_t end = YAML_NO_EVENT;
    switch (event.raw.type) {
      case YAML_SCALAR_EVENT: {
        const auto& scalar = event.raw.data.scalar;
        anchor = scalar.anchor;
        made.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
        made.isString = isString(scalar, line);
        break;
      }
      case YAML_SEQUENCE_START_EVENT:
        made.kind = Node::Kind::kSequence;
        anchor = event.raw.data.sequence_start.anchor;
        end = YAML_SEQUENCE_END_EVENT;
        break;
      default:
        made.kind = Node::Kind::kMapping;
        anchor = event.raw.data.mapping_start.anchor;
        end = YAML_MAPPING_END_EVENT;
    }
    if (anchor) {
      made.anchored = true;
      anchors_[text(anchor)] = &made;
    }
    while (end != YAML_NO_EVENT) {
      Event child;
      next(child);
      if (child.raw.type == end) break;
      made.children.push_back(node(child, depth + 1));
    }
    return &made;
  }

  /// By quotes or by tag.
  template <typename Scalar>
  static bool isString(const Scalar& scalar, std::size_t line) {
    const std::string tag = text(scalar.tag);
    if (tag.empty()) return scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (tag == "!" || tag == YAML_STR_TAG || tag == YAML_TIMESTAMP_TAG) return true;
    if (tag == YAML_INT_TAG || tag == YAML_FLOAT_TAG || tag == YAML_BOOL_TAG ||
        tag == YAML_NULL_TAG)
      return false;
    fail(line, "tag '" + tag + "' is not supported here");
  }

  std::string_view yaml_;
  yaml_parser_t parser_{};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::string, const Node*> anchors_;
};

/// Writes a document as JSON, aliases expanded and merge keys merged.
class Expander {
 public:
  explicit Expander(std::string& out) : writer_(out) {}

  void write(const Node& node, int depth = 0) {
    const Visit visit(*this, node, depth);
    switch (node.kind) {
      case Node::Kind::kScalar:
        return scalar(node);
      case Node::Kind::kSequence:
        writer_.beginArray();
        for (const Node* child : node.children) write(*child, depth + 1);
        return writer_.endArray();
      case Node::Kind::kMapping:
        return mapping(node, depth);
    }
  }

 private:
  using Member = std::pair<std::string, const Node*>;

  /// Counts what repeated visits of anchored nodes add, and stops aliases that contain themselves.
  struct Visit {
    Visit(Expander& owner, const Node& node, int depth)
        : expander(owner), repeats(node.anchored && !owner.seen_.insert(&node).second) {
      expander.repeating_ += repeats;
      if (depth > JsonReader::kMaxDepth) {
        fail(node.line,
             "nested more than " + std::to_string(JsonReader::kMaxDepth) + " levels deep");
      }
      if (expander.repeating_ == 0) return;
      expander.expansion_ += node.text.size() + kNodeSize;
      if (expander.expansion_ > kMaxExpansion) {
        fail(node.line,
             "aliases expand to more than " + std::to_string(kMaxExpansion >> 20) + " MiB");
      }
    }
    ~Visit() { expander.repeating_ -= repeats; }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    Expander& expander;
    bool repeats;
  };

  void scalar(const Node& node) {
    if (node.isString) return writer_.string(node.text);
    const YamlScalar value = resolveYamlScalar(node.text);
    if (value.type == Type::kNotFinite)
      fail(node.line, "'" + node.text + "' is no finite number; quote it if it is text");
    value.json.empty() ? writer_.string(node.text) : writer_.literal(value.json);
  }

  void mapping(const Node& node, int depth) {
    writer_.beginObject();
    bool merges = false;
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
      if (isMergeKey(*node.children[i])) {
        merges = true;
        continue;
      }
      writer_.key(keyOf(*node.children[i]));
      write(*node.children[i + 1], depth + 1);
    }
    if (merges) {
      std::set<std::string> taken;
      std::vector<Member> members;
      collect(node, depth, taken, members, false);
      for (const auto& [key, value] : members) {
        writer_.key(key);
        write(*value, depth + 1);
      }
    }
    writer_.endObject();
  }

  /// The members that `node` has (when `own`) and merges, without those that are taken: nearer ones
  /// win.
  void collect(const Node& node, int depth, std::set<std::string>& taken,
               std::vector<Member>& members, bool own) {
    const Visit visit(*this, node, depth);
    if (node.kind != Node::Kind::kMapping)
      fail(node.line, "a merge key (<<) takes a mapping or a list of mappings");
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
      if (isMergeKey(*node.children[i])) continue;
      std::string key = keyOf(*node.children[i]);
      if (taken.insert(key).second && own)
        members.emplace_back(std::move(key), node.children[i + 1]);
    }
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
      if (!isMergeKey(*node.children[i])) continue;
      const Node& merged = *node.children[i + 1];
      if (merged.kind != Node::Kind::kSequence) {
        collect(merged, depth + 1, taken, members, true);
        continue;
      }
      for (const Node* each : merged.children) collect(*each, depth + 1, taken, members, true);
    }
  }

  static bool isMergeKey(const Node& key) {
    return key.kind == Node::Kind::kScalar && !key.isString && key.text == "<<";
  }

  static std::string keyOf(const Node& key) {
    if (key.kind != Node::Kind::kScalar) fail(key.line, "a key must be a scalar");
    if (key.isString) return key.text;
    YamlScalar value = resolveYamlScalar(key.text);
    if (value.type == Type::kNull)
      fail(key.line, "a key is missing or null; quote it if it is text");
    return value.json.empty() ? key.text : value.json;
  }

  JsonWriter writer_;
  std::set<const Node*> seen_;  // anchored nodes
  int repeating_ = 0;
  std::size_t expansion_ = 0;
};

}  // namespace

Result<std::vector<YamlDocument>> yamlToJson(std::string_view yaml) {
  try {
    std::vector<YamlDocument> documents;
    Reader reader(yaml);
    while (const Node* root = reader.nextDocument()) {
      YamlDocument document{.json = {}, .line = static_cast<int>(root->line)};
      Expander(document.json).write(*root);
      if (document.json != "null") documents.push_back(std::move(document));
    }
    return documents;
  } catch (const Failure& failure) {
    return Status(Code::kBadRequest, failure.message);
  }
}

}  // namespace podlab
