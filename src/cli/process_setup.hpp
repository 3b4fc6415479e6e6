#pragma once
#include <string>
#include <string_view>

#include <asio/io_context.hpp>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "common/status.hpp"
#include "transport/certificates.hpp"

namespace podlab::cli {

LogLevel logLevelOf(std::string_view name);

/// A process's certificates in `folder`: ca.crt, NAME.crt and NAME.key.
struct CertificateFiles {
  std::string ca;
  transport::Credentials own;
};
Result<CertificateFiles> readCertificates(Filesystem& files, const std::string& folder,
                                          const std::string& name);

/// Looks at the calendar at least once an hour, for clocks that are set meanwhile.
Co<void> sleepUntil(Clock& clock, WallTime time);

/// Runs the loop until `main` is done. Returns the exit code: 1 when it fails, which `failed` names
/// in the log.
int runProcess(asio::io_context& io, Co<Status> main, std::string_view failed);

/// Until SIGTERM or SIGINT.
Co<void> waitForTermination();

}  // namespace podlab::cli
