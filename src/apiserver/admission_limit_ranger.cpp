#include <algorithm>
#include <functional>
#include <set>

#include "core_v1_policies.pb.h"

#include "api/kinds.hpp"
#include "api/pod_resources.hpp"
#include "api/status_conversion.hpp"
#include "apiserver/admission_plugins.hpp"

namespace podlab::apiserver {
namespace {

using api::Quantity;
using api::ResourceList;
using api::ResourceMap;
using corev1::LimitRangeItem;

constexpr const char* kAnnotation = "kubernetes.io/limit-ranger";

void forEachLimit(const std::string& ns, WatchCache& cache,
                  const std::function<void(const LimitRangeItem&)>& visit) {
  Filter filter;
  filter.ns = ns;
  cache.of(api::kindFor<corev1::LimitRange>())
      .forEach(filter, [&](const std::string&, const api::ObjectPtr& object) {
        for (const auto& limit : api::as<corev1::LimitRange>(object).spec().limits()) visit(limit);
        return true;
      });
}

/// The names of the resources that were completed.
std::set<std::string> complete(const ResourceMap& from, ResourceMap& to) {
  std::set<std::string> added;
  for (const auto& [name, amount] : from) {
    if (to.contains(name)) continue;
    to[name] = amount;
    added.insert(name);
  }
  return added;
}

/// What was set is told by an annotation.
void applyDefaults(const LimitRangeItem& limit, const char* what, corev1::Container& container,
                   std::string& told) {
  auto& resources = *container.mutable_resources();
  const auto tell = [&](const std::set<std::string>& names, const char* part) {
    if (names.empty()) return;
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
    told += (told.empty() ? "" : "; ") + all + " " + part + " for " + what + " " + container.name();
  };
  tell(complete(limit.defaultrequest(), *resources.mutable_requests()), "request");
  tell(complete(limit.default_(), *resources.mutable_limits()), "limit");
}

/// What is wrong with requests and limits, in the words of upstream's LimitRanger.
class Check {
 public:
  Check(const LimitRangeItem& limit, std::vector<std::string>& faults)
      : limit_(limit), faults_(faults) {}

  void amounts(const ResourceList& requests, const ResourceList& limits) {
    for (const auto& [name, least] : api::toResourceList(limit_.min())) {
      const std::string rule = say("minimum", name, least);
      if (!requests.contains(name)) {
        faults_.push_back(rule + ".  No request is specified");
      } else if (requests.at(name) < least) {
        faults_.push_back(rule + ", but request is " + requests.at(name).toString());
      } else if (limits.contains(name) && limits.at(name) < least) {
        faults_.push_back(rule + ", but limit is " + limits.at(name).toString());
      }
    }
    for (const auto& [name, most] : api::toResourceList(limit_.max())) {
      const std::string rule = say("maximum", name, most);
      if (!limits.contains(name)) {
        faults_.push_back(rule + ".  No limit is specified");
      } else if (limits.at(name) > most) {
        faults_.push_back(rule + ", but limit is " + limits.at(name).toString());
      } else if (requests.contains(name) && requests.at(name) > most) {
        faults_.push_back(rule + ", but request is " + requests.at(name).toString());
      }
    }
    for (const auto& [name, most] : api::toResourceList(limit_.maxlimitrequestratio()))
      ratio(name, most, requests, limits);
  }

  void claim(const ResourceList& requests) {
    for (const auto& [name, least] : api::toResourceList(limit_.min())) {
      if (!requests.contains(name)) {
        faults_.push_back(say("minimum", name, least) + ".  No request is specified");
      } else if (requests.at(name) < least) {
        faults_.push_back(say("minimum", name, least) + ", but request is " +
                          requests.at(name).toString());
      }
    }
    for (const auto& [name, most] : api::toResourceList(limit_.max())) {
      if (!requests.contains(name)) {
        faults_.push_back(say("maximum", name, most) + ".  No request is specified");
      } else if (requests.at(name) > most) {
        faults_.push_back(say("maximum", name, most) + ", but request is " +
                          requests.at(name).toString());
      }
    }
  }

 private:
  std::string say(const char* which, const std::string& name, const Quantity& amount) const {
    return std::string(which) + " " + name + " usage per " + limit_.type() + " is " +
           amount.toString();
  }

  void ratio(const std::string& name, const Quantity& most, const ResourceList& requests,
             const ResourceList& limits) {
    const std::string rule = name + " max limit to request ratio per " + limit_.type() + " is " +
                             most.toString() + ", but ";
    if (!requests.contains(name) || requests.at(name).isZero()) {
      faults_.push_back(rule + "no request is specified or request is 0");
    } else if (!limits.contains(name) || limits.at(name).isZero()) {
      faults_.push_back(rule + "no limit is specified or limit is 0");
    } else {
      const double provided = static_cast<double>(limits.at(name).milliValue()) /
                              static_cast<double>(requests.at(name).milliValue());
      if (provided * 1000 > static_cast<double>(most.milliValue()))
        faults_.push_back(rule + "provided ratio is " + std::to_string(provided));
    }
  }

  const LimitRangeItem& limit_;
  std::vector<std::string>& faults_;
};

Status refusal(const google::protobuf::Message& object, const std::vector<std::string>& faults) {
  if (faults.empty()) return {};
  std::string all;
  for (const auto& fault : faults) all += (all.empty() ? "" : ", ") + fault;
  return api::forbidden(*api::kindOf(object), api::meta(object).name(),
                        faults.size() == 1 ? all : "[" + all + "]");
}

}  // namespace

Status admitLimits(corev1::Pod& pod, WatchCache& cache) {
  const std::string ns = pod.metadata().namespace_();
  std::string told;
  forEachLimit(ns, cache, [&](const LimitRangeItem& limit) {
    if (limit.type() != "Container") return;
    for (auto& container : *pod.mutable_spec()->mutable_containers())
      applyDefaults(limit, "container", container, told);
    for (auto& container : *pod.mutable_spec()->mutable_initcontainers())
      applyDefaults(limit, "init container", container, told);
  });
  if (!told.empty()) {
    (*pod.mutable_metadata()->mutable_annotations())[kAnnotation] =
        "LimitRanger plugin set: " + told;
    pod.mutable_status()->set_qosclass(api::qosClass(pod));
  }
  std::vector<std::string> faults;
  forEachLimit(ns, cache, [&](const LimitRangeItem& limit) {
    Check check(limit, faults);
    const auto container = [&](const corev1::Container& one) {
      check.amounts(api::toResourceList(one.resources().requests()),
                    api::toResourceList(one.resources().limits()));
    };
    if (limit.type() == "Container") {
      std::ranges::for_each(pod.spec().containers(), container);
      std::ranges::for_each(pod.spec().initcontainers(), container);
    } else if (limit.type() == "Pod") {
      check.amounts(api::podRequests(pod), api::podLimits(pod));
    }
  });
  return refusal(pod, faults);
}

Status admitLimits(const corev1::PersistentVolumeClaim& claim, WatchCache& cache) {
  std::vector<std::string> faults;
  forEachLimit(claim.metadata().namespace_(), cache, [&](const LimitRangeItem& limit) {
    if (limit.type() != "PersistentVolumeClaim") return;
    Check(limit, faults).claim(api::toResourceList(claim.spec().resources().requests()));
  });
  return refusal(claim, faults);
}

}  // namespace podlab::apiserver
