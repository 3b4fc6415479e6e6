#include "cli/hosts_up.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <vector>

#include <asio.hpp>

#include "agent_rpc.pb.h"

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "cli/host_setup.hpp"
#include "cli/hosts_plan.hpp"
#include "cli/hosts_work.hpp"
#include "cli/kubeconfig.hpp"
#include "cli/lab_launch.hpp"
#include "cli/node_address.hpp"
#include "cli/session.hpp"
#include "cli/ssh.hpp"
#include "cli/token_command.hpp"
#include "common/filesystem.hpp"
#include "common/process.hpp"
#include "common/sync.hpp"
#include "lab/agent_flags.hpp"

namespace podlab::cli {
namespace {

using std::chrono::milliseconds;

/// For when podlab is killed before it has removed the token itself.
constexpr Duration kTokenLife = std::chrono::hours(1);

/// How far one machine has come.
struct HostState {
  HostNode node;
  Status status;
  std::string program;  ///< the podlab that is there and equal to ours; "" when none is
  std::string client;   ///< this machine, as that one sees it
  std::string done;     ///< what was done there: "podlab installed, agent started"
  bool ready = false;
};

std::string nodesAre(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " node is" : " nodes are");
}

class HostsUp {
 public:
  HostsUp(Context& context, const lab::LabPaths& paths, const lab::Cluster& wanted,
          const HostsUpOptions& options, Ssh ssh)
      : context_(context),
        paths_(paths),
        wanted_(wanted),
        options_(options),
        ssh_(std::move(ssh)),
        files_(makeRealFilesystem()),
        progress_(context) {}

  int run() {
    auto stored = readCluster(*files_, paths_);
    if (!stored) return fail(stored.status());
    UniqueFd lock;
    if (*stored) {
      if (Status mine = checkFolder(lock); !mine.ok()) return fail(mine);
    }
    auto plan = planHosts(*stored, wanted_);
    if (!plan) return fail(plan.status());
    for (auto& node : plan->nodes) {
      hosts_.emplace_back();
      hosts_.back().node = std::move(node);
    }
    if (wanted_.faults().timeline_size() > 0)
      std::fprintf(stderr, "warning: faults: only a lab has faults (podlab up --local)\n");

    progress_.show("Looking at " + countHosts(hosts_.size()) + " ...");
    int code =
        runCoroutine([this](asio::io_context& io, Clock& clock) { return lookAtAll(io, clock); });
    if (code != kDone) return interrupted(code);
    if (usable() == 0) return summary();

    std::vector<HostNode> touched;
    for (const auto& host : hosts_) {
      if (host.status.ok()) touched.push_back(host.node);
    }
    Status status;
    if (!lock) status = takeFolder(lock);
    if (status.ok())
      status = storeHostsCluster(*files_, paths_, withNodes(*stored, wanted_, touched));
    if (status.ok()) status = startServer();
    if (!status.ok()) return status.is(Code::kCanceled) ? interrupted(kInterrupted) : fail(status);
    tellKubectl();

    showWaiting();
    code = withSession(context_, [this](Session& session) { return bringUpAll(session); });
    if (!offer_.tokenId.empty()) {
      (void)withSession(context_, [this](Session& session) { return forgetToken(session); });
    }
    for (const auto& name : plan->gone) {
      say(context_, "Node \"" + name +
                        "\" is not in the file any more, and goes on; remove it by: "
                        "podlab node rm" +
                        nameFlag(context_) + " " + name);
    }
    return code == kDone ? summary() : interrupted(code);
  }

 private:
  Status checkFolder(UniqueFd& lock) {
    if (!files_->exists(paths_.standalone())) {
      return Status(Code::kConflict,
                    "\"" + context_.lab +
                        "\" is a lab of this host; use the file with --local, or delete the lab "
                        "first: podlab down --purge" +
                        nameFlag(context_));
    }
    auto taken = lockHosts(paths_);
    if (taken) lock = std::move(*taken);
    return taken.status();
  }

  /// Of two that make it at once, the second finds it made.
  Status takeFolder(UniqueFd& lock) {
    Status status = makeHostsFolder(*files_, paths_);
    if (status.ok()) status = checkFolder(lock);
    if (!status.ok() || !files_->exists(paths_.clusterFile())) return status;
    return Status(Code::kConflict, "another podlab has made the cluster \"" + context_.lab +
                                       "\" meanwhile; " + options_.again +
                                       " goes on where it ended");
  }

  // ---- before the server

