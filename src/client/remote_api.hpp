#pragma once
#include <memory>
#include <string>

#include "api/api.hpp"
#include "client/connection.hpp"
#include "common/clock.hpp"

namespace podlab::rpc {
class ApiRequest;
class ApiResponse;
}  // namespace podlab::rpc

namespace podlab::client {

/// The server's Api over RPC (proto/api_rpc.proto), as the identity of the connection's
/// certificate. Each verb waits up to `patience` for a connection and then fails with kUnavailable,
/// as it does when the connection is lost before the answer: a write may then have happened or not.
/// A refused watch fails at its first next(). With `asNode`, as that hollow node, for which the
/// certificate must speak.
class RemoteApi final : public api::Api {
 public:
  /// Both references must outlive the object, its calls and its watches.
  RemoteApi(ReconnectingConnection& connection, Clock& clock,
            Duration patience = std::chrono::seconds(10), std::string asNode = "");

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override;
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options) override;
  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId collection,
                                                api::WatchOptions options) override;
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override;
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override;
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override;
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override;

 private:
  Co<Result<std::shared_ptr<rpc::Connection>>> connection();
  Co<Result<api::ListResult>> listPage(api::ResourceId collection, api::ListOptions options);
  Co<Status> call(std::shared_ptr<rpc::ApiRequest> request,
                  std::shared_ptr<rpc::ApiResponse> response);
  Co<Result<api::WriteResult>> callForObject(api::ResourceId id,
                                             std::shared_ptr<rpc::ApiRequest> request);

  ReconnectingConnection& connection_;
  Clock& clock_;
  Duration patience_;
  std::string asNode_;
};

}  // namespace podlab::client
