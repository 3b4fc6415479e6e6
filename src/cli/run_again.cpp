#include "cli/run_again.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "cli/executable.hpp"
#include "lab/isolate.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {

Result<int> runAgainAsRoot() {
  auto executable = executablePath();
  if (!executable) return executable.status();
  // Root's labs are elsewhere.
  auto root = lab::labsRoot();
  if (!root) return root.status();
  ::setenv("PODLAB_STATE_DIR", root->c_str(), 1);

  lab::IsolatedSpec spec;
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  spec.argv = splitList({std::istreambuf_iterator<char>(in), {}}, '\0');
  if (spec.argv.empty()) return Status(Code::kInternal, "/proc/self/cmdline is empty");
  spec.argv.front() = *executable;
  spec.namespaces = CLONE_NEWUSER;
  spec.mapRoot = true;
  spec.dieWithParent = true;
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const auto child = lab::startIsolated(spec);
  if (!child) return child.status();
  int status = 0;
  while (::waitpid(*child, &status, WNOHANG) == 0) {
    int signal = 0;
    ::sigwait(&signals, &signal);
    if (signal == SIGTERM) ::kill(*child, SIGTERM);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace podlab::cli
