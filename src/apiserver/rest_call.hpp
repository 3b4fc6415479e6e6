#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/api.hpp"
#include "apiserver/api_service.hpp"
#include "apiserver/rest_answer.hpp"
#include "apiserver/rest_handler.hpp"

namespace podlab::apiserver {

/// One request for objects, with what its query says.
struct RestHandler::Call {
  const http::Request& request;
  User user;
  api::ResourceId id;
  Parameters parameters;
  RestForm form;
  std::unique_ptr<api::Api> api;

  std::string text(std::string_view name) const;
  /// As Go's strconv.ParseBool has it; an absent one is false.
  bool flag(std::string_view name) const;
  /// kBadRequest names a parameter that is no number.
  Result<std::optional<std::int64_t>> number(std::string_view name) const;
  Result<api::WriteOptions> writeOptions() const;
  /// The client's program, which is the manager of the fields that it writes unless it says
  /// otherwise: the User-Agent up to the first '/'.
  std::string agent() const;
  /// The body's, over which those of the query go.
  Result<api::DeleteOptions> deleteOptions() const;
  api::StatusSubject subject() const { return {id.kind, id.name}; }
  http::Response fail(const Status& status) const { return statusAnswer(status, subject()); }
  /// What the API answered, in the form that was asked for.
  http::Response answer(int code, const google::protobuf::Message& object, WallTime now,
                        const std::vector<std::string>& warnings = {}) const;
};

}  // namespace podlab::apiserver
