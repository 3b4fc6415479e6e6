#pragma once
#include <cstdint>

#include "intstr.pb.h"

#include "api/field_errors.hpp"
#include "common/status.hpp"

namespace podlab {

namespace intstr = ::k8s::io::apimachinery::pkg::util::intstr;

namespace api {

/// A number, or a share of `total` ("25%"), rounded as told (intstr's
/// GetScaledValueFromIntOrPercent). kInvalid for a text that is no percentage.
Result<std::int32_t> scaledValue(const intstr::IntOrString& value, std::int32_t total,
                                 bool roundUp);
/// "3" or "25%".
std::string textOf(const intstr::IntOrString& value);
/// As JSON has it: 3, or "25%" in quotes.
std::string toJsonValue(const intstr::IntOrString& value);
/// Not negative, or a percentage; `atMostAll`: not above 100%.
void validateIntOrPercent(const intstr::IntOrString& value, bool atMostAll, const FieldPath& path,
                          FieldErrors& errors);

}  // namespace api
}  // namespace podlab
