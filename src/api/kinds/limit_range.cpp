#include <set>

#include "core_v1_policies.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"
#include "api/times.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

using corev1::LimitRange;
using corev1::LimitRangeItem;

/// What `to` does not say is as `from` has it.
void complete(const ResourceMap& from, ResourceMap& to) {
  for (const auto& [name, amount] : from) {
    if (!to.contains(name)) to[name] = amount;
  }
}

void applyDefaults(LimitRange& object) {
  for (auto& limit : *object.mutable_spec()->mutable_limits()) {
    if (limit.type() == "Container") {
      complete(limit.max(), *limit.mutable_default_());
      complete(limit.default_(), *limit.mutable_defaultrequest());
      complete(limit.min(), *limit.mutable_defaultrequest());
    }
    for (auto* amounts : {limit.mutable_max(), limit.mutable_min(), limit.mutable_default_(),
                          limit.mutable_defaultrequest(), limit.mutable_maxlimitrequestratio()})
      canonicalize(*amounts);
  }
}

void validateAmounts(const std::string& type, const ResourceMap& amounts, const FieldPath& path,
                     FieldErrors& errors) {
  for (const auto& name : sortedKeys(amounts)) {
    const FieldPath at = path.key(name);
    errors.invalidEach(at, name, faultsOfQualifiedName(name));
    const bool native = name == "cpu" || name == "memory" || name == "ephemeral-storage" ||
                        name.starts_with("hugepages-");
    const bool fits =
        type == "PersistentVolumeClaim" ? name == "storage" : native || name.find('/') != name.npos;
    if (!fits) errors.invalid(at, name, "must be a standard resource for " + type);
    validateQuantity(name, amounts.at(name), at, errors);
  }
}

/// Upstream: ValidateLimitRange.
void validateItem(const LimitRangeItem& limit, const FieldPath& path, FieldErrors& errors) {
  struct Amounts {
    const char* field;
    const ResourceMap& map;
  };
  const Amounts max{"max", limit.max()};
  const Amounts min{"min", limit.min()};
  const Amounts given{"default", limit.default_()};
  const Amounts request{"defaultRequest", limit.defaultrequest()};
  const Amounts ratio{"maxLimitRequestRatio", limit.maxlimitrequestratio()};
  for (const Amounts& amounts : {max, min, given, request, ratio}) {
    const bool isDefault = &amounts.map == &given.map || &amounts.map == &request.map;
    if (limit.type() == "Pod" && isDefault && !amounts.map.empty())
      errors.forbidden(path.child(amounts.field), "may not be specified when `type` is 'Pod'");
    validateAmounts(limit.type(), amounts.map, path.child(amounts.field), errors);
  }
  if (limit.type() == "PersistentVolumeClaim" && !limit.min().contains("storage") &&
      !limit.max().contains("storage")) {
    errors.required(
        path.child("limits"),
        "either minimum or maximum storage value is required, but neither was provided");
  }
  /// `less` may not be above `more`; the fault is shown at `at`.
  const auto ordered = [&](const Amounts& less, const char* lessName, const Amounts& more,
                           const char* moreName, const Amounts& at) {
    for (const auto& name : sortedKeys(less.map)) {
      if (!more.map.contains(name)) continue;
      const Quantity low = Quantity::read(less.map.at(name));
      const Quantity high = Quantity::read(more.map.at(name));
      if (low <= high) continue;
      errors.invalid(path.child(at.field).key(name), at.map.at(name).string(),
                     std::string(lessName) + " value " + low.toString() + " is greater than " +
                         moreName + " value " + high.toString());
    }
  };
  ordered(min, "min", max, "max", min);
  ordered(min, "min", request, "default request", request);
  ordered(request, "default request", max, "max", request);
  ordered(request, "default request", given, "default limit", request);
  ordered(min, "min", given, "default", given);
  ordered(given, "default", max, "max", given);
  for (const auto& name : sortedKeys(ratio.map)) {
    const Quantity amount = Quantity::read(ratio.map.at(name));
    if (amount < Quantity::of(1)) {
      errors.invalid(path.child(ratio.field).key(name), ratio.map.at(name).string(),
                     "ratio " + amount.toString() + " is less than 1");
    }
  }
}

std::vector<Cause> validate(const LimitRange& object) {
  constexpr std::string_view kTypes[] = {"Container", "PersistentVolumeClaim", "Pod"};
  FieldErrors errors;
  std::set<std::string> seen;
  forEach(object.spec().limits(), FieldPath("spec.limits"),
          [&](const LimitRangeItem& limit, const FieldPath& path) {
            errors.oneOf(path.child("type"), limit.type(), kTypes);
            if (!seen.insert(limit.type()).second)
              errors.duplicate(path.child("type"), limit.type());
            validateItem(limit, path, errors);
          });
  return errors.take();
}

}  // namespace

Kind limitRangeKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "LimitRange",
      .plural = "limitranges",
      .singular = "limitrange",
      .shortNames = {"limits"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &LimitRange::default_instance(),
      .columns = {nameColumn(), column<LimitRange>("Created At", 0,
                                                   [](const LimitRange& object) {
                                                     return formatTime(toWallTime(
                                                         object.metadata().creationtimestamp()));
                                                   })},
      .strategy = {.applyDefaults = writes<LimitRange>(applyDefaults),
                   .validate = reads<LimitRange>(validate)},
  };
}

}  // namespace podlab::api
