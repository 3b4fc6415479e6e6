#include "cli/resources.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/executable.hpp"

namespace podlab::cli {
namespace {

Result<const api::Kind*> kindNamed(const std::string& name) {
  if (const auto* kind = api::findByUserName(name)) return kind;
  return Status(Code::kBadRequest, "the server doesn't have a resource type \"" + name + "\"");
}

Result<std::vector<std::string>> manifestFiles(const std::string& path) {
  std::error_code error;
  if (path == "-" || !std::filesystem::is_directory(path, error))
    return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    const auto extension = entry.path().extension();
    if (extension == ".yaml" || extension == ".yml" || extension == ".json")
      files.push_back(entry.path());
  }
  if (error) return errnoStatus(error.value(), "cannot read " + path);
  std::sort(files.begin(), files.end());
  if (files.empty())
    return Status(Code::kNotFound, path + ": no .yaml, .yml or .json files in this folder");
  return files;
}

}  // namespace

void addNamespaceFlag(CLI::App& command, std::string& ns) {
  command.add_option("-n,--namespace", ns, "Namespace")->capture_default_str();
}

void addSelectorFlags(CLI::App& command, Selection& selection) {
  addNamespaceFlag(command, selection.ns);
  command.add_flag("-A,--all-namespaces", selection.allNamespaces, "In all namespaces");
  command.add_option("-l,--selector", selection.labels, "Label selector, e.g. app=web,tier!=db");
  command.add_option("--field-selector", selection.fields,
                     "Field selector, e.g. spec.nodeName=node1");
}

Result<std::vector<api::ResourceId>> resolveArguments(const Selection& selection) {
  const auto idFor = [&](const api::Kind* kind, std::string name) {
    const bool scoped = kind->namespaced() && !(selection.allNamespaces && name.empty());
    return api::ResourceId{kind, scoped ? selection.ns : "", std::move(name), ""};
  };
  const auto& arguments = selection.arguments;
  if (arguments.empty())
    return Status(Code::kBadRequest,
                  "you must specify the type of resource, e.g. pods or pod/NAME");
  std::vector<api::ResourceId> ids;
  const auto isPair = [](const std::string& argument) {
    return argument.find('/') != std::string::npos;
  };
  if (isPair(arguments.front())) {
    for (const auto& argument : arguments) {
      const auto slash = argument.find('/');
      if (slash == std::string::npos) {
        return Status(
            Code::kBadRequest,
            "there is no need to specify a resource type as a separate argument when passing "
            "arguments in resource/name form (e.g. 'podlab get resource/<resource_name>')");
      }
      auto kind = kindNamed(argument.substr(0, slash));
      if (!kind) return kind.status();
      if (slash + 1 == argument.size())
        return Status(Code::kBadRequest, "\"" + argument + "\": a name must follow the slash");
      ids.push_back(idFor(*kind, argument.substr(slash + 1)));
    }
  } else {
    for (const auto& type : splitList(arguments.front())) {
      auto kind = kindNamed(type);
      if (!kind) return kind.status();
      for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (isPair(arguments[i]))
          return Status(Code::kBadRequest,
                        "there is no need to specify a resource type as a separate argument: " +
                            arguments[i]);
        ids.push_back(idFor(*kind, arguments[i]));
      }
      if (arguments.size() == 1) ids.push_back(idFor(*kind, ""));
    }
  }
  const bool named = !ids.empty() && !ids.front().name.empty();
  if (named && !selection.labels.empty())
    return Status(Code::kBadRequest, "name cannot be provided when a selector is specified");
  if (named && selection.allNamespaces && ids.front().kind->namespaced()) {
    return Status(Code::kBadRequest,
                  "a resource cannot be retrieved by name across all namespaces");
  }
  return ids;
}

Co<Result<std::vector<api::ResourceId>>> nameObjects(Session& session, const Selection& selection,
                                                     std::vector<api::ResourceId> ids) {
  std::vector<api::ResourceId> named;
  for (auto& id : ids) {
    if (!id.name.empty()) {
      named.push_back(std::move(id));
      continue;
    }
    api::ListOptions options;
    options.labelSelector = selection.labels;
    options.fieldSelector = selection.fields;
    auto found = co_await session.api.list(id, options);
    if (!found) co_return found.status();
    for (const auto& object : found->items)
      named.push_back({id.kind, api::meta(*object).namespace_(), api::meta(*object).name(), ""});
  }
  co_return named;
}

Result<api::ResourceId> resolvePod(const std::string& argument, const std::string& ns) {
  const auto slash = argument.find('/');
  const auto* pods = &api::kindFor<corev1::Pod>();
  if (slash != std::string::npos && api::findByUserName(argument.substr(0, slash)) != pods) {
    return Status(Code::kBadRequest,
                  "\"" + argument + "\" is not a pod; name one as POD or pod/POD");
  }
  return api::ResourceId{pods, ns,
                         slash == std::string::npos ? argument : argument.substr(slash + 1), ""};
}

std::string displayName(const api::Kind& kind, const std::string& name) {
  return std::string(kind.singular) + (kind.group.empty() ? "" : "." + std::string(kind.group)) +
         "/" + name;
}

Status conditionTimeout(const api::ResourceId& id) {
  return {Code::kTimeout,
          "timed out waiting for the condition on " + std::string(id.kind->plural) + "/" + id.name};
}

Result<std::vector<ManifestObject>> readManifests(const std::vector<std::string>& files,
                                                  const std::string& ns) {
  const auto lookup = [](const api::TypeMeta& type) -> const google::protobuf::Message* {
    const auto* kind = api::findKind(type.apiVersion, type.kind);
    return kind ? kind->prototype : nullptr;
  };
  std::vector<ManifestObject> objects;
  for (const auto& path : files) {
    auto expanded = manifestFiles(path);
    if (!expanded) return expanded.status();
    for (const auto& file : *expanded) {
      std::string text;
      if (file == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), {});
      } else {
        std::ifstream in(file, std::ios::binary);
        if (!in) return errnoStatus(errno, "cannot read " + file);
        text.assign(std::istreambuf_iterator<char>(in), {});
      }
      api::DecodeOptions options;
      options.strict = true;
      auto decoded = api::decodeManifest(text, lookup, options);
      if (!decoded) return decoded.status().withContext(file == "-" ? "stdin" : file);
      for (auto& one : *decoded) {
        ManifestObject manifest{api::kindOf(*one.object), std::move(one.object), file};
        auto& meta = api::mutableMeta(*manifest.object);
        if (manifest.kind->namespaced() && meta.namespace_().empty()) meta.set_namespace_(ns);
        objects.push_back(std::move(manifest));
      }
    }
  }
  if (objects.empty()) return Status(Code::kBadRequest, "no objects in " + files.front());
  return objects;
}

api::ResourceId idOf(const ManifestObject& manifest) {
  const auto& meta = api::meta(*manifest.object);
  return {manifest.kind, manifest.kind->namespaced() ? meta.namespace_() : "", meta.name(), ""};
}

void printWarnings(const std::vector<std::string>& warnings) {
  for (const auto& warning : warnings) std::fprintf(stderr, "Warning: %s\n", warning.c_str());
}

}  // namespace podlab::cli
