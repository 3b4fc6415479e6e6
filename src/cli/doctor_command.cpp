#include "cli/doctor_command.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "agent_rpc.pb.h"

#include "cli/doctor.hpp"
#include "cli/session.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

Co<int> examine(std::unique_ptr<ProcessRunner> processes, std::string stateFolder,
                std::string output) {
  const HostFacts facts = co_await examineHost(*processes, std::move(stateFolder));
  const auto checks = judgeHost(facts);
  std::fputs((output == "json" ? checksJson(checks) : formatChecks(checks)).c_str(), stdout);
  co_return canRunLabs(checks) ? kDone : kHostLacks;
}

std::string peersJson(const std::vector<rpc::PeersReport>& reports) {
  auto nodes = nlohmann::ordered_json::array();
  for (const auto& report : reports) {
    nlohmann::ordered_json node{{"node", report.node()}};
    if (report.has_error()) node["error"] = report.error();
    node["peers"] = nlohmann::ordered_json::array();
    for (const auto& finding : report.findings()) {
      nlohmann::ordered_json peer{{"node", finding.peer()}, {"ok", finding.problem().empty()}};
      if (!finding.problem().empty()) {
        peer["problem"] = finding.problem();
        peer["remedy"] = finding.remedy();
      }
      node["peers"].push_back(std::move(peer));
    }
    nodes.push_back(std::move(node));
  }
  return nlohmann::ordered_json{{"nodes", std::move(nodes)}}.dump(2) + "\n";
}

/// What is wrong, for people; whether anything is.
bool tellOfPeers(const std::vector<rpc::PeersReport>& reports) {
  bool wrong = false;
  for (const auto& report : reports) {
    if (report.has_error()) {
      std::printf("%s: %s\n", report.node().c_str(), report.error().c_str());
      wrong = true;
    }
    for (const auto& finding : report.findings()) {
      if (finding.problem().empty()) continue;
      std::printf("%s -> %s: %s\n  %s\n", report.node().c_str(), finding.peer().c_str(),
                  finding.problem().c_str(), finding.remedy().c_str());
      wrong = true;
    }
  }
  if (!wrong) std::printf("%zu nodes reach each other.\n", reports.size());
  return wrong;
}

Co<int> examinePeers(Session& session, std::string output) {
  auto connection = co_await session.connection.get(session.clock.now() + kPatience);
  if (!connection) co_return fail(connection.status());
  auto stream = co_await (*connection)->open("peers");
  if (!stream) co_return fail(stream.status());
  const Status sent = co_await (*stream)->send(rpc::encode(rpc::PeersRequest()));
  if (!sent) co_return fail(sent);
  std::vector<rpc::PeersReport> reports;
  for (;;) {
    auto message = co_await (*stream)->receive();
    if (message.status().is(Code::kEndOfStream)) break;
    if (!message) co_return failRequest(message.status());
    rpc::PeersReport report;
    if (Status bad = rpc::decode(*message, report); !bad.ok()) co_return fail(bad);
    reports.push_back(std::move(report));
  }
  std::ranges::sort(reports, {}, [](const rpc::PeersReport& report) { return report.node(); });
  if (output.empty()) co_return tellOfPeers(reports) ? kCheckFailed : kDone;
  std::fputs(peersJson(reports).c_str(), stdout);
  const bool well = std::ranges::all_of(reports, [](const rpc::PeersReport& report) {
    return !report.has_error() && std::ranges::all_of(report.findings(), [](const auto& finding) {
      return finding.problem().empty();
    });
  });
  co_return well ? kDone : kCheckFailed;
}

int doctor(const std::string& output) {
  auto root = lab::labsRoot();
  if (!root) return fail(root.status());
  return runCoroutine([&](asio::io_context& io, Clock& clock) {
    return examine(makeProcessRunner(io.get_executor(), clock), *root, output);
  });
}

}  // namespace

void addDoctorCommand(CLI::App& app, Context& context) {
  auto output = std::make_shared<std::string>();
  auto* command = app.add_subcommand(
      "doctor", "Say what this host offers and lacks; exit 4 unless podlab up can work");
  command->add_option("-o,--output", *output, "json")->check(CLI::IsMember({"json"}));
  auto peers = std::make_shared<bool>(false);
  command->add_flag("--peers", *peers,
                    "Say instead whether the cluster's nodes reach each other, with the remedy "
                    "where they do not; exit 3 then");
  command->callback([&context, output, peers] {
    context.exitCode =
        *peers
            ? withSession(context, [&](Session& session) { return examinePeers(session, *output); })
            : doctor(*output);
  });
}

}  // namespace podlab::cli
