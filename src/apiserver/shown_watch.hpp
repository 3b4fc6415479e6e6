#pragma once
#include <functional>
#include <memory>

#include "api/api.hpp"

namespace podlab::apiserver {

/// The changes that `stored` tells, of the objects that `show` makes of them.
std::unique_ptr<api::Watch> makeShownWatch(
    std::unique_ptr<api::Watch> stored,
    std::function<api::ObjectPtr(const api::ObjectPtr& stored)> show);

}  // namespace podlab::apiserver
