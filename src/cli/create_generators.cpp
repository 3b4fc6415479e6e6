#include "cli/create_generators.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "api/codec_base64.hpp"
#include "cli/executable.hpp"
#include "cli/user_files.hpp"
#include "cli/write_flags.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// The flags of all generators; each has those that it needs.
struct Flags {
  CreateFlags common;
  std::string name;
  std::vector<std::string> literals, files;
  std::string type;
  std::vector<std::string> images, command;
  std::string from;
  std::int32_t replicas = 1;
  std::int32_t port = -1;
  std::string hard;
  std::vector<std::string> scopes;
};

using Make = Result<json> (*)(const Flags&);

Status bad(std::string what) {
  return {Code::kBadRequest, std::move(what)};
}

json object(const char* apiVersion, const char* kind, const Flags& flags) {
  return {{"apiVersion", apiVersion}, {"kind", kind}, {"metadata", {{"name", flags.name}}}};
}

Status addFile(const std::string& key, const std::string& path,
               std::map<std::string, std::string>& out) {
  auto text = readInput(path);
  if (!text) return text.status();
  if (!out.emplace(key, *std::move(text)).second)
    return bad("cannot add key " + key + ", another key by that name already exists in Data");
  return {};
}

/// What --from-literal and --from-file say: values by key.
Result<std::map<std::string, std::string>> dataOf(const Flags& flags) {
  std::map<std::string, std::string> data;
  for (const auto& literal : flags.literals) {
    const auto equals = literal.find('=');
    if (equals == std::string::npos || equals == 0)
      return bad("invalid literal source " + literal + ", expected key=value");
    if (!data.emplace(literal.substr(0, equals), literal.substr(equals + 1)).second)
      return bad("cannot add key " + literal.substr(0, equals) +
                 ", another key by that name already exists in Data");
  }
  for (const auto& file : flags.files) {
    const auto equals = file.find('=');
    const std::string path = file.substr(equals == std::string::npos ? 0 : equals + 1);
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      const std::string key =
          equals == std::string::npos ? fs::path(path).filename().string() : file.substr(0, equals);
      if (Status status = addFile(key, path, data); !status) return status;
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (!entry.is_regular_file()) continue;
      if (Status status = addFile(entry.path().filename(), entry.path(), data); !status)
        return status;
    }
  }
  return data;
}

Result<json> makeNamespace(const Flags& flags) {
  return object("v1", "Namespace", flags);
}

Result<json> makeAccount(const Flags& flags) {
  return object("v1", "ServiceAccount", flags);
}

Result<json> makeConfigMap(const Flags& flags) {
  auto data = dataOf(flags);
  if (!data) return data.status();
  json made = object("v1", "ConfigMap", flags);
  for (const auto& [key, value] : *data) {
    if (isUtf8(value)) {
      made["data"][key] = value;
    } else {
      made["binaryData"][key] = api::codec::base64Encode(value);
    }
  }
  return made;
}

Result<json> makeSecret(const Flags& flags) {
  auto data = dataOf(flags);
  if (!data) return data.status();
  json made = object("v1", "Secret", flags);
  if (!flags.type.empty()) made["type"] = flags.type;
  for (const auto& [key, value] : *data) made["data"][key] = api::codec::base64Encode(value);
  return made;
}

/// "registry/path/nginx:1.2" as "nginx".
std::string nameOfImage(const std::string& image) {
  const std::string last = image.substr(image.rfind('/') + 1);
  return last.substr(0, last.find_first_of(":@"));
}

Result<json> makeDeployment(const Flags& flags) {
  json containers = json::array();
  for (const auto& image : flags.images) {
    json container{{"name", nameOfImage(image)}, {"image", image}};
    if (!flags.command.empty()) container["command"] = flags.command;
    if (flags.port >= 0) container["ports"] = json::array({{{"containerPort", flags.port}}});
    containers.push_back(std::move(container));
  }
  if (flags.images.empty()) return bad("required flag(s) \"image\" not set");
  if (flags.images.size() > 1 && !flags.command.empty())
    return bad("cannot specify multiple --image options and command");
  const json labels{{"app", flags.name}};
  json made = object("apps/v1", "Deployment", flags);
  made["metadata"]["labels"] = labels;
  made["spec"] = {
      {"replicas", flags.replicas},
      {"selector", {{"matchLabels", labels}}},
      {"template", {{"metadata", {{"labels", labels}}}, {"spec", {{"containers", containers}}}}}};
  return made;
}

