#pragma once
#include <google/protobuf/message.h>

#include <string>

#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

void addGetCommand(CLI::App& app, Context& context);

/// One object on stdout, as "json" or "yaml".
void printObject(const google::protobuf::Message& object, const std::string& format);

}  // namespace podlab::cli
