#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "apiserver/api_service.hpp"
#include "apiserver/openapi.hpp"
#include "apiserver/rest_answer.hpp"
#include "apiserver/rest_path.hpp"
#include "apiserver/stream_relay.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// The Kubernetes REST API over HTTP/1.1, as kubectl and the client libraries speak it: a thin
/// front end of ApiService. It knows no kind by name.
class RestHandler {
 public:
  /// `now` for ages; all must outlive the handler.
  RestHandler(ApiService& service, StreamRelay& relay, Clock& clock)
      : service_(service), relay_(relay), clock_(clock) {}

  /// Answers one request.
  Co<void> serve(http::Exchange& exchange);

 private:
  using Parameters = std::multimap<std::string, std::string, std::less<>>;
  struct Call;

  http::Response openApiAnswer(const RestPath& path);
  http::Response document(const http::Request& request, const RestPath& path, const User& user);
  Co<void> objects(http::Exchange& exchange, User user, RestPath path, Parameters parameters);
  Co<http::Response> dispatch(Call& call);
  Co<http::Response> get(Call& call);
  Co<void> list(http::Exchange& exchange, Call& call);
  Co<http::Response> create(Call& call);
  Co<http::Response> update(Call& call);
  Co<http::Response> patch(Call& call);
  Co<http::Response> remove(Call& call);
  Co<http::Response> removeCollection(Call& call);
  Co<void> watch(http::Exchange& exchange, Call& call);
  Co<void> log(http::Exchange& exchange, Call& call);
  Co<void> program(http::Exchange& exchange, Call& call);
  Co<void> portForward(http::Exchange& exchange, Call& call);

  /// That of all watches of the kind in that form.
  std::shared_ptr<EventWriter> eventWriter(const api::Kind& kind, const RestForm& form);

  ApiService& service_;
  StreamRelay& relay_;
  Clock& clock_;
  OpenApi openApi_;
  std::map<std::pair<const api::Kind*, RestForm>, std::weak_ptr<EventWriter>> eventWriters_;
};

}  // namespace podlab::apiserver
