#include "controllers/pod_disruption.hpp"

#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "client/modify.hpp"

namespace podlab::controllers {

Co<Status> markDisrupted(Context& context, std::shared_ptr<const corev1::Pod> pod,
                         std::string reason, std::string message, bool failed) {
  const api::ConditionState state{"DisruptionTarget", "True", std::move(reason),
                                  std::move(message)};
  const client::Change change = [&](google::protobuf::Message& object) {
    auto& now = static_cast<corev1::Pod&>(object);
    if (now.metadata().uid() != pod->metadata().uid() || api::isFinished(now)) return false;
    if (failed) now.mutable_status()->set_phase("Failed");
    return api::setCondition(*now.mutable_status(), state, context.clock.wallNow()) || failed;
  };
  api::ResourceId id{&api::kindFor<corev1::Pod>(), pod->metadata().namespace_(),
                     pod->metadata().name(), "status"};
  auto written = co_await client::modify(context.api, std::move(id), pod, change);
  co_return unlessGone(written.status());
}

}  // namespace podlab::controllers
