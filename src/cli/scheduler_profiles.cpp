#include "cli/scheduler_profiles.hpp"

#include <algorithm>
#include <sstream>

namespace podlab::cli {

std::vector<scheduler::Profile> parseProfiles(const std::string& text) {
  std::vector<scheduler::Profile> profiles{scheduler::Profile{}};
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const auto equals = word.find('=');
    scheduler::Profile profile;
    profile.name = word.substr(0, equals);
    if (word.find("=MostAllocated", equals) == equals)
      profile.resources = scheduler::ResourceScoring::kMostAllocated;
    profile.sampled = word.ends_with(":sampled");
    const auto known = std::ranges::find(profiles, profile.name, &scheduler::Profile::name);
    if (known == profiles.end()) {
      profiles.push_back(std::move(profile));
    } else {
      *known = std::move(profile);
    }
  }
  return profiles;
}

}  // namespace podlab::cli
