#pragma once
#include <memory>
#include <string>

#include "api/custom/schema.hpp"
#include "api/kinds.hpp"

namespace podlab::api {

/// What a CustomResourceDefinition says of one version of a kind, beyond what every kind's row has.
struct CustomType {
  std::string definition;          ///< "crontabs.stable.example.com"
  const Kind* resource = nullptr;  ///< Kind::resourceKind(): has the version that is stored
  std::string listKind;
  std::shared_ptr<const Schema> schema;
};

}  // namespace podlab::api