Result<json> makeJob(const Flags& flags) {
  if (flags.images.size() != 1) return bad("one --image is required");
  json container{{"name", flags.name}, {"image", flags.images.front()}};
  if (!flags.command.empty()) container["command"] = flags.command;
  json made = object("batch/v1", "Job", flags);
  made["spec"]["template"]["spec"] = {{"containers", json::array({container})},
                                      {"restartPolicy", "Never"}};
  return made;
}

Result<json> makeQuota(const Flags& flags) {
  json made = object("v1", "ResourceQuota", flags);
  made["spec"] = json::object();
  for (const auto& part : splitList(flags.hard)) {
    const auto equals = part.find('=');
    if (equals == std::string::npos)
      return bad("Invalid argument syntax " + part + ", expected <resource>=<value>");
    made["spec"]["hard"][part.substr(0, equals)] = part.substr(equals + 1);
  }
  for (const auto& scope : flags.scopes) made["spec"]["scopes"].push_back(scope);
  return made;
}

CLI::App* addGenerator(CLI::App& create, Context& context, const std::string& name,
                       const std::string& help, Make make, const std::shared_ptr<Flags>& flags) {
  auto* command = create.add_subcommand(name, help);
  command->add_option("NAME", flags->name, "The object's name")->required();
  addCreateFlags(*command, flags->common);
  command->callback([&context, flags, make, name] {
    auto made = make(*flags);
    context.exitCode = made ? createObject(context, flags->common, made->dump())
                            : failUsage(made.status().message());
  });
  return command;
}

void addDataFlags(CLI::App& command, Flags& flags) {
  command.add_option("--from-literal", flags.literals, "KEY=VALUE")->allow_extra_args(false);
  command.add_option("--from-file", flags.files, "[KEY=]FILE, or a folder of files")
      ->allow_extra_args(false);
}

void addProgramFlags(CLI::App& command, Flags& flags) {
  command.add_option("--image", flags.images, "The container's image")->allow_extra_args(false);
  command.add_option("COMMAND", flags.command, "The container's command, after --");
}

}  // namespace

void addGenerators(CLI::App& create, Context& context) {
  const auto flags = [] { return std::make_shared<Flags>(); };
  addGenerator(create, context, "namespace", "A namespace", makeNamespace, flags())->alias("ns");
  addGenerator(create, context, "serviceaccount", "An account for pods", makeAccount, flags())
      ->alias("sa");
  auto map = flags();
  auto* command =
      addGenerator(create, context, "configmap", "Texts and files for pods", makeConfigMap, map);
  command->alias("cm");
  addDataFlags(*command, *map);
  auto secret = flags();
  auto* secrets = create.add_subcommand("secret", "Secret texts and files for pods");
  secrets->require_subcommand(1);
  command = addGenerator(*secrets, context, "generic", "Of literals and files", makeSecret, secret);
  addDataFlags(*command, *secret);
  command->add_option("--type", secret->type, "The secret's type (default: Opaque)");
  auto deployment = flags();
  command = addGenerator(create, context, "deployment", "Pods that are kept running",
                         makeDeployment, deployment);
  command->alias("deploy");
  addProgramFlags(*command, *deployment);
  command->add_option("-r,--replicas", deployment->replicas, "How many")->capture_default_str();
  command->add_option("--port", deployment->port, "A port of the container");
  auto job = flags();
  addProgramFlags(*addGenerator(create, context, "job", "A pod that runs to its end", makeJob, job),
                  *job);
  auto quota = flags();
  command = addGenerator(create, context, "quota", "Bounds of a namespace", makeQuota, quota);
  command->alias("resourcequota");
  command->add_option("--hard", quota->hard, "RESOURCE=AMOUNT,...");
  command->add_option("--scopes", quota->scopes, "Which pods count")
      ->delimiter(',')
      ->allow_extra_args(false);
}

}  // namespace podlab::cli
