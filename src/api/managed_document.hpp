#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "api/managed_fields.hpp"

namespace podlab::api {

/// The JSON of an object (null: an empty one).
nlohmann::json documentOf(const google::protobuf::Message* object);
/// What of an object (null: nothing) a writer of the subresource can own, as JSON.
nlohmann::json managedDocument(const Kind& kind, const google::protobuf::Message* object,
                               const std::string& subresource);
/// Leaves of an object's JSON what a writer of the subresource can own: nothing that only the
/// server writes, and the status only for the subresource of that name.
void leaveManaged(nlohmann::json& document, const Kind& kind, const std::string& subresource);

/// Takes fields from all managers but one; those that have none left go.
void takeFrom(Managers& managers, const ManagerId& except, const FieldSet& fields);

}  // namespace podlab::api
