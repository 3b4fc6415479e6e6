#pragma once
#include <memory>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "apiserver/authorizer.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/service_allocator.hpp"
#include "apiserver/token_authority.hpp"
#include "apiserver/virtual_kind.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"
#include "store/store.hpp"

namespace podlab::apiserver {

struct ApiOptions {
  /// One a family, the default family's first.
  std::vector<ServiceRange> serviceRanges = {*ServiceRange::parse("10.96.0.0/16")};
};

/// The API of one cluster: the verbs with Kubernetes' semantics for every kind, each request judged
/// by who asks. Keeps its store tidy: history is compacted after five minutes or more, Events are
/// removed an hour after they last happened.
class ApiService {
 public:
  ApiService(store::Store& store, Clock& clock, Rng& rng, const asio::any_io_executor& executor,
             ApiOptions options = {});
  ~ApiService();

  /// Reads the store and makes what every cluster has: the namespaces default, kube-system,
  /// kube-public and kube-node-lease, the system's priority classes, and the roles and bindings of
  /// bootstrapPolicy(). Before any request.
  Co<Status> start();
  /// Ends watches and background work; later writes fail with kUnavailable.
  Co<void> stop();

  /// The API as `user` sees it; must not outlive the service.
  std::unique_ptr<api::Api> as(User user);
  const Authorizer& authorizer() const;
  /// Answers requests for a kind that is not stored, or for that subresource of a kind. Before any
  /// request.
  void serve(const api::Kind& kind, std::string subresource, std::shared_ptr<VirtualKind> handler);
  /// From now on service accounts have tokens, signed by the key, and pods need an account.
  void signTokensWith(transport::SigningKey key);
  /// nullptr without a key.
  TokenAuthority* tokens() const;

 private:
  class BoundApi;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace podlab::apiserver