  Co<int> lookAtAll(asio::io_context& io, Clock& clock) {
    processes_ = makeProcessRunner(io.get_executor(), clock);
    auto checksum = co_await ownChecksum(*processes_);
    if (!checksum) co_return fail(checksum.status());
    checksum_ = std::move(*checksum);
    co_await forEachHost(io.get_executor(), hosts_.size(),
                         [this](std::size_t i) { return lookAt(hosts_[i]); });
    co_return kDone;
  }

  Co<void> lookAt(HostState& host) {
    auto facts = co_await lookAtMachine(ssh_, *processes_, host.node.host);
    host.status = facts.status();
    if (facts) {
      utsname own{};
      ::uname(&own);
      host.status = judgeMachine(*facts, own.machine);
      host.program = equalProgram(*facts, checksum_);
      host.client = facts->client;
    }
    if (!host.status.ok()) tellFailure(host);
  }

  std::size_t usable() const {
    return std::ranges::count_if(hosts_, [](const auto& host) { return host.status.ok(); });
  }

  // ---- the server

  Status startServer() {
    const std::string stored = files_->readFile(paths_.apiAddress()).valueOr("");
    wasRunning_ = lab::runningLab(paths_).has_value();
    if (wasRunning_) {
      if (options_.advertise.empty() || stored == options_.advertise ||
          stored.starts_with(options_.advertise + ":"))
        return {};
      return Status(Code::kConflict, "--advertise: the server runs at " + stored +
                                         " already; end it first: podlab down" +
                                         nameFlag(context_));
    }
    auto own = ownAddresses();
    if (!own) return own.status();
    std::vector<std::string> seen;
    for (const auto& host : hosts_) {
      if (host.status.ok()) seen.push_back(host.client);
    }
    progress_.show("Starting the server of \"" + context_.lab + "\" ...");
    return launchServer(context_, paths_, chooseAddress(options_.advertise, stored, *own, seen));
  }

  void tellKubectl() {
    if (options_.kubeconfig == "none") return;
    const Status told = addLabToKubeconfig(*files_, context_, paths_, options_.kubeconfig);
    if (told.ok()) return;
    warnOfKubeconfig(told);
    say(context_, "What kubectl needs: podlab kubeconfig" + nameFlag(context_));
  }

  // ---- the nodes

  Co<int> bringUpAll(Session& session) {
    processes_ = makeProcessRunner(session.io.get_executor(), session.clock);
    auto offer = co_await makeJoinToken(session, kTokenLife, "podlab up");
    if (!offer) co_return failRequest(offer.status());
    offer_ = std::move(*offer);
    co_await forEachHost(session.io.get_executor(), hosts_.size(),
                         [this, &session](std::size_t i) { return bringUp(session, hosts_[i]); });
    co_return kDone;
  }

  Co<int> forgetToken(Session& session) {
    const Status removed = co_await removeJoinToken(session, offer_.tokenId);
    co_return removed.ok() || removed.is(Code::kNotFound) ? kDone : failRequest(removed);
  }

  Co<void> bringUp(Session& session, HostState& host) {
    if (!host.status.ok()) co_return;
    const MonoTime begun = session.clock.now();
    host.status = co_await start(host);
    if (host.status.ok() && options_.patience > Duration(0))
      host.status = co_await waitUntilReady(session, host);
    if (!host.status.ok()) {
      tellFailure(host);
    } else {
      host.ready = true;
      const auto took = std::chrono::duration_cast<milliseconds>(session.clock.now() - begun);
      tellOfHost(context_, progress_, host.status,
                 host.node.name() + " (" + host.node.node.host() +
                     "): " + (options_.patience > Duration(0) ? "Ready" : "started") + " in " +
                     formatDuration(took) +
                     (host.done.empty() ? ", nothing to do" : ": " + host.done));
    }
    showWaiting();
  }

  Co<Status> start(HostState& host) {
    if (host.program.empty()) {
      Status installed = co_await installProgram(ssh_, *processes_, host.node.host, checksum_);
      if (!installed.ok()) co_return installed;
      host.program = kInstallPath;
      host.done = "podlab installed, ";
    }
    std::vector<std::string> flags = {"--join", offer_.server, "--node-name", host.node.name()};
    const auto own = lab::agentFlags(host.node.node);
    flags.insert(flags.end(), own.begin(), own.end());
    auto started = co_await startAgent(ssh_, *processes_, host.node.host, host.program,
                                       std::move(flags), offer_.token);
    if (!started) co_return started.status();
    host.done += *started == "running" ? "" : "agent " + *started;
    co_return Status();
  }

