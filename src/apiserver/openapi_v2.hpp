#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace openapi::v2 {
class Document;
}

namespace podlab::apiserver {

/// Adds the paths of an OpenAPI v3 document to one of v2.
void addPathsV2(const nlohmann::json& paths, openapi::v2::Document& document);
/// Takes out of the schema of a custom kind what v2 cannot say, so that nobody refuses by it what
/// the server accepts (schema/openapi: ToStructuralOpenAPIV2).
void simplifyForV2(nlohmann::json& schema);
/// Adds a schema of OpenAPI v3 to the definitions of a v2 document.
void addDefinitionV2(const std::string& name, const nlohmann::json& schema,
                     openapi::v2::Document& document);

}  // namespace podlab::apiserver
