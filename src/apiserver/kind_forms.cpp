#include "apiserver/kind_forms.hpp"

#include <algorithm>
#include <utility>

#include "api/managed_fields.hpp"
#include "api/patch.hpp"
#include "api/selectors.hpp"
#include "api/status_conversion.hpp"
#include "apiserver/shown_watch.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::Message;

api::ResourceId storedId(api::ResourceId id) {
  id.kind = &id.kind->stored();
  return id;
}

api::ObjectPtr shown(const api::Kind& kind, const Message& stored) {
  auto object = kind.make();
  kind.form->fromStored(stored, *object);
  return object;
}

Result<api::ObjectPtr> shown(const api::Kind& kind, Result<api::ObjectPtr> stored) {
  if (!stored) return stored.status();
  return shown(kind, **stored);
}

Result<api::WriteResult> shown(const api::Kind& kind, Result<api::WriteResult> stored) {
  if (stored) stored->object = shown(kind, *stored->object);
  return stored;
}

api::ObjectPtr toStored(const api::Kind& kind, const Message& object) {
  auto stored = kind.stored().make();
  kind.form->toStored(object, *stored);
  return stored;
}

Status checkType(const api::Kind& kind, const api::ObjectPtr& object) {
  if (object && object->GetDescriptor() == kind.prototype->GetDescriptor()) return {};
  return {Code::kBadRequest, "the object is not a " + std::string(kind.kind)};
}

Status invalidIf(const api::Kind& kind, const Message& object, std::vector<Cause> causes) {
  if (causes.empty()) return {};
  return api::invalid(kind, api::meta(object).name(), std::move(causes));
}

/// The stored form of a change, if this form allows it.
Result<api::ObjectPtr> changed(const api::Kind& kind, const Message& now, const Message& before) {
  if (kind.strategy.validateUpdate) {
    Status bad = invalidIf(kind, now, kind.strategy.validateUpdate(now, before));
    if (!bad) return bad;
  }
  return toStored(kind, now);
}

/// The selector in the names of the stored kind; kBadRequest for a field that the form has not.
Result<std::string> storedSelector(const api::Kind& kind, const std::string& text) {
  const auto selector = api::FieldSelector::parse(kind, text);
  if (!selector) return selector.status();
  std::string stored;
  for (const auto& requirement : selector->requirements()) {
    const auto& labels = kind.form->fieldLabels;
    const auto label = std::ranges::find_if(
        labels, [&](const auto& each) { return each.first == requirement.field; });
    stored += stored.empty() ? "" : ",";
    stored += label == labels.end() ? requirement.field : std::string(label->second);
    stored += requirement.equal ? "=" : "!=";
    for (const char c : requirement.value) {
      if (c == ',' || c == '=' || c == '\\') stored += '\\';
      stored += c;
    }
  }
  return stored;
}

}  // namespace

Result<api::ObjectPtr> KindForms::get(const api::ResourceId& id) const {
  return shown(*id.kind, registry_.get(storedId(id)));
}

Co<Result<api::ListResult>> KindForms::list(api::ResourceId collection, api::ListOptions options) {
  const api::Kind& kind = *collection.kind;
  auto selector = storedSelector(kind, options.fieldSelector);
  if (!selector) co_return selector.status();
  options.fieldSelector = std::move(*selector);
  auto result = co_await registry_.list(storedId(std::move(collection)), std::move(options));
  if (result) {
    for (auto& item : result->items) item = shown(kind, *item);
  }
  co_return result;
}

Result<std::unique_ptr<api::Watch>> KindForms::watch(const api::ResourceId& collection,
                                                     api::WatchOptions options) {
  auto selector = storedSelector(*collection.kind, options.fieldSelector);
  if (!selector) return selector.status();
  options.fieldSelector = std::move(*selector);
  auto opened = registry_.watch(storedId(collection), options);
  if (!opened) return opened.status();
  auto show = [kind = collection.kind](const api::ObjectPtr& object) {
    return shown(*kind, *object);
  };
  return makeShownWatch(std::move(*opened), show);
}

Co<Result<api::WriteResult>> KindForms::create(api::ResourceId id, api::ObjectPtr object,
                                               api::WriteOptions options) {
  const api::Kind& kind = *id.kind;
  if (Status bad = checkType(kind, object); !bad) co_return bad;
  if (kind.strategy.validate) {
    Status bad = invalidIf(kind, *object, kind.strategy.validate(*object));
    if (!bad) co_return bad;
  }
  co_return shown(kind, co_await registry_.create(storedId(std::move(id)), toStored(kind, *object),
                                                  std::move(options)));
}

Co<Result<api::WriteResult>> KindForms::update(api::ResourceId id, api::ObjectPtr object,
                                               api::WriteOptions options) {
  const api::Kind& kind = *id.kind;
  if (Status bad = checkType(kind, object); !bad) co_return bad;
  Registry::Desired desired = [&kind, object](const Message& current) {
    return changed(kind, *object, *shown(kind, current));
  };
  co_return shown(kind, co_await registry_.rewrite(storedId(std::move(id)), std::move(desired),
                                                   std::move(options)));
}

Co<Result<api::WriteResult>> KindForms::patch(api::ResourceId id, api::PatchType type,
                                              std::string body, api::WriteOptions options) {
  const api::Kind& kind = *id.kind;
  std::vector<std::string> warnings;
  Result<api::WriteResult> result = Status(Code::kInternal, "");
  if (type == api::PatchType::kApply) {
    auto configuration = api::storedConfiguration(kind, body, options.fieldValidation);
    if (!configuration) co_return configuration.status();
    warnings = std::move(configuration->warnings);
    result = co_await registry_.patch(storedId(std::move(id)), type, std::move(configuration->text),
                                      std::move(options));
  } else {
    Registry::Desired desired = [&](const Message& current) -> Result<api::ObjectPtr> {
      const api::ObjectPtr before = shown(kind, current);
      auto patched = api::applyPatch(*before, type, body, options.fieldValidation);
      if (!patched) return patched.status();
      warnings = std::move(patched->warnings);
      return changed(kind, *patched->object, *before);
    };
    result = co_await registry_.rewrite(storedId(std::move(id)), desired, options);
  }
  if (result) result->warnings.insert(result->warnings.begin(), warnings.begin(), warnings.end());
  co_return shown(kind, std::move(result));
}

Co<Result<api::ObjectPtr>> KindForms::remove(api::ResourceId id, api::DeleteOptions options) {
  const api::Kind& kind = *id.kind;
  co_return shown(kind, co_await registry_.remove(storedId(std::move(id)), std::move(options)));
}

}  // namespace podlab::apiserver
