#include "cli/printers.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "api/arena_object.hpp"
#include "api/codec.hpp"
#include "api/quantity.hpp"
#include "cli/executable.hpp"
#include "cli/table.hpp"
#include "cli/user_files.hpp"
#include "common/yaml.hpp"

namespace podlab::cli {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormats =
    "custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,wide,"
    "yaml";

Status bad(std::string what) {
  return {Code::kBadRequest, std::move(what)};
}

/// A value as Go prints it: "map[a:b]", "[a b]".
std::string goText(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<nil>";
  if (!value.is_structured()) return value.dump();
  std::string text;
  for (const auto& [key, item] : value.items()) {
    if (!text.empty()) text += ' ';
    text += (value.is_object() ? key + ":" : "") + goText(item);
  }
  return (value.is_object() ? "map[" : "[") + text + "]";
}

bool less(const Json& a, const Json& b) {
  if (!a.is_string() || !b.is_string()) return a < b;
  const auto x = api::Quantity::parse(a.get_ref<const std::string&>());
  const auto y = api::Quantity::parse(b.get_ref<const std::string&>());
  if (x && y) return *x < *y;
  return a < b;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string labelsText(const google::protobuf::Map<std::string, std::string>& labels) {
  std::string text;
  for (const auto& [name, value] : std::map(labels.begin(), labels.end()))
    text += (text.empty() ? "" : ",") + name + "=" + value;
  return text.empty() ? "<none>" : text;
}

}  // namespace

Result<ObjectPrinter> ObjectPrinter::of(const std::string& output, bool managedFields,
                                        bool headers) {
  ObjectPrinter printer;
  const auto equals = output.find('=');
  printer.format_ = output.substr(0, equals);
  printer.managedFields_ = managedFields;
  printer.headers_ = headers;
  std::string argument = equals == std::string::npos ? "" : output.substr(equals + 1);
  const auto& format = printer.format_;
  if (format.starts_with("go-template") || format.starts_with("template") || format == "kyaml") {
    return bad("-o " + format +
               ": podlab has no such format; use -o jsonpath, custom-columns or "
               "json, or kubectl (podlab kubeconfig)");
  }
  const bool columns = format == "custom-columns" || format == "custom-columns-file";
  const bool paths =
      format == "jsonpath" || format == "jsonpath-as-json" || format == "jsonpath-file";
  if (columns && argument.empty())
    return bad("custom-columns format specified but no custom columns given");
  if (paths && argument.empty()) return bad("template format specified but no template given");
  if (format == "custom-columns" || format == "custom-columns-file") {
    Status status = format == "custom-columns" ? printer.readColumns(argument)
                                               : printer.readColumnsFile(argument);
    if (!status) return status;
  } else if (paths) {
    if (format == "jsonpath-file") {
      auto text = readInput(argument);
      if (!text) return text.status();
      argument = std::move(*text);
    }
    printer.source_ = argument;
    auto path = api::JsonPath::parse(argument);
    if (!path) return path.status();
    printer.path_.push_back(std::move(*path));
  } else if (!printer.isHuman() && format != "json" && format != "yaml" && format != "name") {
    return bad("unable to match a printer suitable for the output format \"" + output +
               "\", allowed formats are: " + kFormats);
  }
  return printer;
}

Status ObjectPrinter::readColumns(const std::string& spec) {
  for (const auto& part : splitList(spec)) {
    const auto colon = part.find(':');
    if (colon == std::string::npos)
      return bad("unexpected custom-columns spec: " + part +
                 ", expected <header>:<json-path-expr>");
    auto path = api::JsonPath::parseRelaxed(part.substr(colon + 1));
    if (!path) return path.status();
    columns_.push_back({part.substr(0, colon), std::move(*path)});
  }
  return {};
}

/// Two lines: the headers, and the paths below them.
Status ObjectPrinter::readColumnsFile(const std::string& file) {
  auto text = readInput(file);
  if (!text) return text.status();
  std::istringstream lines(*text);
  std::string headers, paths;
  if (!std::getline(lines, headers) || !std::getline(lines, paths))
    return bad(
        "invalid template, missing spec line. Template format is one line of space "
        "separated column headers, one line of space separated column specs");
  std::istringstream names(headers), specs(paths);
  for (std::string name, spec; names >> name;) {
    if (!(specs >> spec)) return bad("number of headers and field specifications don't match");
    auto path = api::JsonPath::parseRelaxed(spec);
    if (!path) return path.status();
    columns_.push_back({name, std::move(*path)});
  }
  return {};
}

std::string ObjectPrinter::json(const Found& found, int indent) const {
  api::EncodeOptions encode;
  encode.type = {found.kind->apiVersion(), std::string(found.kind->kind)};
  encode.indent = indent;
  if (managedFields_ || api::meta(*found.object).managedfields().empty())
    return api::toJson(*found.object, encode);
  const auto copy = api::copyOf(*found.object);
  api::mutableMeta(*copy).clear_managedfields();
  return api::toJson(*copy, encode);
}

Status ObjectPrinter::printTemplate(const std::string& text) {
  const auto object = Json::parse(text, nullptr, false);
  const auto failed = [&](const Status& status) {
    return bad("error executing jsonpath \"" + source_ +
               "\": Error executing template: " + status.message());
  };
  if (format_ == "jsonpath-as-json") {
    auto found = path_.front().find(object);
    if (!found) return failed(found.status());
    Json all = Json::array();
    for (const auto& values : *found) {
      for (const auto& value : values) all.push_back(value);
    }
    std::printf("%s\n", all.dump(4).c_str());
    return {};
  }
  auto printed = path_.front().print(object);
  if (!printed) return failed(printed.status());
  std::fwrite(printed->data(), 1, printed->size(), stdout);
  return {};
}

Status ObjectPrinter::printColumns(const std::vector<Found>& all) {
  std::vector<std::string> header;
  for (const auto& column : columns_) header.push_back(column.header);
  Table table(std::move(header));
  for (const auto& found : all) {
    const auto object = Json::parse(json(found, 0), nullptr, false);
    std::vector<std::string> row;
    for (const auto& column : columns_) {
      auto values = column.path.find(object);
      if (!values) return values.status();
      std::string cell;
      bool any = false;
      for (const auto& group : *values) {
        for (const auto& value : group)
          cell += (std::exchange(any, true) ? "," : "") + goText(value);
      }
      row.push_back(any ? cell : "<none>");
    }
    table.add(std::move(row));
  }
  std::fputs(table.text(headers_ && !any_).c_str(), stdout);
  return {};
}

Status ObjectPrinter::print(const Found& found, const std::string& event) {
  Status status;
  if (format_ == "name") {
    std::printf("%s\n", displayName(*found.kind, api::meta(*found.object).name()).c_str());
  } else if (format_ == "json" || format_ == "yaml") {
    const bool isYaml = format_ == "yaml";
    std::string text = json(found, isYaml || !event.empty() ? 0 : 4);
    if (!event.empty()) text = "{\"type\":\"" + event + "\",\"object\":" + text + "}";
    if (isYaml) {
      auto yaml = jsonToYaml(event.empty() ? text : Json::parse(text).dump());
      if (!yaml) return yaml.status();
      std::printf("%s%s", any_ ? "---\n" : "", yaml->c_str());
    } else {
      std::printf("%s\n", text.c_str());
    }
  } else if (!columns_.empty()) {
    status = printColumns({found});
  } else {
    status = printTemplate(json(found, 0));
  }
  any_ = true;
  std::fflush(stdout);
  return status;
}

Status ObjectPrinter::printList(const std::vector<Found>& all) {
  if (format_ == "name") {
    for (const auto& found : all) (void)print(found);
    return {};
  }
  if (!columns_.empty()) return printColumns(all);
  std::string text = R"({"apiVersion":"v1","items":[)";
  bool first = true;
  for (const auto& found : all) text += (std::exchange(first, false) ? "" : ",") + json(found, 0);
  text += R"(],"kind":"List","metadata":{"resourceVersion":""}})";
  if (format_ == "yaml") {
    auto yaml = jsonToYaml(text);
    if (!yaml) return yaml.status();
    std::fputs(yaml->c_str(), stdout);
    return {};
  }
  if (format_ != "json") return printTemplate(text);
  std::string indented;
  JsonWriter writer(indented, 4);
  JsonReader reader(text);
  copyJson(reader, writer);
  std::printf("%s\n", indented.c_str());
  return {};
}

void addOutputFlags(CLI::App& command, OutputFlags& flags) {
  command.add_option("-o,--output", flags.output, "The format, FORMAT=TEMPLATE where it has one")
      ->type_name(std::string("{") + kFormats + "}");
  command.add_flag("--show-managed-fields", flags.managedFields,
                   "Show metadata.managedFields in JSON and YAML");
}

Status sortBy(const std::string& text, std::vector<Found>& all) {
  auto path = api::JsonPath::parseRelaxed(text);
  if (!path) return path.status();
  struct Keyed {
    Found found;
    std::vector<Json> values;
    std::size_t index;
  };
  std::vector<Keyed> keyed;
  bool any = all.empty();
  for (auto& found : all) {
    auto values = path->find(Json::parse(api::toJson(*found.object), nullptr, false));
    if (!values) return values.status();
    keyed.push_back(
        {std::move(found), values->empty() ? std::vector<Json>() : values->front(), keyed.size()});
    any = any || !keyed.back().values.empty();
  }
  if (!any) return bad("couldn't find any field with path \"" + text + "\" in the list of objects");
  std::ranges::sort(keyed, [](const Keyed& a, const Keyed& b) {
    if (a.values.empty() != b.values.empty()) return a.values.empty();
    if (!a.values.empty() && less(a.values.front(), b.values.front())) return true;
    if (!a.values.empty() && less(b.values.front(), a.values.front())) return false;
    return a.index < b.index;
  });
  std::ranges::transform(keyed, all.begin(), [](Keyed& one) { return std::move(one.found); });
  return {};
}

std::vector<std::string> TablePrinter::header() const {
  std::vector<std::string> names;
  if (options_.events) names.emplace_back("EVENT");
  if (options_.namespaces) names.emplace_back("NAMESPACE");
  for (const auto& column : kind_.columns) {
    if (column.priority == 0 || options_.wide) names.push_back(upper(column.name));
  }
  for (const auto& label : options_.labelColumns)
    names.push_back(upper(std::string_view(label).substr(label.rfind('/') + 1)));
  if (options_.labels) names.emplace_back("LABELS");
  return names;
}

std::vector<std::string> TablePrinter::row(const google::protobuf::Message& object, WallTime now,
                                           const std::string& event) const {
  const auto& meta = api::meta(object);
  std::vector<std::string> cells;
  if (options_.events) cells.push_back(event);
  if (options_.namespaces) cells.push_back(meta.namespace_());
  bool first = true;
  for (const auto& column : kind_.columns) {
    if (column.priority > 0 && !options_.wide) continue;
    std::string cell = column.cell(object, now);
    const bool named = std::exchange(first, false) && options_.kindNames;
    cells.push_back(named ? displayName(kind_, cell) : std::move(cell));
  }
  for (const auto& label : options_.labelColumns) {
    const auto found = meta.labels().find(label);
    cells.push_back(found == meta.labels().end() ? "" : found->second);
  }
  if (options_.labels) cells.push_back(labelsText(meta.labels()));
  return cells;
}

void TablePrinter::print(const std::vector<api::ObjectPtr>& objects, WallTime now,
                         const std::string& event) {
  Table table(header());
  for (const auto& object : objects) table.add(row(*object, now, event));
  std::fputs(table.text(std::exchange(header_, false)).c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace podlab::cli
