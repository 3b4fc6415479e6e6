#include "controllers/pod_owners.hpp"

#include <utility>

#include "api/kinds/rules.hpp"
#include "api/owners.hpp"

namespace podlab::controllers {

PodOwners::PodOwners(Context& context, client::Informer& objects, std::string_view kind,
                     SelectorOf selectorOf, std::function<void(std::string)> changed)
    : objects_(objects),
      kind_(kind),
      selectorOf_(std::move(selectorOf)),
      changed_(std::move(changed)) {
  client::Informer::Handlers own;
  own.added = [this](const api::ObjectPtr& object) { changed_(api::keyOf(*object)); };
  own.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& object) {
    changed_(api::keyOf(*object));
  };
  objects_.addHandlers(std::move(own));

  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observe(*pod); };
  pods.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    observe(before, now);
  };
  pods.deleted = [this](const api::ObjectPtr& pod) { observe(*pod); };
  context.pods.addHandlers(std::move(pods));
}

void PodOwners::observe(const api::ObjectPtr& before, const api::ObjectPtr& now) {
  const metav1::ObjectMeta& was = api::meta(*before);
  const metav1::ObjectMeta& is = api::meta(*now);
  const auto* had = api::controllerOf(was);
  const auto* has = api::controllerOf(is);
  const bool moved = had != nullptr && (has == nullptr || has->uid() != had->uid());
  if (moved) observe(*before);
  // Who may adopt an orphan was asked before, when neither has changed.
  const bool same = had == nullptr && has == nullptr && api::sameEntries(was.labels(), is.labels());
  if (!same) observe(*now);
}

void PodOwners::observe(const google::protobuf::Message& pod) {
  const metav1::ObjectMeta& metadata = api::meta(pod);
  if (const auto* controller = api::controllerOf(metadata)) {
    if (controller->kind() != kind_) return;
    std::string key = metadata.namespace_() + "/" + controller->name();
    const auto object = objects_.get(key);
    if (object && api::meta(*object).uid() == controller->uid()) changed_(std::move(key));
    return;
  }
  for (const auto& key : objects_.keysIn(metadata.namespace_())) {
    if (selectorOf_(*objects_.get(key)).matches(metadata.labels())) changed_(key);
  }
}

api::LabelSelector selectorOrNone(const metav1::LabelSelector& selector) {
  auto parsed = api::LabelSelector::of(selector);
  return parsed ? std::move(*parsed) : *api::LabelSelector::parse("!a,a");
}

}  // namespace podlab::controllers
