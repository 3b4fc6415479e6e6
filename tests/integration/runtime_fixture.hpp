#pragma once
#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include <asio.hpp>

#include "common/blocking.hpp"
#include "common/filesystem.hpp"
#include "common/process.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "node/container_log_files.hpp"
#include "node/host_image.hpp"
#include "node/oci_runtime.hpp"

namespace podlab {
inline void PrintTo(const Status& status, std::ostream* out) {
  *out << status.toString();
}
}  // namespace podlab

namespace podlab::node {

/// An agent's runtime on a folder of its own, in the namespaces that RuntimeWorld has made.
class RuntimeFixture {
 public:
  explicit RuntimeFixture(std::string folder, OciRuntimeOptions options = {})
      : folder_(std::move(folder)),
        clock_(makeRealClock(io_.get_executor())),
        files_(makeRealFilesystem()),
        processes_(makeProcessRunner(io_.get_executor(), *clock_)) {
    options.stateFolder = folder_ + "/state";
    cgroups_ = options.cgroups;
    options.diskFolder = folder_ + "/disk";
    runtime_ = makeOciRuntime(io_.get_executor(), *clock_, *files_, *processes_, *pool_,
                              std::move(options));
  }
  ~RuntimeFixture() {
    runtime_.reset();
    io_.restart();
    io_.poll();
  }

  /// Runs the loop until the task is done; what it throws fails the test.
  template <typename T>
  T run(Co<T> task) {
    std::optional<T> result;
    std::exception_ptr failure;
    bool done = false;
    asio::co_spawn(io_, into(std::move(task), result), [&](std::exception_ptr error) {
      failure = std::move(error);
      done = true;
    });
    io_.restart();
    while (!done) io_.run_one();
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
  }

  /// A container of the host image that runs `argv`, in this process's network, IPC and UTS
  /// namespaces.
  ContainerSpec spec(const std::string& id, std::vector<std::string> argv) {
    ContainerSpec spec;
    spec.id = id;
    spec.podUid = "pod";
    spec.name = id;
    spec.image = *run(images_.resolve("host"));
    spec.env = spec.image.env;
    spec.argv = std::move(argv);
    spec.logPath = folder_ + "/logs/" + id + ".log";
    return spec;
  }

  /// Starts all at once.
  std::vector<Status> startAll(const std::vector<ContainerSpec>& specs) {
    std::vector<std::optional<Status>> started(specs.size());
    std::size_t left = specs.size();
    for (std::size_t i = 0; i < specs.size(); ++i) {
      asio::co_spawn(io_, into(runtime_->start(specs[i]), started[i]),
                     [&left](std::exception_ptr) { --left; });
    }
    io_.restart();
    while (left > 0) io_.run_one();
    std::vector<Status> statuses;
    for (auto& status : started) statuses.push_back(status.value());
    return statuses;
  }

  /// Begins to start a container.
  void startLater(ContainerSpec spec) {
    auto ignored = std::make_shared<std::optional<Status>>();
    asio::co_spawn(io_, into(runtime_->start(std::move(spec)), *ignored),
                   [ignored](std::exception_ptr) {});
  }
  /// One step of the loop, or a moment's wait when what the caller waits for has come already.
  void step() {
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds(10));
  }

  ContainerStatus waitForExit(const std::string& id) {
    for (;;) {
      auto status = run(runtime_->status(id));
      EXPECT_TRUE(status.ok()) << status.status().toString();
      if (!status || status->state == ContainerState::kExited)
        return status ? *status : ContainerStatus();
      step();
    }
  }

  /// The log's text: the contents of the entries of one stream ("" for both).
  std::string output(const std::string& id, const std::string& stream = "") {
    const std::string path = folder_ + "/logs/" + id + ".log";
    Result<std::string> log = std::string();
    for (const auto number : logFileNumbers(path, *files_->listDirectory(folder_ + "/logs"))) {
      auto file = files_->readFile(logFileName(path, number));
      EXPECT_TRUE(file.ok()) << file.status().toString();
      if (file) *log += *file;
    }
    std::string text;
    for (std::size_t at = 0; log && at < log->size();) {
      const std::size_t end = log->find('\n', at);
      const std::string line = log->substr(at, end - at);
      at = end + 1;
      const std::size_t name = line.find(' ') + 1;
      if (line.size() < name + 9) continue;  // torn
      if (!stream.empty() && line.compare(name, stream.size(), stream) != 0) continue;
      text += line.substr(name + 9);
      if (line[name + 7] == 'F') text += '\n';
    }
    return text;
  }

  struct ExecResult {
    std::string out;
    std::string err;
    int exitCode = -1;
  };
  Result<ExecResult> exec(const std::string& id, ExecSpec spec, std::string input = "") {
    return run(execNow(id, std::move(spec), std::move(input)));
  }

  const std::string& folder() const { return folder_; }
  OciRuntime& runtime() { return *runtime_; }
  const NodeCgroups& cgroups() const { return cgroups_; }
  /// The container's folder in the hierarchy of a controller.
  std::string cgroupOf(const std::string& id, const char* controller) const {
    return cgroups_.cgroups.of(controller)->base + "/" + cgroups_.container("pod", id);
  }
  asio::any_io_executor executor() { return io_.get_executor(); }
  Filesystem& files() { return *files_; }
  Clock& clock() { return *clock_; }
  HostImageStore& images() { return images_; }

 private:
  template <typename T>
  static Co<void> into(Co<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }

  Co<Result<ExecResult>> execNow(std::string id, ExecSpec spec, std::string input) {
    auto session = co_await runtime_->exec(id, spec);
    if (!session) co_return session.status();
    if (!input.empty()) (void)co_await (*session)->writeStdin(input);
    if (spec.stdin) (*session)->closeStdin();
    ExecResult result;
    for (;;) {
      auto output = co_await (*session)->read();
      if (!output) co_return output.status();
      if (output->exitCode) {
        result.exitCode = *output->exitCode;
        co_return result;
      }
      (output->isStderr ? result.err : result.out) += output->data;
    }
  }

  std::string folder_;
  asio::io_context io_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Filesystem> files_;
  std::unique_ptr<ProcessRunner> processes_;
  std::unique_ptr<BlockingPool> pool_ = makeThreadPool(1);
  HostImageStore images_;
  NodeCgroups cgroups_;
  std::unique_ptr<OciRuntime> runtime_;
};

}  // namespace podlab::node
