#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "node/container_runtime.hpp"

namespace podlab::node {

/// How a simulated container behaves from its start on.
struct ContainerScript {
  Duration startTakes{};
  Status startFails{};                ///< unless OK
  std::optional<Duration> runsFor{};  ///< then it exits by itself with `exitCode`
  int exitCode = 0;
  Duration stopTakes{};  ///< from SIGTERM to its exit with 143
  bool ignoresTerm = false;
};

struct ExecScript {
  int exitCode = 0;
  std::string out{};
  Duration takes{};
};

/// Containers without processes, for hollow nodes and tests. What it holds stands for the host: it
/// outlives agents.
class SimulatedRuntime final : public ContainerRuntime {
 public:
  explicit SimulatedRuntime(Clock& clock);
  ~SimulatedRuntime() override;

  /// What containers do; unset: they run until they are killed.
  void setScript(std::function<ContainerScript(const ContainerSpec&)> script);
  void setExecScript(std::function<ExecScript(const std::string& id, const ExecSpec&)> script);
  /// Ends a running container as if by itself.
  void exit(const std::string& id, int exitCode);
  /// The host reboots: all containers are gone.
  void reboot();

  /// What containers are started with is not kept from now on: thousands of nodes need the memory.
  void forgetSpecs();
  /// What a running container was started with; nullptr when it does not run, or was forgotten.
  const ContainerSpec* running(const std::string& id) const;
  std::size_t runningCount() const;
  /// Starts and exits of all containers since the begin.
  std::size_t starts() const;
  /// What came into a container's stdin, with "<ROWSxCOLUMNS>" and "<end>".
  std::string inputOf(const std::string& id) const;
  /// Called at each start that is asked for, before it happens.
  void onStart(std::function<void(const ContainerSpec&)> observer);
  /// Called at each signal that is sent to a running container.
  void onSignal(std::function<void(const std::string& id, int signal)> observer);

  Co<Status> start(ContainerSpec spec) override;
  Co<Status> kill(std::string id, int signal) override;
  Co<Status> remove(std::string id) override;
  Co<Result<std::vector<ContainerStatus>>> list() override;
  Co<Result<ContainerStatus>> status(std::string id) override;
  void onChange(std::function<void(std::string id)> listener) override;
  Co<Result<std::unique_ptr<ExecSession>>> exec(std::string id, ExecSpec spec) override;
  Result<std::unique_ptr<ContainerInput>> openInput(const std::string& id) override;
  Co<Result<std::string>> createPidNamespace(std::string podUid) override;
  Co<Status> removePidNamespace(std::string podUid) override;
  Co<Result<std::string>> version() override;

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::shared_ptr<std::map<std::string, std::string>> inputs_ =
      std::make_shared<std::map<std::string, std::string>>();
};

}  // namespace podlab::node
