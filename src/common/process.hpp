#pragma once
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab {

/// A program to run to its end.
struct ProcessSpec {
  std::vector<std::string> argv;                ///< argv[0] is looked up in PATH
  int program = -1;                             ///< a descriptor: run this file instead of argv[0]
  std::optional<std::vector<std::string>> env;  ///< "K=V"; unset: this process's
  std::string input;                            ///< for its stdin
  int inputFile = -1;                           ///< a descriptor: its stdin, in place of `input`
  std::size_t maxOutput =
      1 << 20;  ///< bytes kept of stdout and of stderr; the rest is read and dropped
  std::optional<Duration> timeout;  ///< SIGKILL then
};

struct ProcessOutput {
  int exitCode = 0;  ///< 128 + signal when killed
  bool timedOut = false;
  std::string out;
  std::string err;
};

/// Runs programs (crun above all). A program that cannot be started is a Status naming it.
class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  virtual Co<Result<ProcessOutput>> run(ProcessSpec spec) = 0;
};

std::unique_ptr<ProcessRunner> makeProcessRunner(asio::any_io_executor executor, Clock& clock);

}  // namespace podlab
