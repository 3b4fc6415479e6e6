#pragma once
#include <string>

#include "common/status.hpp"

namespace podlab::cli {

/// What a file that the user names holds; "-" is stdin.
Result<std::string> readInput(const std::string& path);

/// Makes the file, or writes it anew.
Status writeOutput(const std::string& path, const std::string& text);

}  // namespace podlab::cli
