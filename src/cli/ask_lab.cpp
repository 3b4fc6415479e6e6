#include "cli/ask_lab.hpp"

#include "lab/control.hpp"

namespace podlab::cli {

Result<lab::LabResponse> askRunningLab(const Context& context, const lab::LabRequest& request) {
  auto paths = lab::labPaths(context.lab);
  if (!paths) return paths.status();
  if (!lab::runningLab(*paths)) {
    return Status(Code::kUnavailable, "the lab \"" + context.lab +
                                          "\" is not running; start it with: podlab up" +
                                          nameFlag(context));
  }
  return lab::askLab(paths->controlSocket(), request);
}

}  // namespace podlab::cli
