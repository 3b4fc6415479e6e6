#pragma once
#include <compare>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/api.hpp"
#include "api/codec.hpp"
#include "api/status_conversion.hpp"
#include "common/json.hpp"
#include "common/time.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// How the client wants objects (its Accept header).
struct RestForm {
  enum class Kind { kObject, kTable, kMetadata, kNone };
  auto operator<=>(const RestForm&) const = default;

  Kind kind = Kind::kObject;
  std::string metaVersion = "v1";  ///< of meta.k8s.io, for tables and metadata
  /// What of an object goes into a table's row: "Metadata", "Object" or "None".
  std::string includeObject = "Metadata";
};

/// The first entry of the Accept header that can be served; kNone when there is none.
RestForm acceptedForm(const http::Request& request);

http::Response plainAnswer(int code, std::string text);
/// An answer of JSON, with a Warning header for each warning.
http::Response jsonAnswer(int code, std::string json,
                          const std::vector<std::string>& warnings = {});
/// A failure as metav1.Status.
http::Response statusAnswer(const Status& status, const api::StatusSubject& subject = {});

api::TypeMeta typeOf(const api::Kind& kind);

/// One object, or a table of one row, as the form has it.
std::string writeOne(const RestForm& form, const api::Kind& kind,
                     const google::protobuf::Message& object, bool withColumns, WallTime now);
std::string writeList(const RestForm& form, const api::Kind& kind, const api::ListResult& list,
                      WallTime now);

/// Writes a list piece by piece, so that a large one is never whole in memory. `kind` must outlive
/// it.
class ListWriter {
 public:
  ListWriter(RestForm form, const api::Kind& kind, api::ListResult list, WallTime now);
  ListWriter(const ListWriter&) = delete;
  ListWriter& operator=(const ListWriter&) = delete;

  /// Some 64 KiB more; "" after the last.
  std::string next();

 private:
  RestForm form_;
  const api::Kind& kind_;
  api::ListResult list_;
  WallTime now_;
  std::string text_;
  JsonWriter writer_{text_};
  std::size_t written_ = 0;  ///< items
  bool begun_ = false;
  bool ended_ = false;
};

/// Writes the lines of the events of watches that want one kind in one form. What they are sent is
/// the same: while several use it, it writes each object once.
class EventWriter {
 public:
  EventWriter(const api::Kind& kind, RestForm form) : kind_(kind), form_(std::move(form)) {}

  /// Adds the event's line. Of a table's columns only a watch's first event tells. Nothing is kept
  /// unless `shared`.
  void write(const api::WatchEvent& event, bool isFirst, bool shared, WallTime now,
             std::string& out);

 private:
  struct Written {
    api::ObjectPtr object;    ///< so that its address is nobody else's
    std::int64_t second = 0;  ///< of a table: the ages are as of then
    std::string text;
  };
  const std::string& textOf(const api::ObjectPtr& object, WallTime now);

  const api::Kind& kind_;
  const RestForm form_;
  std::unordered_map<const google::protobuf::Message*, Written> written_;
  std::deque<const google::protobuf::Message*> oldest_;
  std::size_t bytes_ = 0;
};

/// The line of a watch that fails.
std::string writeErrorEvent(const Status& status);

}  // namespace podlab::apiserver
