#pragma once
#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "api/object.hpp"
#include "cli/context.hpp"

namespace podlab::cli {

/// One argument of port-forward.
struct PortPair {
  std::uint16_t local = 0;  ///< 0: any free one
  std::uint16_t remote = 0;
};
/// Parses "[LOCAL:]REMOTE", where REMOTE is a number or the name of a container's port in `pod`:
/// "80", "8080:80", ":80", "8080:http". kBadRequest says what is wrong.
Result<PortPair> parsePortPair(const std::string& text, const corev1::Pod& pod);

void addPortForwardCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
