#include "cli/pod_containers.hpp"

#include <utility>

#include "api/pod_containers.hpp"

namespace podlab::cli {

void tellDefault(const Context& context, const corev1::Pod& pod) {
  const auto& spec = pod.spec();
  if (spec.containers_size() + spec.initcontainers_size() < 2) return;
  std::string names;
  for (const auto& container : spec.containers())
    names += (names.empty() ? "" : ", ") + container.name();
  for (const auto& container : spec.initcontainers()) names += ", " + container.name() + " (init)";
  say(context, "Defaulted container \"" + api::defaultContainer(pod) + "\" out of: " + names);
}

Co<Result<std::unique_ptr<rpc::Stream>>> openStream(Session& session, std::string method,
                                                    std::string first) {
  auto connection = co_await session.connection.get(session.clock.now() + std::chrono::seconds(10));
  if (!connection) co_return connection.status();
  auto stream = co_await (*connection)->open(std::move(method));
  if (!stream) co_return stream.status();
  Status sent = co_await (*stream)->send(std::move(first));
  if (!sent) co_return sent;
  co_return stream;
}

}  // namespace podlab::cli
