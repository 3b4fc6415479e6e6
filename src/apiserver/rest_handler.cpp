#include "apiserver/rest_handler.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "agent_rpc.pb.h"

#include "api/kinds.hpp"
#include "api/pod_containers.hpp"
#include "api/times.hpp"
#include "apiserver/authentication.hpp"
#include "apiserver/local_stream.hpp"
#include "apiserver/rest_body.hpp"
#include "apiserver/rest_discovery.hpp"
#include "apiserver/rest_port_forward.hpp"
#include "apiserver/rest_program.hpp"
#include "common/log.hpp"

namespace podlab::apiserver {

namespace {

constexpr std::size_t kMaxManager = 128;

Result<api::FieldValidation> fieldValidationOf(const std::string& text) {
  if (text.empty() || text == "Warn") return api::FieldValidation::kWarn;
  if (text == "Strict") return api::FieldValidation::kStrict;
  if (text == "Ignore") return api::FieldValidation::kIgnore;
  return Status(Code::kBadRequest, "fieldValidation: Unsupported value: \"" + text +
                                       "\": supported values: \"Ignore\", \"Warn\", \"Strict\"");
}

}  // namespace

/// One request for objects.
struct RestHandler::Call {
  const http::Request& request;
  User user;
  api::ResourceId id;
  Parameters parameters;
  RestForm form;
  std::unique_ptr<api::Api> api;

  std::string text(std::string_view name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? "" : found->second;
  }
  /// As Go's strconv.ParseBool has it; an absent one is false.
  bool flag(std::string_view name) const {
    const std::string value = text(name);
    return value == "true" || value == "1" || value == "True" || value == "TRUE" || value == "t";
  }
  /// kBadRequest names a parameter that is no number.
  Result<std::optional<std::int64_t>> number(std::string_view name) const {
    const std::string value = text(name);
    if (value.empty()) return std::optional<std::int64_t>();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size()) {
      return Status(Code::kBadRequest,
                    std::string(name) + ": \"" + value + "\" is not a whole number");
    }
    return std::optional<std::int64_t>(number);
  }
  Result<api::WriteOptions> writeOptions() const {
    const std::string dryRun = text("dryRun");
    if (!dryRun.empty() && dryRun != "All") {
      return Status(Code::kBadRequest,
                    "dryRun: Unsupported value: \"" + dryRun + "\": supported values: \"All\"");
    }
    const auto validation = fieldValidationOf(text("fieldValidation"));
    if (!validation) return validation.status();
    const std::string manager = text("fieldManager");
    if (manager.size() > kMaxManager) {
      return Status(Code::kBadRequest, "fieldManager: Too long: may not be more than " +
                                           std::to_string(kMaxManager) + " bytes");
    }
    return api::WriteOptions{dryRun == "All", manager.empty() ? agent() : manager, *validation,
                             flag("force")};
  }
  /// The client's program, which is the manager of the fields that it writes unless it says
  /// otherwise: the User-Agent up to the first '/'.
  std::string agent() const {
    const std::string* header = request.header("user-agent");
    std::string name = header != nullptr ? header->substr(0, header->find('/')) : "";
    std::erase_if(name, [](unsigned char c) { return c < 0x20 || c >= 0x7f; });
    name.resize(std::min(name.size(), kMaxManager));
    return name.empty() ? "unknown" : name;
  }
  /// The body's, over which those of the query go.
  Result<api::DeleteOptions> deleteOptions() const {
    const auto grace = number("gracePeriodSeconds");
    if (!grace) return grace.status();
    api::DeleteOptions options;
    if (!request.body.empty()) {
      // The version is that of whoever asks.
      auto body = readRestBody(request, api::DeleteOptions::default_instance(), {"", ""},
                               api::FieldValidation::kIgnore);
      if (!body) return body.status();
      options.CopyFrom(*body->object);
    }
    if (const std::string dryRun = text("dryRun"); !dryRun.empty()) options.add_dryrun(dryRun);
    if (*grace) options.set_graceperiodseconds(**grace);
    if (const std::string propagation = text("propagationPolicy"); !propagation.empty())
      options.set_propagationpolicy(propagation);
    return options;
  }
  api::StatusSubject subject() const { return {id.kind, id.name}; }
  http::Response fail(const Status& status) const { return statusAnswer(status, subject()); }
  /// What the API answered, in the form that was asked for.
  http::Response answer(int code, const google::protobuf::Message& object, WallTime now,
                        const std::vector<std::string>& warnings = {}) const {
    const api::Kind* kind = api::kindOf(object);
    return jsonAnswer(code, writeOne(form, kind != nullptr ? *kind : *id.kind, object, now),
                      warnings);
  }
};

