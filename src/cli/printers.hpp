#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "api/json_path.hpp"
#include "cli/resources.hpp"
#include "common/time.hpp"

namespace podlab::cli {

/// How objects are printed beside tables: kubectl's -o, with --show-managed-fields.
class ObjectPrinter {
 public:
  /// -o FORMAT or FORMAT=TEMPLATE. kBadRequest in kubectl's words.
  static Result<ObjectPrinter> of(const std::string& output, bool managedFields = false,
                                  bool headers = true);

  /// Whether this is the format of "" or "wide": tables, or what a verb says of its own.
  bool isHuman() const { return format_.empty() || format_ == "wide"; }
  bool isWide() const { return format_ == "wide"; }
  bool isName() const { return format_ == "name"; }
  /// One object; `event` is its change, with --output-watch-events.
  Status print(const Found& found, const std::string& event = "");
  /// All together: as a v1 List.
  Status printList(const std::vector<Found>& all);

 private:
  struct Column {
    std::string header;
    api::JsonPath path;
  };

  std::string json(const Found& found, int indent) const;
  Status printTemplate(const std::string& json);
  Status printColumns(const std::vector<Found>& all);
  Status readColumns(const std::string& spec);
  Status readColumnsFile(const std::string& file);

  std::string format_;
  bool managedFields_ = false;
  bool headers_ = true;
  std::string source_;  ///< of the template
  std::vector<api::JsonPath> path_;
  std::vector<Column> columns_;
  bool any_ = false;  ///< whether something has been printed
};

/// -o and --show-managed-fields.
struct OutputFlags {
  std::string output;
  bool managedFields = false;

  Result<ObjectPrinter> printer(bool headers = true) const {
    return ObjectPrinter::of(output, managedFields, headers);
  }
};
void addOutputFlags(CLI::App& command, OutputFlags& flags);

/// Orders objects by what a path finds in them (--sort-by); those without it come first.
Status sortBy(const std::string& path, std::vector<Found>& all);

/// What `kubectl get` shows of a kind's objects: the kind's columns, and those that flags add. Rows
/// that are printed later keep the widths.
class TablePrinter {
 public:
  struct Options {
    bool wide = false;
    bool headers = true;
    bool kindNames = false;   ///< "pod/web"
    bool namespaces = false;  ///< a column NAMESPACE
    bool events = false;      ///< a column EVENT
    bool labels = false;      ///< a column LABELS
    std::vector<std::string> labelColumns;
  };
  TablePrinter(const api::Kind& kind, Options options)
      : kind_(kind), options_(std::move(options)), header_(options_.headers) {}

  void print(const std::vector<api::ObjectPtr>& objects, WallTime now,
             const std::string& event = "");

 private:
  std::vector<std::string> header() const;
  std::vector<std::string> row(const google::protobuf::Message& object, WallTime now,
                               const std::string& event) const;

  const api::Kind& kind_;
  Options options_;
  bool header_;
};

}  // namespace podlab::cli
