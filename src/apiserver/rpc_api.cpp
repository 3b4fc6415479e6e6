#include "apiserver/rpc_api.hpp"

#include <utility>

#include "api_rpc.pb.h"

#include "api/arena_object.hpp"
#include "api/custom/custom_object.hpp"
#include "api/kinds.hpp"
#include "api/packed.hpp"

namespace podlab::apiserver {
namespace {

Result<api::ResourceId> toResourceId(const rpc::ResourceRef& ref) {
  const api::Kind* kind = api::findResource(ref.group(), ref.resource(), ref.version());
  if (kind == nullptr) {
    return Status(Code::kNotFound, "the server doesn't have a resource type \"" + ref.resource() +
                                       "\"" +
                                       (ref.group().empty() ? "" : " in group " + ref.group()));
  }
  return api::ResourceId{kind, ref.namespace_(), ref.name(), ref.subresource()};
}

Result<api::ObjectPtr> toObject(const api::ResourceId& id, const std::string& bytes) {
  const api::Kind& kind = api::bodyKindOf(*id.kind, id.subresource);
  auto object = kind.custom ? kind.make() : api::makeOnArena(*kind.prototype, bytes.size());
  if (!object->ParseFromString(bytes)) {
    return Status(Code::kBadRequest, "the object is not an encoded " + std::string(kind.kind));
  }
  if (kind.custom) api::sanitizeCustomObject(static_cast<CustomObject&>(*object), kind);
  return api::ObjectPtr(std::move(object));
}

api::WriteOptions toWriteOptions(const rpc::WriteRequest& request) {
  return {request.dryrun(), request.fieldmanager(),
          static_cast<api::FieldValidation>(request.fieldvalidation()), request.force()};
}

api::ListOptions toListOptions(const rpc::ListRequest& request) {
  return {request.labelselector(), request.fieldselector(), request.limit(), request.continue_(),
          request.resourceversion()};
}

Status fill(rpc::ApiResponse& response, const Result<api::ObjectPtr>& result) {
  if (!result) return result.status();
  response.set_object(api::Packed::bytesOf(*result));
  return {};
}

Status fill(rpc::ApiResponse& response, const Result<api::WriteResult>& result) {
  if (!result) return result.status();
  response.set_object(api::Packed::bytesOf(result->object));
  for (const auto& warning : result->warnings) response.add_warnings(warning);
  return {};
}

Status fill(rpc::ApiResponse& response, const Result<api::ListResult>& result) {
  if (!result) return result.status();
  for (const auto& item : result->items) {
    const auto& packed = item.packed();
    response.add_items(packed ? packed->bytes() : api::Packed::bytesOf(item));
  }
  response.set_resourceversion(result->resourceVersion);
  response.set_continue_(result->continueToken);
  if (const auto& remaining = result->remainingItemCount) {
    response.set_remainingitemcount(*remaining);
  }
  return {};
}

Co<Status> answer(api::Api& api, const rpc::ApiRequest& request, rpc::ApiResponse& response) {
  const auto id = toResourceId(request.ref());
  if (!id) co_return id.status();
  switch (request.verb_case()) {
    case rpc::ApiRequest::kGet:
      co_return fill(response, co_await api.get(*id));
    case rpc::ApiRequest::kList: {
      auto options = toListOptions(request.list());
      co_return fill(response, co_await api.list(*id, std::move(options)));
    }
    case rpc::ApiRequest::kCreate: {
      auto object = toObject(*id, request.create().object());
      if (!object) co_return object.status();
      auto options = toWriteOptions(request.create());
      co_return fill(response, co_await api.create(*id, std::move(*object), std::move(options)));
    }
    case rpc::ApiRequest::kUpdate: {
      const auto object = toObject(*id, request.update().object());
      if (!object) co_return object.status();
      auto options = toWriteOptions(request.update());
      co_return fill(response, co_await api.update(*id, *object, std::move(options)));
    }
    case rpc::ApiRequest::kPatch: {
      const auto& patch = request.patch();
      auto options = toWriteOptions(patch.options());
      const auto type = static_cast<api::PatchType>(patch.type());
      co_return fill(response, co_await api.patch(*id, type, patch.body(), std::move(options)));
    }
    case rpc::ApiRequest::kDelete:
      co_return fill(response, co_await api.remove(*id, request.delete_()));
    case rpc::ApiRequest::VERB_NOT_SET:
      break;
  }
  co_return Status(Code::kBadRequest, "the request has no verb that this server knows");
}

}  // namespace

Co<Status> serveApi(const ApiFor& apiFor, rpc::Stream& stream) {
  auto message = co_await stream.receive();
  if (!message) co_return message.status();
  rpc::ApiRequest request;
  if (Status bad = rpc::decode(*message, request); !bad) co_return bad;
  const auto api = apiFor(request.asnode());
  if (!api) co_return api.status();
  rpc::ApiResponse response;
  const Status status = co_await answer(**api, request, response);
  if (!status) co_return status;
  co_return co_await stream.send(rpc::encode(response));
}

Co<Status> serveWatch(const ApiFor& apiFor, rpc::Stream& stream) {
  auto message = co_await stream.receive();
  if (!message) co_return message.status();
  rpc::WatchRequest request;
  if (Status bad = rpc::decode(*message, request); !bad) co_return bad;
  auto id = toResourceId(request.ref());
  if (!id) co_return id.status();
  api::WatchOptions options{request.labelselector(),     request.fieldselector(),
                            request.resourceversion(),   request.bookmarks(),
                            request.sendinitialevents(), std::nullopt};
  if (request.has_timeoutnanos()) options.timeout = Duration(request.timeoutnanos());
  const auto api = apiFor(request.asnode());
  if (!api) co_return api.status();
  auto watch = co_await (*api)->watch(*id, options);
  if (!watch) co_return watch.status();
  while (true) {
    auto event = co_await (*watch)->next();
    if (!event) co_return event.status();
    rpc::WatchEventMessage out;
    out.set_type(static_cast<std::int32_t>(event->type));
    out.set_object(api::Packed::bytesOf(event->object));
    const Status sent = co_await stream.send(rpc::encode(out));
    if (!sent) co_return sent;
  }
}

}  // namespace podlab::apiserver
