#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "api/selectors.hpp"
#include "controllers/context.hpp"

namespace podlab::controllers {

/// Tells which objects of a kind a change of a pod concerns: the pod's controller, or, for one
/// without, those whose selectors match, which may adopt it.
class PodOwners {
 public:
  using SelectorOf = std::function<api::LabelSelector(const google::protobuf::Message&)>;

  /// `changed` gets the object's key, for changes of the objects themselves as well.
  PodOwners(Context& context, client::Informer& objects, std::string_view kind,
            SelectorOf selectorOf, std::function<void(std::string)> changed);
  PodOwners(const PodOwners&) = delete;
  PodOwners& operator=(const PodOwners&) = delete;

 private:
  void observe(const google::protobuf::Message& pod);
  void observe(const api::ObjectPtr& before, const api::ObjectPtr& now);

  client::Informer& objects_;
  const std::string kind_;
  const SelectorOf selectorOf_;
  const std::function<void(std::string)> changed_;
};

/// A selector that does not parse selects nothing; validation lets none through.
api::LabelSelector selectorOrNone(const metav1::LabelSelector& selector);

}  // namespace podlab::controllers
