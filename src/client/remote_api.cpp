#include "client/remote_api.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "api_rpc.pb.h"

#include "api/kinds.hpp"
#include "api/packed.hpp"

namespace podlab::client {
namespace {

using RequestPtr = std::shared_ptr<rpc::ApiRequest>;

constexpr std::int64_t kPageSize = 500;

void encodeRef(const api::ResourceId& id, rpc::ResourceRef& ref) {
  ref.set_group(std::string(id.kind->group));
  if (id.kind->form || id.kind->custom) ref.set_version(std::string(id.kind->version));
  ref.set_resource(std::string(id.kind->plural));
  if (!id.ns.empty()) ref.set_namespace_(id.ns);
  if (!id.name.empty()) ref.set_name(id.name);
  if (!id.subresource.empty()) ref.set_subresource(id.subresource);
}

RequestPtr makeRequest(const api::ResourceId& id) {
  auto request = std::make_shared<rpc::ApiRequest>();
  encodeRef(id, *request->mutable_ref());
  return request;
}

void encodeOptions(const api::WriteOptions& options, rpc::WriteRequest& out) {
  if (options.dryRun) out.set_dryrun(true);
  if (!options.fieldManager.empty()) out.set_fieldmanager(options.fieldManager);
  out.set_fieldvalidation(static_cast<int>(options.fieldValidation));
  if (options.force) out.set_force(true);
}

/// The object remembers its bytes: who keeps it keeps them.
Result<api::ObjectPtr> decodeObject(const api::Kind& kind, std::string& bytes) {
  api::ObjectPtr object;
  if (kind.custom) {
    auto made = kind.make();
    if (made->ParseFromString(bytes)) object = std::move(made);
  } else {
    object = std::make_shared<const api::Packed>(*kind.prototype, std::move(bytes))->decode();
  }
  if (object) return object;
  return Status(Code::kInternal, "the server's answer is no " + std::string(kind.kind));
}

class RemoteWatch final : public api::Watch {
 public:
  RemoteWatch(std::shared_ptr<rpc::Connection> connection, std::unique_ptr<rpc::Stream> stream,
              const api::Kind& kind)
      : connection_(std::move(connection)), stream_(std::move(stream)), kind_(kind) {}

  Co<Result<api::WatchEvent>> next() override {
    auto bytes = co_await stream_->receive();
    if (!bytes) co_return bytes.status();
    rpc::WatchEventMessage message;
    Status status = rpc::decode(*bytes, message);
    if (!status || message.type() < 0 ||
        message.type() > static_cast<int>(api::EventType::kBookmark)) {
      co_return Status(Code::kInternal, "the server sent a malformed watch event");
    }
    auto object = decodeObject(kind_, *message.mutable_object());
    if (!object) co_return object.status();
    api::WatchEvent event;
    event.type = static_cast<api::EventType>(message.type());
    event.object = std::move(*object);
    co_return event;
  }