namespace {

/// Lists of so many objects are answered at once, longer ones in pieces.
constexpr std::size_t kSmallList = 100;

const Status kNotAllowed(Code::kMethodNotAllowed,
                         "the server does not allow this method on the requested resource");

http::Response plainAnswer(int code, std::string text) {
  return {code, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

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
  if (const std::string include = call.text("includeObject"); !include.empty())
    call.form.includeObject = include;
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

namespace {

/// What a watch tells, until it ends; a failure is its last event.
Co<Status> sendEvents(Result<std::unique_ptr<api::Watch>>& watch, const RestForm& form,
                      const api::Kind& kind, Clock& clock, http::Sender& sender) {
  Status end = watch.status();
  for (bool first = true; end; first = false) {
    auto event = co_await (*watch)->next();
    if (!event) {
      end = event.status();
      break;
    }
    Status sent = co_await sender.send(writeEvent(form, kind, *event, first, clock.wallNow()));
    if (!sent) co_return sent;
  }
  if (end.is(Code::kEndOfStream)) co_return Status();
  co_return co_await sender.send(writeErrorEvent(end));
}

/// The chunks of a log, of which `next` is the first.
Co<Status> sendLog(Result<std::string>& next, rpc::Stream& stream, http::Sender& sender) {
  while (next) {
    rpc::LogChunk chunk;
    if (Status read = rpc::decode(*next, chunk); !read) co_return read;
    Status passed = co_await sender.send(chunk.data());
    if (!passed) co_return passed;
    next = co_await stream.receive();
  }
  co_return next.status().is(Code::kEndOfStream) ? Status() : next.status();
}

/// The client speaks SPDY, but of what its streams could carry nothing is known.
http::Response noCommonProtocol() {
  http::Response response = plainAnswer(403, "unable to upgrade: unable to negotiate protocol\n");
  for (const char* protocol :
       {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"})
    response.headers.emplace_back("X-Accepted-Stream-Protocol-Versions", protocol);
  return response;
}

/// The ports of the query of a port-forward over channels: "80,443"; upstream's limit of channels.
Result<std::vector<std::uint16_t>> forwardedPorts(std::string_view text) {
  constexpr std::size_t kMaxPorts = 127;
  std::vector<std::uint16_t> ports;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), port);
    if (error != std::errc() || end != one.data() + one.size() || port == 0) {
      return Status(Code::kBadRequest,
                    "ports: \"" + std::string(one) + "\" is not a port from 1 to 65535");
    }
    ports.push_back(port);
  }
  if (ports.size() > kMaxPorts)
    return Status(Code::kBadRequest, "ports: at most " + std::to_string(kMaxPorts) + " at a time");
  return ports;
}

}  // namespace

Co<void> RestHandler::watch(http::Exchange& exchange, Call& call) {
  const auto timeout = call.number("timeoutSeconds");
  if (!timeout) co_return co_await exchange.respond(call.fail(timeout.status()));
  api::WatchOptions options;
  options.labelSelector = call.text("labelSelector");
  options.fieldSelector = call.text("fieldSelector");
  options.resourceVersion = call.text("resourceVersion");
  options.bookmarks = call.flag("allowWatchBookmarks");
  options.sendInitialEvents = call.flag("sendInitialEvents");
  if (*timeout) options.timeout = std::chrono::seconds(**timeout);
  auto opened = co_await call.api->watch(call.id, std::move(options));
  if (!opened) {
    // As upstream, a version that is too old is told by an event.
    if (!opened.status().is(Code::kExpired))
      co_return co_await exchange.respond(call.fail(opened.status()));
  }
  http::Response head{
      200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}}, ""};
  auto send = [&](http::Sender& sender) {
    return sendEvents(opened, call.form, *call.id.kind, clock_, sender);
  };
  co_await exchange.stream(std::move(head), send);
}

