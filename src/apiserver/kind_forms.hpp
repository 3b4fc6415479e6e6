#pragma once
#include <memory>
#include <string>

#include "api/api.hpp"
#include "apiserver/registry.hpp"

namespace podlab::apiserver {

/// The registry's verbs for kinds that are another form of one that is stored (Kind::Form): what is
/// written becomes the stored form, and what is read comes from it. Who owns fields is accounted in
/// the names of the stored form.
class KindForms {
 public:
  explicit KindForms(Registry& registry) : registry_(registry) {}

  Result<api::ObjectPtr> get(const api::ResourceId& id) const;
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options);
  Result<std::unique_ptr<api::Watch>> watch(const api::ResourceId& collection,
                                            api::WatchOptions options);
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options);
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options);
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options);
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options);

 private:
  Registry& registry_;
};

}  // namespace podlab::apiserver
