#pragma once
#include <string_view>

#include "apiextensions_v1.pb.h"

#include "api/kinds.hpp"

namespace podlab::api {

/// The row of one version of a definition that is valid. `resource` stands for all its versions.
Kind makeCustomKind(const apiextensionsv1::CustomResourceDefinition& definition,
                    const apiextensionsv1::CustomResourceDefinitionVersion& version,
                    const Kind* resource);

/// The text for good: rows have views of their names.
std::string_view interned(std::string_view text);

}  // namespace podlab::api
