#pragma once
#include <map>
#include <string>
#include <vector>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Empties a namespace that is being deleted, of every kind, and lets go of it when nothing is
/// left: pods have their grace period, and what has finalizers is waited for. The namespace's
/// conditions say meanwhile what is left and why.
class NamespaceController {
 public:
  NamespaceController(Context& context);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  /// What is left of a namespace.
  struct Remainder {
    std::map<std::string, std::size_t> objects;     ///< by resource and group
    std::map<std::string, std::size_t> finalizers;  ///< of these objects
    std::vector<std::string> failures;
  };

  Co<Status> reconcile(std::string name);
  Co<void> emptyOf(const api::Kind& kind, std::string name, Remainder& left);
  Co<void> removeOne(api::ObjectPtr object, Remainder& left);
  Co<Status> writeConditions(api::ObjectPtr object, const Remainder& left);

  Context& context_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
