#include "cli/hosts_down.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "cli/host_setup.hpp"
#include "cli/hosts_plan.hpp"
#include "cli/hosts_work.hpp"
#include "cli/session.hpp"
#include "cli/ssh.hpp"
#include "cli/table.hpp"
#include "common/filesystem.hpp"
#include "common/process.hpp"
#include "transport/certificates.hpp"

namespace podlab::cli {
namespace {

class HostsDown {
 public:
  HostsDown(const Context& context, std::vector<HostNode> nodes, std::string caHash, bool cleanup,
            Ssh ssh)
      : context_(context),
        nodes_(std::move(nodes)),
        caHash_(std::move(caHash)),
        cleanup_(cleanup),
        ssh_(std::move(ssh)),
        progress_(context) {}

  int run() {
    show();
    const int code =
        runCoroutine([this](asio::io_context& io, Clock& clock) { return endAll(io, clock); });
    if (code == kInterrupted)
      progress_.done("Interrupted; run it again to go on where this ended.");
    return code == kDone && failed_ > 0 ? kFailed : code;
  }

 private:
  Co<int> endAll(asio::io_context& io, Clock& clock) {
    processes_ = makeProcessRunner(io.get_executor(), clock);
    co_await forEachHost(io.get_executor(), nodes_.size(),
                         [this](std::size_t i) { return end(nodes_[i]); });
    co_return kDone;
  }

  Co<void> end(const HostNode& node) {
    const auto ended =
        co_await endAgent(ssh_, *processes_, node.host, node.name(), caHash_, cleanup_);
    const Status status = ended.status();
    ++ended_;
    if (status.ok()) {
      tellOfHost(context_, progress_, status,
                 node.name() + " (" + node.node.host() + "): " + outcome(*ended));
    } else {
      ++failed_;
      tellOfHost(context_, progress_, status,
                 "error: " + node.origin + ": " + status.message() +
                     "; what is to be done there, as root: podlab agent " +
                     (cleanup_ ? "--cleanup" : "--stop"));
    }
    show();
  }

  std::string outcome(bool ours) const {
    if (!ours) return "left alone, it is no node of this cluster";
    return cleanup_ ? "cleaned up" : "stopped";
  }

  void show() {
    const std::size_t left = nodes_.size() - ended_;
    if (left > 0) progress_.show("Waiting for " + countHosts(left) + " to end ...");
  }

  const Context& context_;
  std::vector<HostNode> nodes_;
  std::string caHash_;
  bool cleanup_;
  Ssh ssh_;
  Progress progress_;
  std::unique_ptr<ProcessRunner> processes_;
  std::size_t ended_ = 0;
  std::size_t failed_ = 0;
};

int endNodes(const Context& context, const lab::LabPaths& paths, std::vector<HostNode> nodes,
             bool cleanup) {
  const auto lock = lockHosts(paths);
  if (!lock) return fail(lock.status());
  const auto ca = makeRealFilesystem()->readFile(paths.pki("ca.crt"));
  if (ca.status().is(Code::kNotFound)) return kDone;  // no machine has ever joined
  const auto hash = ca ? transport::publicKeyHash(*ca) : Result<std::string>(ca.status());
  if (!hash) return fail(hash.status());
  auto ssh = Ssh::open();
  if (!ssh) return fail(ssh.status());
  return HostsDown(context, std::move(nodes), *hash, cleanup, std::move(*ssh)).run();
}

Co<int> listReady(Session& session, std::map<std::string, std::string>& states) {
  const api::ResourceId all{&api::kindFor<corev1::Node>(), "", "", ""};
  api::ListOptions options;
  auto found = co_await session.api.list(all, std::move(options));
  if (!found) co_return failRequest(found.status());
  for (const auto& item : found->items) {
    const auto& node = api::as<corev1::Node>(item);
    states[node.metadata().name()] = api::isTrue(node.status(), "Ready") ? "Ready" : "NotReady";
  }
  co_return kDone;
}

}  // namespace

int endOnHosts(const Context& context, const lab::LabPaths& paths, const lab::Cluster& cluster,
               bool cleanup) {
  return endNodes(context, paths, hostNodes(cluster), cleanup);
}

int cleanUpHost(const Context& context, const lab::LabPaths& paths, const lab::Cluster& cluster,
                const std::string& name) {
  auto nodes = hostNodes(cluster);
  std::erase_if(nodes, [&](const HostNode& node) { return node.name() != name; });
  return endNodes(context, paths, std::move(nodes), true);
}

Status forgetHost(const lab::LabPaths& paths, const std::string& name) {
  const auto files = makeRealFilesystem();
  auto cluster = readCluster(*files, paths);
  if (!cluster) return cluster.status();
  if (!*cluster) return {};
  auto& nodes = *(*cluster)->mutable_nodes();
  nodes.erase(std::remove_if(nodes.begin(), nodes.end(),
                             [&](const auto& node) { return node.name() == name; }),
              nodes.end());
  return storeHostsCluster(*files, paths, **cluster);
}

int printHosts(const Context& context, const lab::Cluster& cluster) {
  std::map<std::string, std::string> states;
  const int code =
      withSession(context, [&](Session& session) { return listReady(session, states); });
  if (code != kDone) return code;
  Table table({"NODE", "HOST", "STATUS"});
  for (const auto& node : cluster.nodes()) {
    const auto state = states.find(node.name());
    table.add({node.name(), node.host(), state == states.end() ? "NotRegistered" : state->second});
  }
  std::fputs(table.text().c_str(), stdout);
  return kDone;
}

}  // namespace podlab::cli
