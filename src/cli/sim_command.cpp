#include "cli/sim_command.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/process_setup.hpp"
#include "cli/sim_output.hpp"
#include "cli/user_files.hpp"
#include "common/log.hpp"

namespace podlab::cli {
namespace {

struct SimFlags {
  std::string file;
  std::optional<std::uint64_t> seed;
  std::string until;
  std::string output;
  std::string csv;
  std::string html;
  bool check = false;
};

Status writeReports(const SimReport& report, const SimFlags& flags) {
  Status status;
  if (!flags.csv.empty()) {
    std::error_code error;
    std::filesystem::create_directories(flags.csv, error);
    if (error) return errnoStatus(error.value(), "cannot make the folder " + flags.csv);
    status = writeOutput(flags.csv + "/series.csv", simCsv(report));
  }
  if (status && !flags.html.empty()) status = writeOutput(flags.html, simHtml(report));
  return status;
}

int failParse(const std::string& file, const Status& status) {
  for (const auto& cause : status.causes())
    std::fprintf(stderr, "error: %s: %s: %s\n", file.c_str(), cause.field.c_str(),
                 cause.message.c_str());
  return status.causes().empty() ? fail(status.withContext(file)) : kFailed;
}

int simulate(const Context& context, const SimFlags& flags) {
  if (flags.file.empty()) return failUsage("SCENARIO is required: a file, or - for stdin");
  sim::ScenarioOverrides overrides;
  overrides.seed = flags.seed;
  if (!flags.until.empty()) {
    overrides.duration = parseDuration(flags.until);
    if (!overrides.duration || *overrides.duration <= Duration(0) ||
        *overrides.duration > std::chrono::hours(8760))
      return failUsage("--until: \"" + flags.until +
                       "\" is not a duration such as 24h, above 0 and at most 8760h");
  }
  const auto text = readInput(flags.file);
  if (!text) return fail(text.status());
  // Traces lie beside the scenario.
  const auto folder = std::filesystem::path(flags.file).parent_path();
  auto scenario = sim::parseScenario(*text, overrides, [&folder](const std::string& path) {
    return readInput((folder / path).string());
  });
  if (!scenario) return failParse(flags.file, scenario.status());

  sim::WorldOptions options;
  options.checkInvariants = flags.check;
  std::optional<Progress> progress;
  if (::isatty(STDERR_FILENO) != 0) {
    progress.emplace(context);
    options.progress = [&progress, length = scenario->duration](Duration now) {
      progress->show("simulated " + formatDuration(now) + " of " + formatDuration(length));
    };
  }
  sim::World world(*scenario, std::move(options));
  const auto outcome = world.run();
  progress.reset();
  if (!outcome) return fail(outcome.status());
  if (outcome->refused > 0)
    std::fprintf(stderr, "warning: the API refused %s objects of the workloads, the first %s\n",
                 grouped(outcome->refused).c_str(), outcome->refusal.c_str());
  const SimReport report{flags.file, *scenario, *outcome};
  const std::string shown = flags.output == "json" ? simJson(report) : simText(report);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  if (Status status = writeReports(report, flags); !status) return fail(status);
  return outcome->violations.empty() ? kDone : kCheckFailed;
}

}  // namespace

void addSimCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<SimFlags>();
  auto* command = app.add_subcommand(
      "sim", "Run a whole cluster in virtual time, from a scenario file and a seed");
  command->add_option("SCENARIO,-f,--file", flags->file, "Scenario file, - for stdin");
  command->add_option("--seed", flags->seed, "Of all chance, instead of the scenario's");
  command->add_option("--until", flags->until, "Virtual time, instead of the scenario's: 24h");
  command->add_option("-o,--output", flags->output, "json")->check(CLI::IsMember({"json"}));
  command->add_option("--csv", flags->csv, "Also write series.csv into this folder");
  command->add_option("--html", flags->html, "Also write a page with plots to this file");
  command->add_flag("--check", flags->check,
                    "Check the cluster's invariants after every write, and that it is whole again "
                    "in the end; exit 3 when one does not hold");
  command->callback([&app, &context, flags] {
    // A simulated cluster logs as much as a real one: only who asks wants to see it.
    const bool asked = app.get_option("--log-level")->count() > 0;
    initLogging(asked ? logLevelOf(context.logLevel) : LogLevel::kOff, LogFormat::kText, "");
    context.exitCode = simulate(context, *flags);
  });
}

}  // namespace podlab::cli
