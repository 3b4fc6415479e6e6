#pragma once
#include <string>

#include "sim/scenario.hpp"
#include "sim/world.hpp"

namespace podlab::cli {

/// What the outputs tell of a simulation. The same scenario and outcome give the same bytes.
struct SimReport {
  std::string file;  ///< the scenario's, as it was given
  const sim::Scenario& scenario;
  const sim::Outcome& outcome;
};

std::string simText(const SimReport& report);
std::string simJson(const SimReport& report);
/// A header and a line a sample.
std::string simCsv(const SimReport& report);
/// One page that needs nothing else, with plots over time.
std::string simHtml(const SimReport& report);

/// "1,234,567".
std::string grouped(std::uint64_t number);
/// "350ms", "1.2s", "3m20s": of seconds, in about three digits.
std::string spanText(double seconds);
/// The placement hash, as all outputs write it.
std::string hashText(std::uint64_t hash);

}  // namespace podlab::cli
