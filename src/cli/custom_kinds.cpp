#include "cli/custom_kinds.hpp"

#include <utility>

#include "apiextensions_v1.pb.h"

#include "api/custom/custom_kinds.hpp"
#include "cli/session.hpp"

namespace podlab::cli {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;

const Context* offered = nullptr;

Co<int> load(Session& session) {
  api::ResourceId definitions{&api::kindFor<Crd>(), "", "", ""};
  api::ListOptions all;
  auto found = co_await session.api.list(definitions, all);
  if (!found) co_return kFailed;
  for (const auto& object : found->items)
    api::listCustomKinds(api::as<Crd>(object), &session.context);
  co_return kDone;
}

}  // namespace

void offerCustomKinds(const Context& context) {
  offered = &context;
}

void loadCustomKinds() {
  const Context* context = std::exchange(offered, nullptr);
  if (context == nullptr) return;
  const auto paths = existingLab(*context);
  if (!paths || !lab::runningLab(*paths)) return;
  (void)withSession(*context, load);
}

}  // namespace podlab::cli
