#pragma once
#include <string>
#include <vector>

#include "common/status.hpp"

namespace podlab::cli {

/// The absolute path of the running program.
Result<std::string> executablePath();
/// "a,b,c" as its parts; none for "".
std::vector<std::string> splitList(const std::string& text, char separator = ',');
/// "PODLAB_VERSION (git describe)".
std::string versionText();

}  // namespace podlab::cli
