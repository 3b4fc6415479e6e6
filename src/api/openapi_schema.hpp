#pragma once
#include <google/protobuf/descriptor.h>

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace podlab::api {

struct Kind;

/// The name of a message's OpenAPI schema, upstream's: "io.k8s.api.core.v1.Pod".
std::string schemaName(const google::protobuf::Descriptor* message);

/// That of a kind's schema; of a custom one "com.example.stable.v1.CronTab".
std::string schemaName(const Kind& kind);

/// The reference to a schema: {"$ref": "#/components/schemas/NAME"}.
nlohmann::json schemaReference(const std::string& name);

/// Adds the schemas of a kind, of its list, and of all that they refer to, to an object of OpenAPI
/// v3 schemas by name; those that are there stay.
void addSchemas(nlohmann::json& schemas, const Kind& kind);
/// The same for a message that is no kind of the table: what an action takes or answers.
void addSchemas(nlohmann::json& schemas, const google::protobuf::Descriptor* message,
                const nlohmann::json& groupVersionKind);

}  // namespace podlab::api
