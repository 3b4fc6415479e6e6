#include "sim/machine.hpp"

#include <utility>

namespace podlab::sim {
namespace {

/// One Api for all lives of an agent, each of which has a connection of its own.
class CurrentApi final : public api::Api {
 public:
  explicit CurrentApi(std::optional<client::RemoteApi>& current) : current_(current) {}

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    return current_->get(std::move(id));
  }
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options) override {
    return current_->list(std::move(collection), std::move(options));
  }
  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId collection,
                                                api::WatchOptions options) override {
    return current_->watch(std::move(collection), std::move(options));
  }
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    return current_->create(std::move(id), std::move(object), std::move(options));
  }
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    return current_->update(std::move(id), std::move(object), std::move(options));
  }
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override {
    return current_->patch(std::move(id), type, std::move(body), std::move(options));
  }
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    return current_->remove(std::move(id), std::move(options));
  }

 private:
  std::optional<client::RemoteApi>& current_;
};

}  // namespace

Machine::Machine(const asio::any_io_executor& executor, Clock& clock, std::uint64_t seed,
                 SimNetwork& network, SimServer& server, bool direct, HollowNodeOptions options)
    : executor_(executor),
      clock_(clock),
      network_(network),
      rng_(seed, "node/" + options.name),
      api_(direct ? server.asNode(options.name) : std::make_unique<CurrentApi>(remote_)) {
  if (!direct) dialer_ = network.dialer(options.name);
  node_ = std::make_unique<HollowNode>(HollowNodeDependencies{executor, clock, rng_, *api_},
                                       std::move(options));
}

void Machine::start() {
  if (up_ || busy_) return;
  network_.powerOn(name());
  if (dialer_ != nullptr) {
    client::ReconnectingConnection::Options options;
    options.address = SimServer::kHost;
    connection_.emplace(executor_, clock_, rng_, *dialer_, std::move(options));
    remote_.emplace(*connection_, clock_);
    connection_->start();
  }
  node_->start();
  up_ = true;
}

Co<void> Machine::hangUp() {
  if (!connection_) co_return;
  co_await connection_->stop();
  remote_.reset();
  connection_.reset();
}

Co<void> Machine::crashAgent() {
  if (!up_ || busy_) co_return;
  busy_ = true;
  co_await node_->crash();
  network_.crash(name());
  co_await hangUp();
  up_ = busy_ = false;
}

Co<void> Machine::powerOff() {
  if (!up_ || busy_) co_return;
  busy_ = true;
  network_.powerOff(name());
  co_await node_->powerOff();
  co_await hangUp();
  up_ = busy_ = false;
}

Co<void> Machine::stop() {
  if (!up_ || busy_) co_return;
  busy_ = true;
  co_await node_->stop();
  co_await hangUp();
  up_ = busy_ = false;
}

}  // namespace podlab::sim
