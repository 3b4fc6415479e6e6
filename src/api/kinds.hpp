#pragma once
#include <google/protobuf/descriptor.h>

#include <compare>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/names.hpp"
#include "api/object.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::api {

enum class Scope { kCluster, kNamespaced };

/// A column of `kubectl get` (and of the server's Table).
struct Column {
  std::string_view name;  ///< "Name", "Ready", ...
  int priority = 0;       ///< above 0: only with -o wide
  /// The cell's text at `now` (ages are relative).
  std::function<std::string(const google::protobuf::Message&, WallTime now)> cell;
  std::string_view type = "string";
  std::string_view format = "";
  std::string_view description = "";
};

/// What a delete that does not say so does about the objects whose owner goes; kNone: the kind's
/// objects own nothing and are nobody's (upstream's garbage collection policies).
enum class Dependents { kBackground, kOrphan, kNone };

/// What a kind does beyond being stored. Unset functions do nothing.
struct Strategy {
  bool hasStatus = false;  ///< status is written only through the status subresource
  /// Upstream's generation rule: metadata.generation starts at 1 and counts spec changes.
  bool hasGeneration = false;
  /// What is wrong with a name of this kind.
  Faults (*faultsOfName)(std::string_view) = faultsOfDns1123Subdomain;
  std::function<void(google::protobuf::Message&)> applyDefaults = {};
  /// For create: server-set initial state (a Pod's phase Pending, qosClass, a Namespace's phase) in
  /// place of the status that the client sent; a Node keeps what it sent.
  std::function<void(google::protobuf::Message&)> prepareForCreate = {};
  /// What an update takes over from the object before where the client does not say: what the
  /// server had chosen (a Service's addresses). Before the defaults.
  std::function<void(google::protobuf::Message& now, const google::protobuf::Message& before)>
      prepareForUpdate = {};
  /// Field errors of a new object, metadata excluded (that is common to all kinds).
  std::function<std::vector<Cause>(const google::protobuf::Message&)> validate = {};
  /// Field errors of a change (immutable fields), after `validate` of the new object.
  std::function<std::vector<Cause>(const google::protobuf::Message& now,
                                   const google::protobuf::Message& before)>
      validateUpdate = {};
  /// Field errors of a status change.
  std::function<std::vector<Cause>(const google::protobuf::Message& now,
                                   const google::protobuf::Message& before)>
      validateStatusUpdate = {};
  /// What a client should know about an object that it has written: what has no effect.
  std::function<std::vector<std::string>(const google::protobuf::Message&)> warningsOf = {};
  /// A part of the spec that is written only through a subresource of its own.
  struct Part {
    std::string_view subresource;  ///< "ephemeralcontainers"
    /// Makes the part of `next` that of `wanted`.
    std::function<void(const google::protobuf::Message& wanted, google::protobuf::Message& next)>
        take;
    /// Field errors of the change.
    std::function<std::vector<Cause>(const google::protobuf::Message& now,
                                     const google::protobuf::Message& before)>
        validate;
  };
  std::vector<Part> parts = {};
  /// How many there are and should be of what the object makes: the subresource scale.
  struct Scaling {
    std::function<std::int32_t(const google::protobuf::Message&)> wanted;
    std::function<void(google::protobuf::Message&, std::int32_t)> setWanted;
    std::function<std::int32_t(const google::protobuf::Message&)> present;
    /// The selector of what is made, in its text form.
    std::function<std::string(const google::protobuf::Message&)> selector;
    /// Where `wanted` is in the object, as a JSON pointer.
    std::string pointer = "/spec/replicas";
  };
  std::optional<Scaling> scaling = {};
  /// Values of the field selectors beyond metadata.name and metadata.namespace; each name, and how
  /// to read it.
  std::vector<
      std::pair<std::string_view, std::function<std::string(const google::protobuf::Message&)>>>
      fieldLabels = {};
  /// The default grace period of a delete in seconds (a Pod's terminationGracePeriodSeconds);
  /// unset, or 0: removed at once, whatever the client asks for.
  std::function<std::int64_t(const google::protobuf::Message&)> deletionGraceSeconds = {};
  /// Its updates may wait a moment, to share a commit: they come often, and nobody waits for them.
  bool updatesArePatient = false;
  Dependents dependents = Dependents::kBackground;
  /// A finalizer that every delete adds first, for the kind's controller to clean up; "": none.
  std::string_view cleanUpFinalizer = "";
  /// When the object begins to terminate: what its status says then (a Namespace's phase).
  std::function<void(google::protobuf::Message&)> beginDeletion = {};
};

/// What a CustomResourceDefinition says of a kind (api/custom/custom_type.hpp).
struct CustomType;

