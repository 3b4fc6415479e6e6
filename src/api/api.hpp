#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "api/packed.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::api {

struct Kind;

/// Which object, or which collection when `name` is empty. `ns` is empty for cluster-scoped kinds,
/// and for "all namespaces".
struct ResourceId {
  const Kind* kind = nullptr;
  std::string ns;
  std::string name;
  std::string subresource;  ///< "", "status", "binding", ...
};

struct ListOptions {
  std::string labelSelector;
  std::string fieldSelector;
  std::int64_t limit = 0;  ///< 0: all
  std::string continueToken;
  std::string resourceVersion;  ///< "" newest, "0" any, N at least N
};

struct ListResult {
  std::vector<ListItem> items;
  std::string resourceVersion;
  std::string continueToken;  ///< empty: that was all
  std::optional<std::int64_t> remainingItemCount;

  /// All of them, decoded.
  std::vector<ObjectPtr> objects() const { return {items.begin(), items.end()}; }
};

struct WatchOptions {
  std::string labelSelector;
  std::string fieldSelector;
  std::string
      resourceVersion;  ///< events after it; "" or "0": first an Added for each present object
  bool bookmarks = false;
  bool sendInitialEvents =
      false;  ///< Added for each present object, then a bookmark with k8s.io/initial-events-end
  std::optional<Duration> timeout;
};

enum class EventType { kAdded, kModified, kDeleted, kBookmark };
/// As watches name it: "ADDED".
std::string_view nameOf(EventType type);

struct WatchEvent {
  EventType type = EventType::kAdded;
  ObjectPtr object;  ///< a bookmark's object carries metadata.resourceVersion only; Deleted carries
                     ///< the last state
};

/// A stream of changes. Destroying it ends it.
class Watch {
 public:
  virtual ~Watch() = default;
  /// The next event; kEndOfStream after a clean end (time-out), kExpired when the revision is too
  /// old.
  virtual Co<Result<WatchEvent>> next() = 0;
  /// The next event when it has come already, for who takes many at a time.
  virtual std::optional<WatchEvent> poll() { return std::nullopt; }
};

/// What the server does with unknown and duplicate fields (kubectl's --validate).
enum class FieldValidation { kIgnore, kWarn, kStrict };

struct WriteOptions {
  bool dryRun = false;
  std::string fieldManager;  ///< who will own the fields; "": one of podlab's own parts
  FieldValidation fieldValidation = FieldValidation::kWarn;
  bool force = false;  ///< an apply patch takes over what other managers own
};

struct WriteResult {
  ObjectPtr object;
  std::vector<std::string>
      warnings;          ///< for people, e.g. a field that podlab accepts but does not act on
  bool created = false;  ///< an apply patch has made the object
};

enum class PatchType { kJson, kMerge, kStrategicMerge, kApply };

/// How a delete is done: metav1.DeleteOptions (gracePeriodSeconds, preconditions,
/// propagationPolicy, dryRun).
using DeleteOptions = metav1::DeleteOptions;

/// The verbs of the Kubernetes API, as one identity sees them. Implemented by the server
/// (apiserver/api_service.hpp, bound to a user) and by the remote client (client/remote_api.hpp);
/// controllers, agents and the CLI know only this. Errors are those of the Kubernetes API
/// (NotFound, AlreadyExists, Conflict, Invalid with causes, Forbidden, Expired, ...).
class Api {
 public:
  virtual ~Api() = default;
  virtual Co<Result<ObjectPtr>> get(ResourceId id) = 0;
  virtual Co<Result<ListResult>> list(ResourceId collection, ListOptions options) = 0;
  virtual Co<Result<std::unique_ptr<Watch>>> watch(ResourceId collection, WatchOptions options) = 0;
  /// `id.name` is empty except for subresources (binding). The object's metadata.namespace may be
  /// empty.
  virtual Co<Result<WriteResult>> create(ResourceId id, ObjectPtr object, WriteOptions options) = 0;
  /// Replaces the object; a metadata.resourceVersion in it must equal the stored one.
  virtual Co<Result<WriteResult>> update(ResourceId id, ObjectPtr object, WriteOptions options) = 0;
  virtual Co<Result<WriteResult>> patch(ResourceId id, PatchType type, std::string body,
                                        WriteOptions options) = 0;
  /// The deleted (or terminating) object.
  virtual Co<Result<ObjectPtr>> remove(ResourceId id, DeleteOptions options) = 0;
};

}  // namespace podlab::api
