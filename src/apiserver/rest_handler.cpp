#include "apiserver/rest_handler.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"
#include "apiserver/authentication.hpp"
#include "apiserver/rest_body.hpp"
#include "apiserver/rest_call.hpp"
#include "apiserver/rest_discovery.hpp"
#include "common/log.hpp"

namespace podlab::apiserver {
namespace {

/// Lists of so many objects are answered at once, longer ones in pieces.
constexpr std::size_t kSmallList = 100;

const Status kNotAllowed(Code::kMethodNotAllowed,
                         "the server does not allow this method on the requested resource");

std::optional<api::PatchType> patchTypeOf(const std::string& media) {
  if (media == "application/json-patch+json") return api::PatchType::kJson;
  if (media == "application/merge-patch+json") return api::PatchType::kMerge;
  if (media == "application/strategic-merge-patch+json") return api::PatchType::kStrategicMerge;
  if (media == "application/apply-patch+yaml") return api::PatchType::kApply;
  return std::nullopt;
}

/// What is done here to an object; other subresources are read and written by the API.
bool isAction(const std::string& subresource) {
  return subresource == "log" || subresource == "exec" || subresource == "attach" ||
         subresource == "portforward";
}

bool has(const api::Kind& kind, const std::string& action) {
  return std::ranges::find(kind.actions, action, &api::Kind::Action::name) != kind.actions.end();
}

/// The type that the body has to have: the kind's, or what it was called before.
api::TypeMeta typeSent(const http::Request& request, const api::Kind& kind) {
  const auto given = api::readTypeMeta(request.body);
  const auto isFormer = [&](std::string_view version) {
    return given->apiVersion == std::string(kind.group) + "/" + std::string(version);
  };
  if (given && std::ranges::any_of(kind.formerVersions, isFormer))
    return {given->apiVersion, std::string(kind.kind)};
  return typeOf(kind);
}

/// The names of the namespaced kinds' namespace in the body must be that of the path.
Status checkNamespace(const api::ResourceId& id, google::protobuf::Message& object) {
  auto& meta = api::mutableMeta(object);
  if (id.ns.empty() || meta.namespace_().empty() || meta.namespace_() == id.ns) return {};
  return Status(
      Code::kBadRequest,
      "the namespace of the provided object does not match the namespace sent on the request");
}

}  // namespace

Co<void> RestHandler::serve(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  RestPath path = parseRestPath(request.path);
  auto user = authenticate(request, exchange.peerIdentity(), service_.tokens());
  if (!user) {
    logDebug("unauthorized",
             {{"peer", exchange.peerIdentity().commonName}, {"error", user.status()}});
    user = Status(Code::kUnauthorized, "Unauthorized");
  } else {
    user = impersonate(std::move(*user), request, service_.authorizer());
  }
  auto fields = http::parseQuery(request.query);
  if (!user) {
    co_await exchange.respond(statusAnswer(user.status()));
  } else if (!fields) {
    co_await exchange.respond(statusAnswer(Status(Code::kBadRequest, "the query is malformed")));
  } else if (path.what == RestPath::What::kObjects) {
    Parameters parameters(fields->begin(), fields->end());
    co_await objects(exchange, std::move(*user), std::move(path), std::move(parameters));
  } else {
    co_await exchange.respond(document(request, path, *user));
  }
}

/// What is no object: health, discovery, and who signs tokens.
http::Response RestHandler::document(const http::Request& request, const RestPath& path,
                                     const User& user) {
  std::string verb = request.method;
  std::ranges::transform(verb, verb.begin(), [](unsigned char c) { return std::tolower(c); });
  if (Status denied = service_.authorizer().checkPath(user, verb, request.path); !denied)
    return statusAnswer(denied);
  if (path.what == RestPath::What::kUnknown) return plainAnswer(404, "404 page not found\n");
  if (request.method != "GET" && request.method != "HEAD") return statusAnswer(kNotAllowed);
  const TokenAuthority* tokens = service_.tokens();
  const std::string* host = request.header("host");
  if (path.what == RestPath::What::kTokenKeys && tokens != nullptr)
    return {200, {{"Content-Type", "application/jwk-set+json"}}, tokens->keySet()};
  if (path.what == RestPath::What::kTokenIssuer && tokens != nullptr)
    return jsonAnswer(200, tokens->discovery(host == nullptr ? "" : *host));
  if (path.what == RestPath::What::kOpenApi || path.what == RestPath::What::kOpenApiV2 ||
      path.what == RestPath::What::kOpenApiV3)
    return openApiAnswer(path);
  return discoveryAnswer(request, path);
}

http::Response RestHandler::openApiAnswer(const RestPath& path) {
  if (path.what == RestPath::What::kOpenApiV2) {
    return {200,
            {{"Content-Type", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"}},
            openApi_.v2()};
  }
  if (path.what == RestPath::What::kOpenApi) return jsonAnswer(200, openApi_.index());
  const std::string* document = openApi_.v3(path.group, path.version);
  return document != nullptr ? jsonAnswer(200, *document)
                             : plainAnswer(404, "404 page not found\n");
}

Co<void> RestHandler::objects(http::Exchange& exchange, User user, RestPath path,
                              Parameters parameters) {
  auto api = service_.as(user);
  Call call{exchange.request(),
            std::move(user),
            std::move(path.id),
            std::move(parameters),
            acceptedForm(exchange.request()),
            std::move(api)};
  if (call.form.kind == RestForm::Kind::kTable) {
    const std::string include = call.text("includeObject");
    if (!include.empty() && include != "Metadata" && include != "Object" && include != "None") {
      co_return co_await exchange.respond(call.fail(
          Status(Code::kBadRequest,
                 "Unable to convert to Table as requested: includeObject: Invalid value: \"" +
                     include + "\": must be 'Metadata', 'Object', 'None', or empty")));
    }
    if (!include.empty()) call.form.includeObject = include;
  }
  const bool read = call.request.method == "GET";
  if (isAction(call.id.subresource) && !has(*call.id.kind, call.id.subresource))
    co_return co_await exchange.respond(plainAnswer(404, "404 page not found\n"));
  if (isAction(call.id.subresource)) {
    // As newer upstream: what runs something needs "create", also when asked by GET.
    const std::string_view verb = call.id.subresource == "log" ? "get" : "create";
    const Status denied =
        service_.authorizer().check(call.user, Attributes{verb, call.id, "", nullptr, nullptr});
    if (!denied) co_return co_await exchange.respond(call.fail(denied));
  }
  if (read && call.id.subresource == "log") co_return co_await log(exchange, call);
  if (call.id.subresource == "exec" || call.id.subresource == "attach")
    co_return co_await program(exchange, call);
  if (call.id.subresource == "portforward") co_return co_await portForward(exchange, call);
  if (call.form.kind == RestForm::Kind::kNone) {
    // kubectl's typed clients ask for protobuf first and take JSON.
    auto response = jsonAnswer(
        406,
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"only the following media types are accepted: application/json","reason":"NotAcceptable","code":406})");
    co_return co_await exchange.respond(std::move(response));
  }
  if (call.id.name.empty() && (read || call.request.method == "HEAD")) {
    if (read && call.flag("watch")) co_return co_await watch(exchange, call);
    co_return co_await list(exchange, call);
  }
  co_await exchange.respond(co_await dispatch(call));
}

Co<http::Response> RestHandler::dispatch(Call& call) {
  const std::string& method = call.request.method;
  const bool collection = call.id.name.empty();
  if (method == "GET" || method == "HEAD") co_return co_await get(call);
  if (method == "POST" && (collection || !call.id.subresource.empty()))
    co_return co_await create(call);
  if (method == "DELETE" && collection) co_return co_await removeCollection(call);
  if (collection) co_return call.fail(kNotAllowed);
  if (method == "PUT") co_return co_await update(call);
  if (method == "PATCH") co_return co_await patch(call);
  if (method == "DELETE" && call.id.subresource.empty()) co_return co_await remove(call);
  co_return call.fail(kNotAllowed);
}

Co<http::Response> RestHandler::get(Call& call) {
  auto object = co_await call.api->get(call.id);
  if (!object) co_return call.fail(object.status());
  co_return call.answer(200, **object, clock_.wallNow());
}

Co<void> RestHandler::list(http::Exchange& exchange, Call& call) {
  const auto limit = call.number("limit");
  if (!limit) co_return co_await exchange.respond(call.fail(limit.status()));
  api::ListOptions options{call.text("labelSelector"), call.text("fieldSelector"),
                           limit->value_or(0), call.text("continue"), call.text("resourceVersion")};
  auto items = co_await call.api->list(call.id, std::move(options));
  if (!items) co_return co_await exchange.respond(call.fail(items.status()));
  if (items->items.size() <= kSmallList) {
    std::string text = writeList(call.form, *call.id.kind, *items, clock_.wallNow());
    co_return co_await exchange.respond(jsonAnswer(200, std::move(text)));
  }
  ListWriter writer(call.form, *call.id.kind, std::move(*items), clock_.wallNow());
  co_await exchange.respondInPieces(jsonAnswer(200, ""), [&writer] { return writer.next(); });
}

Co<http::Response> RestHandler::create(Call& call) {
  if (call.id.kind->namespaced() && call.id.ns.empty()) co_return call.fail(kNotAllowed);
  auto options = call.writeOptions();
  if (!options) co_return call.fail(options.status());
  const api::Kind& kind = api::bodyKindOf(*call.id.kind, call.id.subresource);
  auto body = readRestBody(call.request, *kind.prototype, typeSent(call.request, kind),
                           options->fieldValidation);
  if (!body) co_return call.fail(body.status());
  if (Status same = checkNamespace(call.id, *body->object); !same.ok()) co_return call.fail(same);
  const std::string name = api::meta(*body->object).name();
  auto made = co_await call.api->create(call.id, std::move(body->object), std::move(*options));
  if (call.id.name.empty()) call.id.name = name;
  if (!made) co_return call.fail(made.status());
  // A subresource answers with what it takes, or with nothing but its success.
  if (!call.id.subresource.empty() && api::kindOf(*made->object) != &kind) {
    auto done = api::toApiStatus(Status());
    done.set_code(201);
    co_return jsonAnswer(201, api::toJson(done, {.type = {"v1", "Status"}}));
  }
  body->warnings.insert(body->warnings.end(), made->warnings.begin(), made->warnings.end());
  co_return call.answer(201, *made->object, clock_.wallNow(), body->warnings);
}

Co<http::Response> RestHandler::update(Call& call) {
  auto options = call.writeOptions();
  if (!options) co_return call.fail(options.status());
  const api::Kind& kind = call.id.kind->seenThrough(call.id.subresource);
  auto body = readRestBody(call.request, *kind.prototype, typeOf(kind), options->fieldValidation);
  if (!body) co_return call.fail(body.status());
  if (Status same = checkNamespace(call.id, *body->object); !same.ok()) co_return call.fail(same);
  auto made = co_await call.api->update(call.id, std::move(body->object), std::move(*options));
  if (!made) co_return call.fail(made.status());
  body->warnings.insert(body->warnings.end(), made->warnings.begin(), made->warnings.end());
  co_return call.answer(200, *made->object, clock_.wallNow(), body->warnings);
}

Co<http::Response> RestHandler::patch(Call& call) {
  const auto type = patchTypeOf(mediaTypeOf(call.request));
  if (!type) {
    co_return call.fail(
        Status(Code::kUnsupportedMediaType,
               "the body of the request was in an unknown format - accepted media types include: "
               "application/json-patch+json, application/merge-patch+json, "
               "application/strategic-merge-patch+json, application/apply-patch+yaml"));
  }
  auto options = call.writeOptions();
  if (!options) co_return call.fail(options.status());
  if (*type == api::PatchType::kApply) options->fieldManager = call.text("fieldManager");
  auto made = co_await call.api->patch(call.id, *type, call.request.body, std::move(*options));
  if (!made) co_return call.fail(made.status());
  co_return call.answer(made->created ? 201 : 200, *made->object, clock_.wallNow(), made->warnings);
}

Co<http::Response> RestHandler::remove(Call& call) {
  auto options = call.deleteOptions();
  if (!options) co_return call.fail(options.status());
  auto removed = co_await call.api->remove(call.id, std::move(*options));
  if (!removed) co_return call.fail(removed.status());
  // What is still there while it ends, and kinds that end gracefully, are shown.
  const auto& meta = api::meta(**removed);
  if (meta.has_deletiontimestamp() || call.id.kind->strategy.deletionGraceSeconds)
    co_return call.answer(200, **removed, clock_.wallNow());
  co_return jsonAnswer(
      200, api::toJson(api::deletedStatus(*call.id.kind, meta), {.type = {"v1", "Status"}}));
}

Co<http::Response> RestHandler::removeCollection(Call& call) {
  auto options = call.deleteOptions();
  if (!options) co_return call.fail(options.status());
  api::ListOptions selection;
  selection.labelSelector = call.text("labelSelector");
  selection.fieldSelector = call.text("fieldSelector");
  const Status denied = service_.authorizer().check(
      call.user, Attributes{"deletecollection", call.id, "", nullptr, nullptr});
  if (!denied) co_return call.fail(denied);
  const auto system = service_.as(systemUser("rest"));
  auto items = co_await system->list(call.id, std::move(selection));
  if (!items) co_return call.fail(items.status());
  for (auto& item : items->items) {
    api::ResourceId id{call.id.kind, api::meta(*item).namespace_(), api::meta(*item).name(), ""};
    auto removed = co_await system->remove(std::move(id), *options);
    if (removed) item = *removed;
    if (!removed && !removed.status().is(Code::kNotFound)) co_return call.fail(removed.status());
  }
  co_return jsonAnswer(200, writeList(call.form, *call.id.kind, *items, clock_.wallNow()));
}

}  // namespace podlab::apiserver
