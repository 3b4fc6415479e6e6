#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab::cli {

/// The absolute path of the running program.
Result<std::string> executablePath();
/// "a,b,c" as its parts; none for "".
std::vector<std::string> splitList(const std::string& text, char separator = ',');
/// The last line of a text that says something.
std::string lastLineOf(std::string_view text);
/// "PODLAB_VERSION (git describe)".
std::string versionText();

}  // namespace podlab::cli
