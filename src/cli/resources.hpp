#pragma once
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "api/api.hpp"
#include "api/kinds.hpp"
#include "cli/session.hpp"
#include "common/status.hpp"

namespace podlab::cli {

/// kubectl's flags that choose objects.
struct Selection {
  std::vector<std::string> arguments;  ///< "pods", "pod web db", "pod/web node/node1", "pods,nodes"
  std::vector<std::string> files;      ///< -f: the objects of these manifests
  bool recursive = false;              ///< -R: of folders, those below as well
  std::string kustomize;               ///< -k, which is refused
  std::string ns = "default";
  bool allNamespaces = false;
  std::string labels;
  std::string fields;

  bool selects() const { return !labels.empty() || !fields.empty(); }
};
void addNamespaceFlag(CLI::App& command, std::string& ns);
/// -n, -A, -l, --field-selector, --chunk-size.
void addSelectorFlags(CLI::App& command, Selection& selection);
/// -f, -R, -k.
void addFileFlags(CLI::App& command, Selection& selection);

/// What arguments or manifests name: objects, or collections (with an empty name). kBadRequest in
/// kubectl's words.
Result<std::vector<api::ResourceId>> resolve(const Selection& selection);
/// The same for one object "web" or "pod/web", of `kind` unless it says otherwise.
Result<api::ResourceId> resolveOne(const std::string& argument, const std::string& ns,
                                   const api::Kind& kind);

/// An object as a command got it.
struct Found {
  const api::Kind* kind = nullptr;
  api::ObjectPtr object;
};
api::ResourceId idOf(const Found& found);

/// The objects of a collection that the selectors choose.
Co<Result<api::ListResult>> listSelected(Session& session, const Selection& selection,
                                         api::ResourceId collection);
/// What `ids` name: objects as they are, collections replaced by the objects that the selectors
/// choose.
Co<Result<std::vector<api::ResourceId>>> nameObjects(Session& session, const Selection& selection,
                                                     std::vector<api::ResourceId> ids);
/// Shows each change of the collection, until the watch ends or one cannot be shown; the exit code.
using ShowChange = std::function<Status(const api::WatchEvent& event)>;
Co<int> followChanges(Session& session, api::ResourceId collection, api::WatchOptions options,
                      ShowChange show);
/// The pod that is meant: the named one, or one of those that a named workload or service selects.
/// Of several it is the one that works best, and the others are told of.
Co<Result<std::shared_ptr<const corev1::Pod>>> findPod(Session& session, std::string argument,
                                                       std::string ns);
/// All pods that a workload or service selects; the pod itself.
Co<Result<std::vector<std::shared_ptr<const corev1::Pod>>>> podsOf(Session& session,
                                                                   std::string argument,
                                                                   std::string ns);

/// Until the object is gone, or another one has its name.
Co<Status> waitUntilGone(Session& session, api::ResourceId id, std::string uid);
/// That the object has not come to be as it was waited for, in kubectl's words.
Status conditionTimeout(const api::ResourceId& id);
/// "No resources found in NAMESPACE namespace.", on stderr.
void tellNoneFound(const Selection& selection, bool namespaced);

/// "pod/web" or "deployment.apps/web", as kubectl names objects in messages.
std::string displayName(const api::Kind& kind, const std::string& name);
/// "pod" or "deployment.apps".
std::string displayKind(const api::Kind& kind);

/// "Warning: ..." on stderr.
void printWarnings(const std::vector<std::string>& warnings);

}  // namespace podlab::cli
