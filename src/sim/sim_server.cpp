#include "sim/sim_server.hpp"

#include <utility>

#include "apiserver/rpc_server.hpp"
#include "apiserver/stream_relay.hpp"

namespace podlab::sim {
namespace {

apiserver::User nodeUser(const std::string& name) {
  return {std::string(apiserver::kNodeUserPrefix) + name,
          {std::string(apiserver::kNodes), std::string(apiserver::kAuthenticated)}};
}

/// Streams in memory have no certificates: the host's name says who it is.
apiserver::User userOfHost(const ByteStream& stream) {
  return stream.peer() == SimServer::kAdminHost ? apiserver::systemUser("admin")
                                                : nodeUser(stream.peer());
}

}  // namespace

/// From one start to the next crash.
struct SimServer::Life {
  Life(std::unique_ptr<store::Store> opened, const State& server);

  std::unique_ptr<store::Store> store;
  apiserver::ApiService service;
  std::unique_ptr<api::Api> system;
  std::vector<std::unique_ptr<api::Api>> bound;  ///< of DirectApis
  apiserver::StreamRelay relay;
  apiserver::RpcServer rpc;
  controllers::ControllerManager manager;
};

struct SimServer::State {
  asio::any_io_executor executor;
  Clock& clock;
  Rng& rng;
  SimDisk& disk;
  SimNetwork& network;
  controllers::ManagerOptions options;
  std::shared_ptr<Life> life;
};

SimServer::Life::Life(std::unique_ptr<store::Store> opened, const State& server)
    : store(std::move(opened)),
      service(*store, server.clock, server.rng, server.executor),
      system(service.as(apiserver::systemUser("controllers"))),
      relay(service, server.clock, server.rng),
      rpc(service, relay, server.clock, server.executor, userOfHost),
      manager(*system, server.clock, server.rng, server.executor, server.options) {}

/// A call holds the life that it calls: who is in one when the server dies still finds all of it.
/// Watches do not; they end with the life.
class SimServer::DirectApi final : public api::Api {
 public:
  DirectApi(std::shared_ptr<State> state, apiserver::User user)
      : state_(std::move(state)), user_(std::move(user)) {}

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).get(std::move(id));
  }
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).list(std::move(collection), std::move(options));
  }
  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId collection,
                                                api::WatchOptions options) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).watch(std::move(collection), std::move(options));
  }
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).create(std::move(id), std::move(object), std::move(options));
  }
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).update(std::move(id), std::move(object), std::move(options));
  }
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).patch(std::move(id), type, std::move(body),
                                           std::move(options));
  }
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    const auto life = state_->life;
    if (!life) co_return away();
    co_return co_await boundTo(life).remove(std::move(id), std::move(options));
  }

 private:
  static Status away() { return {Code::kUnavailable, "the server is down"}; }
  api::Api& boundTo(const std::shared_ptr<Life>& life) {
    if (bound_ == nullptr || boundLife_.lock() != life) {
      bound_ = life->bound.emplace_back(life->service.as(user_)).get();
      boundLife_ = life;
    }
    return *bound_;
  }

  std::shared_ptr<State> state_;
  apiserver::User user_;
  std::weak_ptr<Life> boundLife_;
  api::Api* bound_ = nullptr;  ///< of `boundLife_`
};

SimServer::SimServer(const asio::any_io_executor& executor, Clock& clock, Rng& rng, SimDisk& disk,
                     SimNetwork& network, controllers::ManagerOptions options)
    : state_(std::make_shared<State>(executor, clock, rng, disk, network, std::move(options))) {}

SimServer::~SimServer() = default;

bool SimServer::running() const {
  return state_->life != nullptr;
}

Co<Status> SimServer::start(std::function<Co<void>()> opened) {
  const auto state = state_;
  auto store = co_await state->disk.open();
  if (opened) co_await opened();
  const auto life = std::make_shared<Life>(std::move(store), *state);
  Status started = co_await life->service.start();
  if (!started.ok()) co_return started;
  auto listener = state->network.listen(kHost);
  if (!listener) co_return listener.status();
  life->manager.start();
  life->rpc.serve(std::move(*listener));
  state->life = life;
  co_return Status();
}

Co<void> SimServer::end(std::shared_ptr<Life> life) {
  co_await life->rpc.stop();
  co_await life->manager.stop();
  co_await life->service.stop();
  co_await life->store->close();
}

Co<void> SimServer::crash() {
  const auto state = state_;
  state->disk.crash();
  state->network.crash(kHost);
  if (const auto life = std::exchange(state->life, nullptr)) co_await end(life);
}

Co<void> SimServer::stop() {
  const auto state = state_;
  if (const auto life = std::exchange(state->life, nullptr)) co_await end(life);
  state->disk.crash();
}

std::unique_ptr<api::Api> SimServer::asAdmin() {
  return std::make_unique<DirectApi>(state_, apiserver::systemUser("admin"));
}

std::unique_ptr<api::Api> SimServer::asNode(const std::string& name) {
  return std::make_unique<DirectApi>(state_, nodeUser(name));
}

}  // namespace podlab::sim
