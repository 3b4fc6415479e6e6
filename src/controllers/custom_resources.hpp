#pragma once
#include <string>
#include <vector>

#include "apiextensions_v1.pb.h"

#include "api/conditions.hpp"
#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// The names that a definition gets, and what its conditions say of them.
struct AcceptedNames {
  apiextensionsv1::CustomResourceDefinitionNames names;
  api::ConditionState accepted;     ///< NamesAccepted
  api::ConditionState established;  ///< Established
};

/// Judges the names that `definition` asks for by those that the others of its group have
/// (upstream: apiextensions-apiserver/pkg/controller/status/naming_controller.go). What it has
/// already it keeps.
AcceptedNames acceptNames(const apiextensionsv1::CustomResourceDefinition& definition,
                          const std::vector<api::ObjectPtr>& all);

/// Establishes CustomResourceDefinitions whose names are free, gives the caches their kinds, and
/// deletes the objects of a definition that is being deleted before it lets go of it (upstream:
/// pkg/controller/{status,establish,finalizer}).
class CustomResourceController {
 public:
  CustomResourceController(Context& context, client::Informer& definitions);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Crd = apiextensionsv1::CustomResourceDefinition;
  void observe(const api::ObjectPtr& definition);
  void enqueueGroup(const Crd& definition);
  Co<Status> reconcile(std::string name);
  Co<Status> establish(api::ObjectPtr definition);
  Co<Status> cleanUp(api::ObjectPtr definition);
  Co<Result<std::size_t>> removeObjects(const api::Kind& kind);
  Co<Status> writeTerminating(api::ObjectPtr definition, api::ConditionState state);

  Context& context_;
  client::Informer& definitions_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
