#pragma once
#include <string>
#include <vector>

#include "scheduler/scores.hpp"

namespace podlab::cli {

/// Of lab::schedulerProfiles(), which has checked them: default-scheduler, unless they say how that
/// is to be, and these.
std::vector<scheduler::Profile> parseProfiles(const std::string& text);

}  // namespace podlab::cli
