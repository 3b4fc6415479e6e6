#pragma once
#include <vector>

#include "api/field_errors.hpp"
#include "api/services.hpp"

/// The pieces of the Service kind, each in the file of its name.
namespace podlab::api {

/// service_validation.cpp
std::vector<Cause> validateService(const corev1::Service& service);
std::vector<Cause> validateServiceUpdate(const corev1::Service& now, const corev1::Service& before);

}  // namespace podlab::api