Co<void> RestHandler::log(http::Exchange& exchange, Call& call) {
  rpc::LogRequest request;
  request.set_namespace_(call.id.ns);
  request.set_pod(call.id.name);
  request.set_container(call.text("container"));
  request.set_follow(call.flag("follow"));
  request.set_previous(call.flag("previous"));
  request.set_timestamps(call.flag("timestamps"));
  for (const auto& [name, set] : {std::pair{"tailLines", &rpc::LogRequest::set_taillines},
                                  std::pair{"limitBytes", &rpc::LogRequest::set_limitbytes}}) {
    const auto value = call.number(name);
    if (!value) co_return co_await exchange.respond(call.fail(value.status()));
    if (*value) (request.*set)(**value);
  }
  const auto since = call.number("sinceSeconds");
  if (!since) co_return co_await exchange.respond(call.fail(since.status()));
  if (*since) {
    const auto begin = clock_.wallNow() - std::chrono::seconds(**since);
    request.set_sincenanos(begin.time_since_epoch().count());
  } else if (const std::string text = call.text("sinceTime"); !text.empty()) {
    const auto begin = parseTime(text);
    if (!begin) {
      co_return co_await exchange.respond(call.fail(Status(
          Code::kBadRequest, "sinceTime: \"" + text + "\" is no time, as 2006-01-02T15:04:05Z")));
    }
    request.set_sincenanos(begin->time_since_epoch().count());
  }
  auto [ours, theirs] = makeLocalStream("logs");
  LocalService relaying(
      co_await asio::this_coro::executor,
      [this, user = call.user](rpc::Stream& stream) { return relay_.serve(user, stream); },
      std::move(theirs));
  Status sent = co_await ours->send(rpc::encode(request));
  // What fails before the first bytes is told by the status.
  Result<std::string> first = sent ? co_await ours->receive() : Result<std::string>(sent);
  if (!first && !first.status().is(Code::kEndOfStream)) {
    auto response = call.fail(first.status());
    co_await relaying.stop();
    co_return co_await exchange.respond(std::move(response));
  }
  http::Response head{200, {{"Content-Type", "text/plain"}}, ""};
  auto send = [&](http::Sender& sender) { return sendLog(first, *ours, sender); };
  co_await exchange.stream(std::move(head), send);
  co_await relaying.stop();
}

Co<void> RestHandler::program(http::Exchange& exchange, Call& call) {
  // What can be known before is told by a status: later there are only the streams. Who may run
  // programs needs no right to read the pod.
  const auto system = service_.as(systemUser("rest"));
  auto object = co_await system->get({call.id.kind, call.id.ns, call.id.name, ""});
  Status wrong = object.status();
  const std::string container = call.text("container");
  if (object) {
    const auto& pod = api::as<corev1::Pod>(*object);
    if (!container.empty() && !api::containerStreams(pod.spec(), container)) {
      wrong = Status(Code::kBadRequest,
                     "container " + container + " is not valid for pod " + call.id.name);
    } else if (!call.flag("stdin") && !call.flag("stdout") && !call.flag("stderr")) {
      wrong = Status(Code::kBadRequest, "you must specify at least 1 of stdin, stdout, stderr");
    } else if (spdy::wantsSpdy(call.request)) {
      if (streamProtocolOf(call.request).empty())
        co_return co_await exchange.respond(noCommonProtocol());
    } else if (channelProtocolOf(call.request).empty()) {
      wrong = Status(Code::kBadRequest,
                     "Upgrade request required: a WebSocket of v5.channel.k8s.io or "
                     "v4.channel.k8s.io, or SPDY/3.1 with streams of v4.channel.k8s.io");
    }
  }
  if (wrong.ok()) wrong = (co_await relay_.nodeOf(call.user, call.id)).status();
  if (!wrong.ok()) co_return co_await exchange.respond(call.fail(wrong));
  ProgramRequest program{
      call.id.subresource,
      "",
      {call.flag("stdin"), call.flag("stdout"), call.flag("stderr"), call.flag("tty")}};
  const auto fill = [&](auto& request) {
    request.set_namespace_(call.id.ns);
    request.set_pod(call.id.name);
    request.set_container(container);
    request.set_stdin(call.flag("stdin"));
    request.set_tty(call.flag("tty"));
  };
  if (program.method == "exec") {
    rpc::ExecRequest request;
    fill(request);
    const auto [begin, end] = call.parameters.equal_range("command");
    for (auto it = begin; it != end; ++it) request.add_command(it->second);
    program.message = rpc::encode(request);
  } else {
    rpc::AttachRequest request;
    fill(request);
    program.message = rpc::encode(request);
  }
  co_await serveProgram(exchange, relay_, clock_, call.user, std::move(program));
}

Co<void> RestHandler::portForward(http::Exchange& exchange, Call& call) {
  std::string list;
  const auto [begin, end] = call.parameters.equal_range("ports");
  for (auto it = begin; it != end; ++it) list += (list.empty() ? "" : ",") + it->second;
  auto ports = forwardedPorts(list);
  Status wrong = (co_await relay_.nodeOf(call.user, call.id)).status();
  if (wrong.ok()) wrong = ports.status();
  if (wrong.ok() && !wantsPortForward(call.request)) {
    wrong = Status(Code::kBadRequest,
                   "Upgrade request required: SPDY/3.1 with streams of portforward.k8s.io, or a "
                   "WebSocket of SPDY/3.1+portforward.k8s.io");
  }
  if (!wrong.ok()) co_return co_await exchange.respond(call.fail(wrong));
  api::ResourceId pod{call.id.kind, call.id.ns, call.id.name, ""};
  co_await servePortForward(exchange, relay_, clock_, call.user, std::move(pod), std::move(*ports));
}

}  // namespace podlab::apiserver
