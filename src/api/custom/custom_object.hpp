#pragma once
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "custom_object.pb.h"

#include "api/codec.hpp"
#include "api/kinds.hpp"

/// Custom objects as JSON values, and their part of the codec.
namespace podlab::api {

/// All members but apiVersion, kind and metadata.
nlohmann::json contentOf(const CustomObject& object);
/// Sets all members but apiVersion, kind and metadata, which `content` may have.
void setContent(CustomObject& object, nlohmann::json content);

/// As fromJson: an object of the kind that it names, without what the kind's schema does not
/// specify. apiVersion and kind are required.
Status readCustomObject(std::string_view json, CustomObject& out,
                        std::vector<FieldProblem>* problems);
/// As writeJson; apiVersion and kind are always there.
void writeCustomObject(JsonWriter& writer, const CustomObject& object);

/// Makes an object one of that kind: in the kind's version, with its defaults.
void adoptCustomObject(CustomObject& object, const Kind& kind);
/// The same for what a client has sent as bytes: what the schema does not specify goes.
void sanitizeCustomObject(CustomObject& object, const Kind& kind);

/// The object in the version of the kind; itself when it is in that version.
ObjectPtr inVersionOf(const Kind& kind, const ObjectPtr& object);

}  // namespace podlab::api
