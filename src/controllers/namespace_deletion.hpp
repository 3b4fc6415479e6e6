#pragma once
#include <string>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Empties a namespace that is being deleted, of every kind, and lets go of it when nothing is
/// left: pods have their grace period, and what has finalizers is waited for.
class NamespaceController {
 public:
  explicit NamespaceController(Context& context);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string name);
  Co<Result<std::size_t>> emptyOf(const api::Kind& kind, std::string name);

  Context& context_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
