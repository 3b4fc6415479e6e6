#include "api/merge_rules.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

#include "field_options.pb.h"

namespace podlab::api {
namespace {

using codec::Field;
using codec::Form;
using codec::Shape;
using google::protobuf::FieldDescriptor;
using Kind = MergeRule::Kind;

/// Fields whose list or map type does not follow from the rule of their patches.
struct Exception {
  std::string_view message;
  std::string_view field;
  Kind kind;
  std::array<std::string_view, 2> keys;
};
constexpr Exception kExceptions[] = {
    {"Container", "ports", Kind::kKeyed, {"containerPort", "protocol"}},
    {"EphemeralContainerCommon", "ports", Kind::kKeyed, {"containerPort", "protocol"}},
    {"PodSpec", "topologySpreadConstraints", Kind::kKeyed, {"topologyKey", "whenUnsatisfiable"}},
    {"PodSpec", "nodeSelector", Kind::kAtomic, {}},
    {"PodStatus", "hostIPs", Kind::kAtomic, {}},
    {"ReplicationControllerSpec", "selector", Kind::kAtomic, {}},
    {"ResourceRequirements", "claims", Kind::kKeyed, {"name", ""}},
    {"ServiceSpec", "ports", Kind::kKeyed, {"port", "protocol"}},
    {"ServiceSpec", "selector", Kind::kAtomic, {}},
    {"JobStatus", "conditions", Kind::kAtomic, {}},
    {"HorizontalPodAutoscalerStatus", "conditions", Kind::kKeyed, {"type", ""}},
    {"CustomResourceDefinitionStatus", "conditions", Kind::kKeyed, {"type", ""}},
};

/// Messages with x-kubernetes-map-type atomic.
constexpr std::string_view kAtomicMessages[] = {
    "ConfigMapKeySelector",
    "CrossVersionObjectReference",
    "FileKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "OwnerReference",
    "ResourceFieldSelector",
    "RoleRef",
    "ScopeSelector",
    "ScopedResourceSelectorRequirement",
    "SecretKeySelector",
    "SecretReference",
    "ServiceBackendPort",
    "Subject",
    "TypedLocalObjectReference",
};

MergeRule makeRule(const Field& field) {
  const FieldDescriptor& descriptor = *field.descriptor;
  MergeRule rule;
  const std::string& option = descriptor.options().GetExtension(podlab::patch);
  const auto key = option.find(" key=");
  rule.patchStrategy = option.substr(0, key);
  if (key != std::string::npos) rule.patchKey = option.substr(key + 5);

  const auto isIt = [&](const Exception& each) {
    return each.message == descriptor.containing_type()->name() && each.field == field.name;
  };
  if (const auto* own = std::ranges::find_if(kExceptions, isIt); own != std::end(kExceptions)) {
    rule.kind = own->kind;
    for (const auto name : own->keys) {
      if (!name.empty()) rule.keys.emplace_back(name);
    }
  } else if (field.shape == Shape::kMap) {
    rule.kind = Kind::kGranular;
  } else if (field.shape == Shape::kSingle) {
    const bool granular = field.form == Form::kMessage && !isAtomic(descriptor.message_type());
    rule.kind = granular ? Kind::kGranular : Kind::kAtomic;
  } else if (!rule.patchKey.empty()) {
    rule.kind = Kind::kKeyed;
    rule.keys.push_back(rule.patchKey);
  } else if (rule.patchStrategy == "merge") {
    rule.kind = Kind::kSet;
  }
  return rule;
}

}  // namespace

bool isAtomic(const google::protobuf::Descriptor* message) {
  return std::ranges::binary_search(kAtomicMessages, std::string_view(message->name()));
}

const MergeRule& mergeRuleOf(const Field& field) {
  static std::mutex mutex;
  static auto& rules = *new std::unordered_map<const Field*, MergeRule>;
  const std::scoped_lock lock(mutex);
  const auto found = rules.find(&field);
  return found != rules.end() ? found->second
                              : rules.emplace(&field, makeRule(field)).first->second;
}

std::string_view defaultOfKey(std::string_view key) {
  return key == "protocol" ? "TCP" : "";
}

}  // namespace podlab::api