 private:
  std::shared_ptr<rpc::Connection> connection_;
  std::unique_ptr<rpc::Stream> stream_;
  const api::Kind& kind_;
};

}  // namespace

RemoteApi::RemoteApi(ReconnectingConnection& connection, Clock& clock, Duration patience,
                     std::string asNode)
    : connection_(connection), clock_(clock), patience_(patience), asNode_(std::move(asNode)) {}

Co<Result<std::shared_ptr<rpc::Connection>>> RemoteApi::connection() {
  return connection_.get(clock_.now() + patience_);
}

Co<Status> RemoteApi::call(RequestPtr request, std::shared_ptr<rpc::ApiResponse> response) {
  auto current = co_await connection();
  if (!current) co_return current.status();
  if (!asNode_.empty()) request->set_asnode(asNode_);
  co_return co_await (*current)->call("api", *request, *response);
}

Co<Result<api::WriteResult>> RemoteApi::callForObject(api::ResourceId id, RequestPtr request) {
  auto response = std::make_shared<rpc::ApiResponse>();
  Status status = co_await call(std::move(request), response);
  if (!status) co_return status;
  // A subresource answers with what it takes; a binding, with its pod.
  const bool isOwn = id.subresource.empty() || id.subresource == "binding";
  const api::Kind& kind = isOwn ? *id.kind : api::bodyKindOf(*id.kind, id.subresource);
  auto object = decodeObject(kind, *response->mutable_object());
  if (!object) co_return object.status();
  api::WriteResult result;
  result.object = std::move(*object);
  result.warnings.assign(response->warnings().begin(), response->warnings().end());
  co_return result;
}

Co<Result<api::ObjectPtr>> RemoteApi::get(api::ResourceId id) {
  auto request = makeRequest(id);
  request->set_get(true);
  auto result = co_await callForObject(id, std::move(request));
  if (!result) co_return result.status();
  co_return std::move(result->object);
}

// One message holds only so much: everything comes in pages, smaller ones for larger objects.
Co<Result<api::ListResult>> RemoteApi::list(api::ResourceId collection, api::ListOptions options) {
  if (options.limit > 0) co_return co_await listPage(std::move(collection), std::move(options));
  api::ListResult all;
  options.limit = kPageSize;
  while (true) {
    auto page = co_await listPage(collection, options);
    if (page.status().is(Code::kTooLarge) && options.limit > 1) {
      options.limit /= 2;
      continue;
    }
    if (!page) co_return page.status();
    std::ranges::move(page->items, std::back_inserter(all.items));
    all.resourceVersion = std::move(page->resourceVersion);
    if (page->continueToken.empty()) co_return all;
    options.continueToken = std::move(page->continueToken);
    options.resourceVersion.clear();
  }
}

Co<Result<api::ListResult>> RemoteApi::listPage(api::ResourceId collection,
                                                api::ListOptions options) {
  auto request = makeRequest(collection);
  auto& list = *request->mutable_list();
  list.set_labelselector(std::move(options.labelSelector));
  list.set_fieldselector(std::move(options.fieldSelector));
  list.set_limit(options.limit);
  list.set_continue_(std::move(options.continueToken));
  list.set_resourceversion(std::move(options.resourceVersion));
  auto response = std::make_shared<rpc::ApiResponse>();
  Status status = co_await call(std::move(request), response);
  if (!status) co_return status;
  api::ListResult result;
  result.items.reserve(static_cast<std::size_t>(response->items_size()));
  for (auto& item : *response->mutable_items()) {
    auto object = decodeObject(*collection.kind, item);
    if (!object) co_return object.status();
    result.items.push_back(std::move(*object));
  }
  result.resourceVersion = response->resourceversion();
  result.continueToken = response->continue_();
  if (response->has_remainingitemcount()) {
    result.remainingItemCount = response->remainingitemcount();
  }
  co_return result;
}

Co<Result<std::unique_ptr<api::Watch>>> RemoteApi::watch(api::ResourceId collection,
                                                         api::WatchOptions options) {
  rpc::WatchRequest request;
  encodeRef(collection, *request.mutable_ref());
  request.set_labelselector(std::move(options.labelSelector));
  request.set_fieldselector(std::move(options.fieldSelector));
  request.set_resourceversion(std::move(options.resourceVersion));
  request.set_bookmarks(options.bookmarks);
  request.set_sendinitialevents(options.sendInitialEvents);
  if (options.timeout) request.set_timeoutnanos(options.timeout->count());
  if (!asNode_.empty()) request.set_asnode(asNode_);
  auto current = co_await connection();
  if (!current) co_return current.status();
  auto stream = co_await (*current)->open("watch");
  if (!stream) co_return stream.status();
  Status sent = co_await (*stream)->send(rpc::encode(request));
  if (!sent) co_return sent;
  (*stream)->finish();
  co_return std::unique_ptr<api::Watch>(
      std::make_unique<RemoteWatch>(std::move(*current), std::move(*stream), *collection.kind));
}

Co<Result<api::WriteResult>> RemoteApi::create(api::ResourceId id, api::ObjectPtr object,
                                               api::WriteOptions options) {
  auto request = makeRequest(id);
  encodeOptions(options, *request->mutable_create());
  request->mutable_create()->set_object(rpc::encode(*object));
  return callForObject(std::move(id), std::move(request));
}

Co<Result<api::WriteResult>> RemoteApi::update(api::ResourceId id, api::ObjectPtr object,
                                               api::WriteOptions options) {
  auto request = makeRequest(id);
  encodeOptions(options, *request->mutable_update());
  request->mutable_update()->set_object(rpc::encode(*object));
  return callForObject(std::move(id), std::move(request));
}

Co<Result<api::WriteResult>> RemoteApi::patch(api::ResourceId id, api::PatchType type,
                                              std::string body, api::WriteOptions options) {
  auto request = makeRequest(id);
  auto& patch = *request->mutable_patch();
  patch.set_type(static_cast<int>(type));
  patch.set_body(std::move(body));
  encodeOptions(options, *patch.mutable_options());
  return callForObject(std::move(id), std::move(request));
}

Co<Result<api::ObjectPtr>> RemoteApi::remove(api::ResourceId id, api::DeleteOptions options) {
  auto request = makeRequest(id);
  *request->mutable_delete_() = std::move(options);
  auto result = co_await callForObject(id, std::move(request));
  if (!result) co_return result.status();
  co_return std::move(result->object);
}

}  // namespace podlab::client
