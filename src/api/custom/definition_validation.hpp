#pragma once
#include <vector>

#include "apiextensions_v1.pb.h"

#include "api/field_errors.hpp"
#include "api/object.hpp"

/// Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and
/// pkg/apiserver/schema/validation.go.
namespace podlab::api {

std::vector<Cause> validateDefinition(const apiextensionsv1::CustomResourceDefinition& definition);
std::vector<Cause> validateDefinitionUpdate(
    const apiextensionsv1::CustomResourceDefinition& now,
    const apiextensionsv1::CustomResourceDefinition& before);
std::vector<Cause> validateDefinitionStatus(
    const apiextensionsv1::CustomResourceDefinition& now,
    const apiextensionsv1::CustomResourceDefinition& before);

/// What keeps a version's schema from being structural.
void validateStructure(const apiextensionsv1::JSONSchemaProps& schema, const FieldPath& path,
                       FieldErrors& errors);
/// Whether there are x-kubernetes-validations anywhere in it.
bool hasRules(const apiextensionsv1::JSONSchemaProps& schema);

}  // namespace podlab::api
