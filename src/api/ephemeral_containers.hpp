#pragma once
#include "api/object.hpp"

namespace podlab::api {

/// An ephemeral container as an ordinary one: their common fields have the same numbers.
corev1::Container containerOf(const corev1::EphemeralContainer& ephemeral);

}  // namespace podlab::api
