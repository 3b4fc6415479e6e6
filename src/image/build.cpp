#include "image/build.hpp"

#include <unistd.h>

#include <filesystem>
#include <sstream>

#include <nlohmann/json.hpp>

#include "image/tool.hpp"

namespace podlab::image {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> configFlags(const ConfigOptions& config) {
  std::vector<std::string> flags;
  const auto add = [&flags](const char* flag, const std::string& value) {
    if (!value.empty()) flags.push_back(std::string("--config.") + flag + "=" + value);
  };
  const auto addAll = [&](const char* flag, const std::vector<std::string>& values) {
    for (const auto& value : values) add(flag, value);
  };
  addAll("entrypoint", config.entrypoint);
  addAll("cmd", config.command);
  addAll("env", config.env);
  for (const auto& port : config.exposedPorts)
    add("exposedports", port.find('/') == std::string::npos ? port + "/tcp" : port);
  add("user", config.user);
  add("workingdir", config.workingDir);
  add("stopsignal", config.stopSignal);
  return flags;
}

Status checkConfig(const ConfigOptions& config) {
  for (const auto& variable : config.env) {
    if (variable.find('=') == std::string::npos || variable.starts_with('='))
      return Status(Code::kBadRequest, "--env: \"" + variable + "\" is not NAME=VALUE");
  }
  for (const auto& port : config.exposedPorts) {
    const auto slash = port.find('/');
    const auto number = port.substr(0, slash);
    const auto protocol = slash == std::string::npos ? "tcp" : port.substr(slash + 1);
    const bool digits = !number.empty() && number.size() <= 5 &&
                        number.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoi(number) < 1 || std::stoi(number) > 65535 ||
        (protocol != "tcp" && protocol != "udp" && protocol != "sctp"))
      return Status(Code::kBadRequest,
                    "--expose: \"" + port + "\" is not PORT, or PORT/tcp, /udp or /sctp");
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> commandWords(const std::string& text) {
  std::vector<std::string> words;
  if (text.starts_with('[')) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_array())
      return Status(Code::kBadRequest, "\"" + text + "\" is not a JSON array of strings");
    for (const auto& word : json) {
      if (!word.is_string())
        return Status(Code::kBadRequest, "\"" + text + "\" is not a JSON array of strings");
      words.push_back(word.get<std::string>());
    }
    return words;
  }
  std::istringstream in(text);
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

Result<Loaded> importRootfs(StoreChange& change, const std::string& folder, const std::string& name,
                            const ConfigOptions& config) {
  const auto normalised = imageName(name);
  if (!normalised) return normalised.status();
  if (Status valid = checkConfig(config); !valid) return valid;
  std::error_code error;
  if (!fs::is_directory(folder, error)) return Status(Code::kNotFound, folder + " is not a folder");
  // Of the two, the link says nothing and the slash means what is in the folder.
  const std::string source = fs::canonical(folder, error).string() + "/";
  const std::string layout = change.workFolder() + "/import";
  const std::string image = layout + ":image";
  std::vector<std::vector<std::string>> steps{{"umoci", "init", "--layout", layout},
                                              {"umoci", "new", "--image", image}};
  std::vector<std::string> insert{"umoci", "insert", "--image", image};
  if (::geteuid() != 0) insert.emplace_back("--rootless");
  insert.insert(insert.end(), {source, "/"});
  steps.push_back(std::move(insert));
  if (auto flags = configFlags(config); !flags.empty()) {
    std::vector<std::string> configure{"umoci", "config", "--image", image};
    configure.insert(configure.end(), flags.begin(), flags.end());
    steps.push_back(std::move(configure));
  }
  for (const auto& step : steps) {
    if (auto done = runTool({step, change.lock(), false}); !done) return done.status();
  }
  const auto added = change.add(layout);
  if (!added) return added.status();
  if (Status named = change.name({{*normalised, added->digest}}); !named) return named;
  return Loaded{*normalised, added->digest, added->report};
}

Result<Loaded> buildImage(StoreChange& change, const RootfsOptions& rootfs, const std::string& name,
                          ConfigOptions config) {
  const std::string root = change.workFolder() + "/rootfs";
  const std::string work = change.workFolder() + "/build";
  std::error_code error;
  for (const auto& folder : {root, work}) {
    fs::create_directory(folder, error);
    if (error) return errnoStatus(error.value(), "cannot make " + folder);
  }
  if (Status built = buildRootfs(rootfs, root, work, change.lock()); !built) return built;
  const bool said = !config.entrypoint.empty() || !config.command.empty();
  if (!said && fs::exists(fs::symlink_status(root + "/bin/sh", error))) config.command = {"sh"};
  return importRootfs(change, root, name, config);
}

}  // namespace podlab::image