  Co<Status> waitUntilReady(Session& session, HostState& host) {
    const MonoTime deadline = session.clock.now() + options_.patience;
    std::string reason = "it has not registered";
    if (co_await withDeadline(session.clock, deadline,
                              untilReady(session, host.node.name(), reason))) {
      if (lab::runningLab(paths_)) co_return Status();
      co_return Status(Code::kUnavailable,
                       "the server ended: " + endOfLog(*files_, paths_.log("server")));
    }
    const std::string words = co_await lastWordsOfAgent(ssh_, *processes_, host.node.host);
    co_return Status(Code::kTimeout, "it is not Ready after " + formatDuration(options_.patience) +
                                         ": " + reason +
                                         (words.empty() ? "" : "; its agent said: " + words));
  }

  /// Until it is Ready, or there is no server; `reason`: why it is not yet.
  Co<void> untilReady(Session& session, std::string name, std::string& reason) {
    while (lab::runningLab(paths_) && !co_await isReady(session, name, reason))
      co_await session.clock.sleepFor(milliseconds(100));
  }

  /// Ready by the server's word, and connected: what the server knows may be of an earlier agent.
  static Co<bool> isReady(Session& session, std::string name, std::string& reason) {
    constexpr Duration kWhile = std::chrono::seconds(1);
    auto connection = co_await session.connection.get(session.clock.now() + kWhile);
    if (!connection) co_return false;
    api::ResourceId all;
    all.kind = &api::kindFor<corev1::Node>();
    api::WatchOptions watched;
    watched.fieldSelector = "metadata.name=" + name;
    watched.timeout = kWhile;
    auto watch = co_await session.api.watch(std::move(all), std::move(watched));
    if (!watch) co_return false;
    for (;;) {
      auto event = co_await (*watch)->next();
      if (!event) co_return false;
      if (event->type == api::EventType::kBookmark) continue;
      const auto& node = api::as<corev1::Node>(event->object);
      const auto* condition = api::findCondition(node.status(), "Ready");
      if (condition != nullptr) reason = condition->message();
      if (event->type == api::EventType::kDeleted || !api::isTrue(node.status(), "Ready")) continue;
      reason = "its agent is not connected";
      rpc::UsageRequest request;
      request.set_node(name);
      rpc::UsageReport report;
      const Status answered = co_await (*connection)->call("usage", request, report);
      co_return answered.ok();
    }
  }

  // ---- what is said

  void tellFailure(const HostState& host) {
    tellOfHost(context_, progress_, host.status,
               "error: " + host.node.origin + ": " + host.status.message());
  }

  void showWaiting() {
    const auto waiting = std::ranges::count_if(
        hosts_, [](const auto& host) { return host.status.ok() && !host.ready; });
    if (waiting > 0) progress_.show("Waiting for " + countHosts(waiting) + " ...");
  }

  int interrupted(int code) {
    if (code != kInterrupted) return code;
    progress_.done("Interrupted. Go on where this ended: " + options_.again +
                   "; or delete it all: podlab down --purge" + nameFlag(context_));
    return code;
  }

  int summary() {
    const std::size_t good = std::ranges::count_if(hosts_, &HostState::ready);
    const bool idle =
        std::ranges::all_of(hosts_, [](const auto& host) { return host.done.empty(); });
    if (good == hosts_.size()) {
      progress_.done("The cluster \"" + context_.lab + "\" is " +
                     (wasRunning_ && idle ? "already running: " : "up: ") + nodesAre(good) +
                     (options_.patience > Duration(0) ? " Ready." : " started."));
      return kDone;
    }
    tellOfHost(context_, progress_, Status(Code::kInternal, ""),
               "error: " + std::to_string(hosts_.size() - good) + " of " +
                   std::to_string(hosts_.size()) +
                   " hosts failed; go on where this ended: " + options_.again);
    return kFailed;
  }

  Context& context_;
  const lab::LabPaths& paths_;
  const lab::Cluster& wanted_;
  const HostsUpOptions& options_;
  Ssh ssh_;
  std::unique_ptr<Filesystem> files_;
  Progress progress_;
  std::vector<HostState> hosts_;
  std::unique_ptr<ProcessRunner> processes_;  ///< of the part that runs
  std::string checksum_;
  JoinOffer offer_;
  bool wasRunning_ = false;
};

}  // namespace

int upOnHosts(Context& context, const lab::LabPaths& paths, const lab::Cluster& wanted,
              const HostsUpOptions& options) {
  auto ssh = Ssh::open();
  if (!ssh) return fail(ssh.status());
  return HostsUp(context, paths, wanted, options, std::move(*ssh)).run();
}

}  // namespace podlab::cli