/// One row of the table that makes a kind: adding a kind adds a row and its functions, and touches
/// no front end.
struct Kind {
  std::string_view group;  ///< "" for core
  std::string_view version;
  std::string_view kind;      ///< "Pod"
  std::string_view plural;    ///< "pods"
  std::string_view singular;  ///< "pod"
  std::vector<std::string_view> shortNames;
  std::vector<std::string_view> categories;
  Scope scope = Scope::kNamespaced;
  const google::protobuf::Message* prototype = nullptr;  ///< an empty object
  std::vector<Column> columns;
  Strategy strategy;
  /// What can be done to an object beside reading and writing it: the subresources that are no part
  /// of it, as discovery tells of them.
  struct Action {
    std::string_view name;     ///< "exec"
    std::string_view verb;     ///< "get"; of several "create,get"
    std::string_view group;    ///< of what the request carries: "" ...
    std::string_view version;  ///< "v1"
    std::string_view kind;     ///< "PodExecOptions"
  };
  std::vector<Action> actions = {};
  /// What can be done with the objects of a kind that is not stored, whose answers are made on
  /// request ("create" of a review); empty: all, as of every kind that is stored.
  std::vector<std::string_view> verbs = {};
  /// Versions that older clients write in what they send, with the same fields ("v1beta1").
  std::vector<std::string_view> formerVersions = {};
  /// Of another form of a kind that is stored (autoscaling/v1 of autoscaling/v2): the same objects,
  /// read and written as this row's message. Tables have the stored kind's columns; `validate` and
  /// `validateUpdate` are what this form demands in addition.
  struct Form {
    const google::protobuf::Message* stored;  ///< the prototype of the kind that is stored
    void (*toStored)(const google::protobuf::Message& shown, google::protobuf::Message& stored);
    void (*fromStored)(const google::protobuf::Message& stored, google::protobuf::Message& shown);
    /// Names of fields in selectors, and what the stored kind calls them.
    std::vector<std::pair<std::string_view, std::string_view>> fieldLabels = {};
  };
  std::optional<Form> form = {};
  /// Of a kind that a CustomResourceDefinition defines; null for those of the table.
  std::shared_ptr<const CustomType> custom = nullptr;

  /// "v1" or "coordination.k8s.io/v1".
  std::string apiVersion() const;
  /// "pods" or "leases.coordination.k8s.io": the resource as error messages name it.
  std::string resource() const;
  /// The kind of what is read and written by way of a subresource: Scale for scale, mostly itself.
  const Kind& seenThrough(std::string_view subresource) const;
  /// The kind that stands for all versions of the resource: of caches, quotas and owners.
  const Kind& resourceKind() const;
  /// "PodList".
  std::string listKind() const;
  bool namespaced() const { return scope == Scope::kNamespaced; }
  /// The kind as which the objects are stored: itself, unless it is another form of one.
  const Kind& stored() const;
  /// An empty object; a custom one has its apiVersion and kind.
  MutableObjectPtr make() const;
};

/// Kinds, as they were listed when somebody asked for them. A kind lives as long as the process,
/// also when its definition is gone.
class KindList {
 public:
  class Iterator {
   public:
    using value_type = Kind;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;
    Iterator() = default;
    explicit Iterator(const Kind* const* at) : at_(at) {}
    const Kind& operator*() const { return **at_; }
    const Kind* operator->() const { return *at_; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return Iterator(at_++); }
    bool operator==(const Iterator&) const = default;

   private:
    const Kind* const* at_ = nullptr;
  };

  explicit KindList(std::vector<const Kind*> kinds) : kinds_(std::move(kinds)) {}
  Iterator begin() const { return Iterator(kinds_.data()); }
  Iterator end() const { return Iterator(kinds_.data() + kinds_.size()); }
  std::size_t size() const { return kinds_.size(); }

 private:
  std::vector<const Kind*> kinds_;
};

/// All kinds that are stored, in a fixed order, then those of CustomResourceDefinitions
/// (api/custom/custom_kinds.hpp), one a resource.
KindList kinds();
/// What is served: the former, then their other forms and the kinds that are not stored, then each
/// version of the custom ones.
KindList servedKinds();

/// By apiVersion and kind ("v1", "Pod"), or by message type: also those that exist only in requests
/// (Binding). By group and plural ("", "pods"): those that are served, in that version or, with "",
/// as they are stored. nullptr when there is none.
const Kind* findKind(std::string_view apiVersion, std::string_view kind);
const Kind* findResource(std::string_view group, std::string_view plural,
                         std::string_view version = "");
const Kind* kindOf(const google::protobuf::Message& object);
/// The kind of what a request for `id` carries: that of the subresource's action ("binding"), else
/// the object's own.
const Kind& bodyKindOf(const Kind& kind, std::string_view subresource);
/// As kubectl names resources: plural, singular, short name, Kind (any case), optionally with
/// ".group" or ".version.group".
const Kind* findByUserName(std::string_view name);

/// The kind of a message type: kindFor<corev1::Pod>().
template <typename T>
const Kind& kindFor() {
  static const Kind& kind = *kindOf(T::default_instance());
  return kind;
}

}  // namespace podlab::api
