#include "cli/doctor_command.hpp"

#include <cstdio>

#include <asio/io_context.hpp>

#include "cli/doctor.hpp"
#include "cli/session.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {
namespace {

Co<int> examine(std::unique_ptr<ProcessRunner> processes, std::string stateFolder,
                std::string output) {
  const HostFacts facts = co_await examineHost(*processes, std::move(stateFolder));
  const auto checks = judgeHost(facts);
  std::fputs((output == "json" ? checksJson(checks) : formatChecks(checks)).c_str(), stdout);
  co_return canRunLabs(checks) ? kDone : kHostLacks;
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
  command->callback([&context, output] { context.exitCode = doctor(*output); });
}

}  // namespace podlab::cli
