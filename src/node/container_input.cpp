#include "node/container_input.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <asio.hpp>

#include "common/spawn.hpp"
#include "node/program_input.hpp"
#include "node/shim.hpp"

namespace podlab::node {
namespace {

class ShimInput final : public ContainerInput {
 public:
  ShimInput(const asio::any_io_executor& executor, UniqueFd input, ProcessIdentity shim)
      : input_(executor), shim_(std::move(shim)) {
    input_.open(std::move(input));
  }

  Co<Status> write(std::string data) override { co_return co_await input_.write(std::move(data)); }
  Status resize(int rows, int columns) override { return input_.resize(rows, columns); }
  void end() override {
    input_.close();
    (void)signalProcess(shim_, kShimEndInput);
  }

 private:
  ProgramInput input_;
  ProcessIdentity shim_;
};

}  // namespace

Result<std::unique_ptr<ContainerInput>> openContainerInput(const asio::any_io_executor& executor,
                                                           const ProcessIdentity& shim) {
  const UniqueFd pidfd = openPidfd(shim.pid);
  // First the descriptor, then the check: it stays with the process that it was opened for.
  const Liveness found = livenessOf(shim);
  if (found == Liveness::kGone) return Status(Code::kNotFound, "the container does not run");
  if (!pidfd || found == Liveness::kUnknown)
    return Status(Code::kUnavailable, "cannot tell whether the container's shim runs; try again");
  UniqueFd input(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), kShimInput, 0)));
  if (!input && errno == EBADF) return Status(Code::kNotFound, "the container's stdin has ended");
  if (!input) {
    const Status why = errnoStatus(errno, "cannot take the container's stdin from its shim");
    return Status(Code::kUnavailable,
                  why.message() +
                      ": pidfd_getfd needs Linux 5.6, and a host that lets the agent "
                      "trace its own processes (ptrace)");
  }
  return std::unique_ptr<ContainerInput>(
      std::make_unique<ShimInput>(executor, std::move(input), shim));
}

}  // namespace podlab::node
