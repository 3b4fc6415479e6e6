// Random clusters with random faults, one a seed, until a seed breaks an invariant or the time is
// over.
//   podlab_swarm [--first SEED] [--count N] [--for SECONDS]
//   podlab_swarm --seed SEED [--log-level LEVEL] [--print]     one seed; its scenario file
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/log.hpp"
#include "sim/world.hpp"
#include "tests/sim/swarm/random_scenario.hpp"

namespace podlab::sim {
namespace {

struct Flags {
  std::uint64_t first = 1;
  std::uint64_t count = ~std::uint64_t{0};
  double seconds = 1e9;
  LogLevel logLevel = LogLevel::kOff;
  bool print = false;
};

struct Done {
  std::uint64_t seeds = 0, pods = 0, faults = 0, changes = 0, watchEvents = 0;
  double hours = 0;
};

/// Whether all held.
bool runSeed(std::uint64_t seed, Done& done) {
  const std::string text = randomScenario(seed);
  auto scenario = parseScenario(text, {}, [](const std::string& path) -> Result<std::string> {
    return Status(Code::kNotFound, path);
  });
  if (!scenario) {
    const Status status = scenario.status();
    std::printf("seed %llu: %s\n%s", static_cast<unsigned long long>(seed),
                status.toString().c_str(), text.c_str());
    for (const auto& cause : status.causes())
      std::printf("%s: %s\n", cause.field.c_str(), cause.message.c_str());
    return false;
  }
  WorldOptions options;
  options.checkInvariants = true;
  World world(std::move(*scenario), std::move(options));
  const auto outcome = world.run();
  if (!outcome || !outcome->violations.empty()) {
    std::printf("seed %llu broke an invariant; see it with --seed %llu --log-level debug\n%s",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed),
                text.c_str());
    if (!outcome) std::printf("%s\n", outcome.status().toString().c_str());
    if (outcome) {
      for (const auto& violation : outcome->violations) std::printf("%s\n", violation.c_str());
    }
    return false;
  }
  ++done.seeds;
  done.pods += outcome->totals.created;
  done.faults += outcome->faults;
  done.changes += outcome->changesChecked;
  done.watchEvents += outcome->watchEventsChecked;
  done.hours += std::chrono::duration<double, std::ratio<3600>>(outcome->simulated).count();
  return true;
}

int run(const Flags& flags) {
  if (flags.print) {
    std::fputs(randomScenario(flags.first).c_str(), stdout);
    return 0;
  }
  initLogging(flags.logLevel, LogFormat::kText, "");
  const auto begin = std::chrono::steady_clock::now();
  Done done;
  std::uint64_t broken = 0;
  for (std::uint64_t i = 0; i < flags.count; ++i) {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    if (taken.count() > flags.seconds) break;
    if (!runSeed(flags.first + i, done)) ++broken;
    std::fflush(stdout);
  }
  std::printf(
      "%llu seeds from %llu, %.1f simulated hours, %llu pods, %llu faults, %llu changes and "
      "%llu watch events checked; %llu seeds broke an invariant\n",
      static_cast<unsigned long long>(done.seeds + broken),
      static_cast<unsigned long long>(flags.first), done.hours,
      static_cast<unsigned long long>(done.pods), static_cast<unsigned long long>(done.faults),
      static_cast<unsigned long long>(done.changes),
      static_cast<unsigned long long>(done.watchEvents), static_cast<unsigned long long>(broken));
  return broken == 0 ? 0 : 1;
}

bool parse(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--print") {
      flags.print = true;
      continue;
    }
    if (++i == argc) return false;
    const char* value = argv[i];
    if (flag == "--seed") {
      flags.first = std::strtoull(value, nullptr, 10);
      flags.count = 1;
    } else if (flag == "--first") {
      flags.first = std::strtoull(value, nullptr, 10);
    } else if (flag == "--count") {
      flags.count = std::strtoull(value, nullptr, 10);
    } else if (flag == "--for") {
      flags.seconds = std::strtod(value, nullptr);
    } else if (flag == "--log-level") {
      flags.logLevel = std::strcmp(value, "debug") == 0  ? LogLevel::kDebug
                       : std::strcmp(value, "info") == 0 ? LogLevel::kInfo
                                                         : LogLevel::kWarning;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace podlab::sim

int main(int argc, char** argv) {
  podlab::sim::Flags flags;
  if (!podlab::sim::parse(argc, argv, flags)) {
    std::fprintf(stderr,
                 "usage: podlab_swarm [--first SEED] [--count N] [--for SECONDS] | --seed SEED "
                 "[--log-level debug|info|warn] [--print]\n");
    return 2;
  }
  return podlab::sim::run(flags);
}
