#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/blocking.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::net {

/// Takes the calling thread into other namespaces and back in the end; a thread that cannot come
/// back ends the process, for everything it does later would happen in the wrong place.
class NamespaceScope {
 public:
  NamespaceScope() = default;
  NamespaceScope(NamespaceScope&&) = delete;
  ~NamespaceScope();

  /// Moves the thread into the network namespace of this file.
  Status joinNetwork(const std::string& path);
  /// Moves the thread into new namespaces (CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS).
  Status unshare(int flags);

 private:
  Status remember(int flags);
  std::map<int, UniqueFd> origins_;  // by CLONE_NEW*
};

/// Runs `job` (returning a Status or Result) on this thread in the network namespace of `path`;
/// empty: where the thread is.
template <typename F>
auto inNetworkNamespace(const std::string& path, F job) -> std::invoke_result_t<F> {
  if (path.empty()) return job();
  NamespaceScope scope;
  if (Status joined = scope.joinNetwork(path); !joined) return joined;
  return job();
}

/// The same on a thread of `pool`.
template <typename F>
auto inNetworkNamespace(BlockingPool& pool, std::string path, F job)
    -> Co<std::invoke_result_t<F>> {
  auto entered = [path = std::move(path), job = std::move(job)] {
    return inNetworkNamespace(path, job);
  };
  co_return co_await pool.run(std::move(entered));
}

/// A socket of that namespace, which it keeps wherever it is used. Close-on-exec and non-blocking.
Result<UniqueFd> openSocketIn(const std::string& networkPath, int domain, int type, int protocol);

/// Brings the loopback link of the calling thread's network namespace up.
Status raiseLoopback();

/// Writes /proc/sys/net/NAME ("ipv4/ip_forward") of the calling thread's network namespace, unless
/// it has the value already.
Status setSysctl(const std::string& name, const std::string& value);
Result<std::string> getSysctl(const std::string& name);

/// Files of one set of namespaces; an empty path where the set has none of that kind.
struct NamespacePaths {
  std::string network;
  std::string ipc;
  std::string uts;
  bool operator==(const NamespacePaths&) const = default;
};

/// A folder that keeps namespaces alive without a process: FOLDER/ID/{net,ipc,uts} are bind mounts
/// of them. The folder is a private mount of its own, so that pins never spread into other mount
/// namespaces, where they would outlive their removal. Thread-safe for different ids.
class NamespacePins {
 public:
  /// Makes the folder and mounts a private tmpfs on it, or takes the one that is there. A shared
  /// mount there is refused.
  static Result<NamespacePins> open(std::string folder);

  struct Wanted {
    bool network = true;
    bool ipc = true;
    bool uts = true;
    std::string hostname;  ///< of the new UTS namespace
  };
  /// New namespaces, pinned; `inside` runs in them before. Leaves nothing behind on failure.
  /// kAlreadyExists when the id is taken.
  Result<NamespacePaths> create(const std::string& id, const Wanted& wanted,
                                const std::function<Status()>& inside);
  /// nullopt unless all that belongs to the set is still pinned.
  std::optional<NamespacePaths> find(const std::string& id, const Wanted& wanted) const;
  /// Unpins; absent is OK. The kernel drops the namespaces when nothing else uses them.
  Status remove(const std::string& id);
  /// Ids, complete or not.
  Result<std::vector<std::string>> list() const;
  NamespacePaths paths(const std::string& id, const Wanted& wanted) const;
  /// Unpins all and unmounts and removes the folder.
  Status removeAll();

 private:
  explicit NamespacePins(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

}  // namespace podlab::net
