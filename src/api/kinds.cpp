#include "api/kinds.hpp"

#include <algorithm>
#include <cctype>
#include <span>
#include <typeinfo>

#include "autoscaling_v1.pb.h"
#include "custom_object.pb.h"

#include "api/custom/custom_kinds.hpp"
#include "api/custom/custom_type.hpp"
#include "api/kinds/rows.hpp"
#include "api/type_cache.hpp"

namespace podlab::api {
namespace {

struct Table {
  std::vector<Kind> rows;
  std::size_t stored = 0;
  std::size_t served = 0;
};

/// The stored kinds, their other forms, those that are served but not stored, then those that exist
/// only in requests.
const Table& table() {
  static const Table kTable = [] {
    Table made;
    made.rows = {podKind(),
                 nodeKind(),
                 namespaceKind(),
                 configMapKind(),
                 secretKind(),
                 serviceKind(),
                 endpointsKind(),
                 persistentVolumeClaimKind(),
                 persistentVolumeKind(),
                 storageClassKind(),
                 priorityClassKind(),
                 endpointSliceKind(),
                 networkPolicyKind(),
                 ingressKind(),
                 ingressClassKind(),
                 replicationControllerKind(),
                 replicaSetKind(),
                 deploymentKind(),
                 daemonSetKind(),
                 statefulSetKind(),
                 controllerRevisionKind(),
                 jobKind(),
                 cronJobKind(),
                 resourceQuotaKind(),
                 limitRangeKind(),
                 podDisruptionBudgetKind(),
                 horizontalPodAutoscalerKind(),
                 eventKind(),
                 leaseKind(),
                 serviceAccountKind(),
                 roleKind(),
                 roleBindingKind(),
                 clusterRoleKind(),
                 clusterRoleBindingKind(),
                 customResourceDefinitionKind()};
    made.stored = made.rows.size();
    made.rows.push_back(eventsEventKind());
    made.rows.push_back(horizontalPodAutoscalerV1Kind());
    made.rows.push_back(nodeMetricsKind());
    made.rows.push_back(podMetricsKind());
    for (Kind& kind : reviewKinds()) made.rows.push_back(std::move(kind));
    made.served = made.rows.size();
    made.rows.push_back(bindingKind());
    made.rows.push_back(scaleKind());
    made.rows.push_back(evictionKind());
    made.rows.push_back(tokenRequestKind());
    return made;
  }();
  return kTable;
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool hasUserName(const Kind& kind, std::string_view name) {
  return equalsIgnoringCase(name, kind.plural) || equalsIgnoringCase(name, kind.singular) ||
         std::ranges::any_of(kind.shortNames, [&](std::string_view shortName) {
           return equalsIgnoringCase(name, shortName);
         });
}

std::vector<const Kind*> firstRows(std::size_t count) {
  std::vector<const Kind*> all;
  all.reserve(count);
  for (const Kind& row : std::span(table().rows).first(count)) all.push_back(&row);
  return all;
}

/// Of the served versions of custom kinds.
template <typename Predicate>
const Kind* firstCustom(Predicate predicate) {
  for (const Kind* kind : servedCustomKinds()) {
    if (predicate(*kind)) return kind;
  }
  return nullptr;
}

template <typename Rows, typename Predicate>
const Kind* firstOf(const Rows& rows, Predicate predicate) {
  const auto found = std::ranges::find_if(rows, predicate);
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

std::string Kind::apiVersion() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string Kind::resource() const {
  return group.empty() ? std::string(plural) : std::string(plural) + "." + std::string(group);
}

const Kind& Kind::seenThrough(std::string_view subresource) const {
  return strategy.scaling && subresource == "scale" ? kindFor<autoscalingv1::Scale>() : *this;
}

const Kind& Kind::stored() const {
  return form ? *kindOf(*form->stored) : *this;
}

const Kind& Kind::resourceKind() const {
  return custom ? *custom->resource : stored();
}

MutableObjectPtr Kind::make() const {
  MutableObjectPtr object(prototype->New());
  if (custom) {
    auto& made = static_cast<CustomObject&>(*object);
    made.set_apiversion(apiVersion());
    made.set_kind(std::string(kind));
  }
  return object;
}

std::string Kind::listKind() const {
  return custom ? custom->listKind : std::string(kind) + "List";
}

KindList kinds() {
  auto all = firstRows(table().stored);
  for (const Kind* kind : customResources()) all.push_back(kind);
  return KindList(std::move(all));
}

KindList servedKinds() {
  auto all = firstRows(table().served);
  for (const Kind* kind : servedCustomKinds()) all.push_back(kind);
  return KindList(std::move(all));
}

const Kind* findKind(std::string_view apiVersion, std::string_view kind) {
  const auto isIt = [&](const Kind& row) {
    return row.kind == kind && row.apiVersion() == apiVersion;
  };
  const Kind* found = firstOf(table().rows, isIt);
  return found != nullptr ? found : firstCustom(isIt);
}

const Kind* findResource(std::string_view group, std::string_view plural,
                         std::string_view version) {
  const auto isIt = [&](const Kind& row) {
    return row.plural == plural && row.group == group &&
           (version.empty() || row.version == version);
  };
  const Kind* found = firstOf(std::span(table().rows).first(table().served), isIt);
  return found != nullptr ? found : firstCustom(isIt);
}

const Kind& bodyKindOf(const Kind& kind, std::string_view subresource) {
  const auto action = std::ranges::find(kind.actions, subresource, &Kind::Action::name);
  if (action == kind.actions.end()) return kind.seenThrough(subresource);
  const Kind* body = firstOf(table().rows, [&](const Kind& row) {
    return row.group == action->group && row.version == action->version && row.kind == action->kind;
  });
  return body == nullptr ? kind : *body;
}

const Kind* kindOf(const google::protobuf::Message& object) {
  if (typeid(object) == typeid(CustomObject))
    return customKindOf(static_cast<const CustomObject&>(object));
  // Not by descriptors: the first use of one builds those of the whole API, which takes longer than
  // most commands.
  thread_local TypeCache<const Kind*> known;
  return known.of(object, [&] {
    return firstOf(table().rows,
                   [&](const Kind& row) { return typeid(*row.prototype) == typeid(object); });
  });
}

const Kind* findByUserName(std::string_view name) {
  const std::size_t dot = name.find('.');
  const std::string_view resource = name.substr(0, dot);
  const std::string_view rest = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  const auto isIt = [&](const Kind& row) {
    if (!hasUserName(row, resource)) return false;
    return rest.empty() || rest == row.group ||
           rest == std::string(row.version) + "." + std::string(row.group);
  };
  const Kind* found = firstOf(std::span(table().rows).first(table().stored), isIt);
  return found != nullptr ? found : firstCustom(isIt);
}

}  // namespace podlab::api
