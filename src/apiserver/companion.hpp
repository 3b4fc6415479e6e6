#pragma once
#include "api/object.hpp"

namespace podlab::apiserver {

/// Another object that changes in the same transaction as the one that a request is about; the
/// request is decided anew when somebody else has changed it meanwhile.
struct Companion {
  api::ObjectPtr current;
  api::MutableObjectPtr next;
};

}  // namespace podlab::apiserver
