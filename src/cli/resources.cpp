#include "cli/resources.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/conditions.hpp"
#include "api/selectors.hpp"
#include "api/times.hpp"
#include "cli/custom_kinds.hpp"
#include "cli/executable.hpp"
#include "cli/manifests.hpp"

namespace podlab::cli {
namespace {

Status bad(std::string what) {
  return {Code::kBadRequest, std::move(what)};
}

/// The one place where words of the command line become kinds.
Result<const api::Kind*> kindNamed(const std::string& name) {
  if (const auto* kind = api::findByUserName(name)) return kind;
  loadCustomKinds();
  if (const auto* kind = api::findByUserName(name)) return kind;
  return bad("the server doesn't have a resource type \"" + name + "\"");
}

/// The kinds of "pods,nodes"; a category ("all") stands for its kinds.
Result<std::vector<const api::Kind*>> kindsNamed(const std::string& list) {
  std::vector<const api::Kind*> kinds;
  for (const auto& name : splitList(list)) {
    const auto before = kinds.size();
    // Custom kinds may be of a category, too.
    if (api::findByUserName(name) == nullptr) loadCustomKinds();
    for (const auto& kind : api::kinds()) {
      if (std::ranges::find(kind.categories, name) != kind.categories.end()) kinds.push_back(&kind);
    }
    if (kinds.size() > before) continue;
    auto kind = kindNamed(name);
    if (!kind) return kind.status();
    kinds.push_back(*kind);
  }
  return kinds;
}

Result<std::vector<api::ResourceId>> idsOfFiles(const Selection& selection) {
  if (!selection.arguments.empty() || selection.selects()) {
    return bad(selection.arguments.empty()
                   ? "when paths, URLs, or stdin is provided as input, you may not specify a "
                     "selector as well"
                   : "when paths, URLs, or stdin is provided as input, you may not specify "
                     "resource arguments as well");
  }
  auto manifests = readManifests(selection);
  if (!manifests) return manifests.status();
  std::vector<api::ResourceId> ids;
  for (const auto& manifest : *manifests) ids.push_back(idOf(manifest));
  return ids;
}

bool isPair(const std::string& argument) {
  return argument.find('/') != std::string::npos;
}

/// What the API says of a list's selectors, with what was asked for.
Status listFailure(const Status& status, const Selection& selection, const api::Kind& kind) {
  if (!status.is(Code::kBadRequest) || status.message().starts_with("Unable to find "))
    return status;
  return Status(status.code(),
                "Unable to find \"" + std::string(kind.group) + "/" + std::string(kind.version) +
                    ", Resource=" + std::string(kind.plural) + "\" that match label selector \"" +
                    selection.labels + "\", field selector \"" + selection.fields +
                    "\": " + status.message(),
                status.causes());
}

/// The label selector of what makes or finds pods: spec.selector, a LabelSelector or plain labels.
std::string selectorOf(const api::Kind& kind, const google::protobuf::Message& object) {
  if (kind.strategy.scaling) return kind.strategy.scaling->selector(object);
  const auto document = nlohmann::json::parse(api::toJson(object), nullptr, false);
  const auto selector =
      document.value(nlohmann::json::json_pointer("/spec/selector"), nlohmann::json::object());
  metav1::LabelSelector parsed;
  if (selector.contains("matchLabels") || selector.contains("matchExpressions")) {
    if (!api::fromJson(selector.dump(), parsed)) return "";
  } else {
    for (const auto& [name, value] : selector.items())
      (*parsed.mutable_matchlabels())[name] = value.is_string() ? value.get<std::string>() : "";
  }
  const auto text = api::LabelSelector::of(parsed);
  return text ? text->toString() : "";
}

/// Better pods first: bound, running, ready, ready for longer, restarted less, older
/// (controller.ActivePods).
auto rankOf(const corev1::Pod& pod) {
  const auto& status = pod.status();
  const bool ready = api::isTrue(status, "Ready");
  const auto* condition = api::findCondition(status, "Ready");
  std::int32_t restarts = 0;
  for (const auto& container : status.containerstatuses())
    restarts = std::max(restarts, container.restartcount());
  const int phase = status.phase() == "Running" ? 0 : status.phase() == "Unknown" ? 1 : 2;
  return std::tuple(pod.spec().nodename().empty(), phase, !ready,
                    ready ? condition->lasttransitiontime().seconds() : 0, restarts,
                    pod.metadata().creationtimestamp().seconds(), pod.metadata().name());
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
  command
      .add_option_function<std::int64_t>(
          "--chunk-size", [](std::int64_t) {}, "As kubectl's; what is listed always comes in pages")
      ->check(CLI::NonNegativeNumber);
}

void addFileFlags(CLI::App& command, Selection& selection) {
  command
      .add_option("-f,--filename", selection.files,
                  "The objects of this manifest: a file, a folder, or - for stdin")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_flag("-R,--recursive", selection.recursive,
                   "Of folders, the manifests below as well");
  command.add_option("-k,--kustomize", selection.kustomize)->group("");
}

Result<std::vector<api::ResourceId>> resolve(const Selection& selection) {
  if (!selection.files.empty() || !selection.kustomize.empty()) return idsOfFiles(selection);
  const auto idFor = [&](const api::Kind* kind, std::string name) {
    const bool scoped = kind->namespaced() && !(selection.allNamespaces && name.empty());
    return api::ResourceId{kind, scoped ? selection.ns : "", std::move(name), ""};
  };
  const auto& arguments = selection.arguments;
  const auto pairs = std::ranges::count_if(arguments, isPair);
  std::vector<api::ResourceId> ids;
  if (pairs > 0 && pairs < std::ssize(arguments)) {
    return bad(
        "there is no need to specify a resource type as a separate argument when passing "
        "arguments in resource/name form (e.g. 'podlab get resource/<resource_name>' instead of "
        "'podlab get resource resource/<resource_name>'");
  }
  for (const auto& argument : arguments) {
    if (pairs == 0) break;
    const auto slash = argument.find('/');
    if (argument.find('/', slash + 1) != std::string::npos)
      return bad("arguments in resource/name form may not have more than one slash");
    if (slash == 0 || slash + 1 == argument.size() ||
        argument.substr(0, slash).find(',') != std::string::npos)
      return bad("arguments in resource/name form must have a single resource and name");
    auto kind = kindNamed(argument.substr(0, slash));
    if (!kind) return kind.status();
    ids.push_back(idFor(*kind, argument.substr(slash + 1)));
  }
  if (pairs == 0 && !arguments.empty()) {
    auto kinds = kindsNamed(arguments.front());
    if (!kinds) return kinds.status();
    for (const auto* kind : *kinds) {
      for (std::size_t i = 1; i < arguments.size(); ++i) ids.push_back(idFor(kind, arguments[i]));
      if (arguments.size() == 1) ids.push_back(idFor(kind, ""));
    }
  }
  const bool named = !ids.empty() && !ids.front().name.empty();
  if (named && selection.selects()) {
    return bad(!selection.labels.empty()
                   ? "name cannot be provided when a selector is specified"
                   : "selectors and the all flag cannot be used when passing resource/name "
                     "arguments");
  }
  if (named && selection.allNamespaces && ids.front().kind->namespaced())
    return bad("a resource cannot be retrieved by name across all namespaces");
  return ids;
}

Result<api::ResourceId> resolveOne(const std::string& argument, const std::string& ns,
                                   const api::Kind& kind) {
  Selection selection;
  selection.ns = ns;
  if (isPair(argument)) {
    selection.arguments = {argument};
    auto ids = resolve(selection);
    if (!ids) return ids.status();
    return ids->front();
  }
  return api::ResourceId{&kind, kind.namespaced() ? ns : "", argument, ""};
}

api::ResourceId idOf(const Found& found) {
  const auto& meta = api::meta(*found.object);
  return {found.kind, found.kind->namespaced() ? meta.namespace_() : "", meta.name(), ""};
}

Co<Result<api::ListResult>> listSelected(Session& session, const Selection& selection,
                                         api::ResourceId collection) {
  const api::Kind& kind = *collection.kind;
  api::ListOptions options;
  options.labelSelector = selection.labels;
  options.fieldSelector = selection.fields;
  auto found = co_await session.api.list(std::move(collection), options);
  if (!found) co_return listFailure(found.status(), selection, kind);
  co_return found;
}

Co<int> followChanges(Session& session, api::ResourceId collection, api::WatchOptions options,
                      ShowChange show) {
  auto changes = co_await session.api.watch(std::move(collection), std::move(options));
  if (!changes) co_return failRequest(changes.status());
  for (;;) {
    auto event = co_await (*changes)->next();
    if (!event)
      co_return event.status().is(Code::kEndOfStream) ? kDone : failRequest(event.status());
    if (event->type == api::EventType::kBookmark) continue;
    if (Status status = show(*event); !status) co_return fail(status);
  }
}

Co<Result<std::vector<api::ResourceId>>> nameObjects(Session& session, const Selection& selection,
                                                     std::vector<api::ResourceId> ids) {
  std::vector<api::ResourceId> named;
  for (auto& id : ids) {
    if (!id.name.empty()) {
      named.push_back(std::move(id));
      continue;
    }
    auto found = co_await listSelected(session, selection, id);
    if (!found) co_return found.status();
    for (const auto& object : found->items) named.push_back(idOf(Found{id.kind, object}));
  }
  co_return named;
}

Co<Result<std::vector<std::shared_ptr<const corev1::Pod>>>> podsOf(Session& session,
                                                                   std::string argument,
                                                                   std::string ns) {
  const auto& podKind = api::kindFor<corev1::Pod>();
  auto id = resolveOne(argument, ns, podKind);
  if (!id) co_return id.status();
  auto object = co_await session.api.get(*id);
  if (!object) co_return object.status();
  if (id->kind == &podKind) co_return std::vector{api::share<corev1::Pod>(*object)};
  Selection selection;
  selection.labels = selectorOf(*id->kind, **object);
  if (selection.labels.empty()) {
    co_return bad("cannot find pods of " + displayName(*id->kind, id->name) +
                  ": it has no selector");
  }
  api::ResourceId pods{&podKind, id->ns, "", ""};
  auto found = co_await listSelected(session, selection, std::move(pods));
  if (!found) co_return found.status();
  std::vector<std::shared_ptr<const corev1::Pod>> out;
  for (const auto& pod : found->items) out.push_back(api::share<corev1::Pod>(pod));
  std::ranges::sort(out, {}, [](const auto& pod) { return rankOf(*pod); });
  co_return out;
}

Co<Result<std::shared_ptr<const corev1::Pod>>> findPod(Session& session, std::string argument,
                                                       std::string ns) {
  auto pods = co_await podsOf(session, argument, ns);
  if (!pods) co_return pods.status();
  if (pods->empty())
    co_return bad("no pods of " + argument + " are there; wait for them, or name a pod");
  co_return pods->front();
}

std::string displayKind(const api::Kind& kind) {
  return std::string(kind.singular) + (kind.group.empty() ? "" : "." + std::string(kind.group));
}

std::string displayName(const api::Kind& kind, const std::string& name) {
  return displayKind(kind) + "/" + name;
}

Co<Status> waitUntilGone(Session& session, api::ResourceId id, std::string uid) {
  for (;;) {
    auto object = co_await session.api.get(id);
    if (!object) co_return object.status().is(Code::kNotFound) ? Status() : object.status();
    if (api::meta(**object).uid() != uid) co_return Status();
    api::WatchOptions options;
    options.fieldSelector = "metadata.name=" + id.name;
    options.resourceVersion = api::meta(**object).resourceversion();
    api::ResourceId collection = id;
    collection.name.clear();
    auto watch = co_await session.api.watch(collection, options);
    if (!watch) co_return watch.status();
    for (;;) {
      auto event = co_await (*watch)->next();
      if (!event) break;
      if (event->type == api::EventType::kDeleted) co_return Status();
    }
  }
}

Status conditionTimeout(const api::ResourceId& id) {
  return {Code::kTimeout,
          "timed out waiting for the condition on " + std::string(id.kind->plural) + "/" + id.name};
}

void tellNoneFound(const Selection& selection, bool namespaced) {
  std::fprintf(stderr, "No resources found%s\n",
               selection.allNamespaces || !namespaced
                   ? ""
                   : (" in " + selection.ns + " namespace.").c_str());
}

void printWarnings(const std::vector<std::string>& warnings) {
  for (const auto& warning : warnings) std::fprintf(stderr, "Warning: %s\n", warning.c_str());
}

}  // namespace podlab::cli
