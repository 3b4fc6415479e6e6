#include "node/simulated_runtime.hpp"

#include <csignal>
#include <set>
#include <utility>

#include "common/sync.hpp"

namespace podlab::node {

struct SimulatedRuntime::State {
  struct Instance {
    std::unique_ptr<const ContainerSpec> spec;  ///< unless it is forgotten
    ContainerScript script;
    ContainerStatus status;
    Clock::TimerId exitTimer = 0;
  };

  explicit State(Clock& c) : clock(c) {}

  void end(const std::string& id, int exitCode) {
    auto it = instances.find(id);
    if (it == instances.end() || it->second.status.state != ContainerState::kRunning) return;
    auto& status = it->second.status;
    clock.cancel(std::exchange(it->second.exitTimer, 0));
    status.state = ContainerState::kExited;
    status.exitCode = exitCode;
    status.finishedAt = clock.wallNow();
    status.pid = 0;
    notify(id);
  }
  void notify(const std::string& id) {
    if (listener) listener(id);
  }
  void endIn(const std::string& id, Duration delay, int exitCode) {
    auto& instance = instances.at(id);
    clock.cancel(std::exchange(instance.exitTimer, 0));
    if (delay <= Duration::zero()) {
      end(id, exitCode);
      return;
    }
    // The timers are cancelled before this dies.
    instance.exitTimer = clock.scheduleIn(delay, [this, id, exitCode] { end(id, exitCode); });
  }

  /// nullptr when it does not run.
  const Instance* running(const std::string& id) const {
    const auto it = instances.find(id);
    const bool runs = it != instances.end() && it->second.status.state == ContainerState::kRunning;
    return runs ? &it->second : nullptr;
  }

  Clock& clock;
  bool keepsSpecs = true;
  std::function<ContainerScript(const ContainerSpec&)> script;
  std::function<ExecScript(const std::string&, const ExecSpec&)> execScript;
  std::function<void(const ContainerSpec&)> observer;
  std::function<void(const std::string&, int)> signalObserver;
  std::function<void(std::string)> listener;
  std::map<std::string, Instance> instances;
  std::set<std::string> pidNamespaces;
  std::size_t starts = 0;
  int lastPid = 1;
};

namespace {

class SimulatedExec final : public ExecSession {
 public:
  SimulatedExec(Clock& clock, ExecScript script) : clock_(clock), script_(std::move(script)) {}

  Co<Result<Output>> read() override {
    Output output;
    if (!script_.out.empty()) {
      output.data = std::exchange(script_.out, {});
      co_return output;
    }
    if (script_.takes > Duration::zero())
      co_await clock_.sleepFor(std::exchange(script_.takes, {}));
    output.exitCode = script_.exitCode;
    co_return output;
  }
  Co<Status> writeStdin(std::string) override { co_return Status(); }
  void closeStdin() override {}
  Status resize(int, int) override { return {}; }

 private:
  Clock& clock_;
  ExecScript script_;
};

class SimulatedInput final : public ContainerInput {
 public:
  SimulatedInput(std::shared_ptr<std::map<std::string, std::string>> inputs, std::string id)
      : inputs_(std::move(inputs)), id_(std::move(id)) {}

  Co<Status> write(std::string data) override {
    (*inputs_)[id_] += data;
    co_return Status();
  }
  Status resize(int rows, int columns) override {
    (*inputs_)[id_] += "<" + std::to_string(rows) + "x" + std::to_string(columns) + ">";
    return {};
  }
  void end() override { (*inputs_)[id_] += "<end>"; }

 private:
  std::shared_ptr<std::map<std::string, std::string>> inputs_;
  std::string id_;
};

Status unknown(const std::string& id) {
  return {Code::kNotFound, "container " + id + " does not exist"};
}

}  // namespace

SimulatedRuntime::SimulatedRuntime(Clock& clock) : state_(std::make_shared<State>(clock)) {}

SimulatedRuntime::~SimulatedRuntime() {
  for (auto& [id, instance] : state_->instances) state_->clock.cancel(instance.exitTimer);
}

void SimulatedRuntime::setScript(std::function<ContainerScript(const ContainerSpec&)> script) {
  state_->script = std::move(script);
}

void SimulatedRuntime::setExecScript(
    std::function<ExecScript(const std::string&, const ExecSpec&)> script) {
  state_->execScript = std::move(script);
}

void SimulatedRuntime::exit(const std::string& id, int exitCode) {
  state_->end(id, exitCode);
}

void SimulatedRuntime::reboot() {
  for (auto& [id, instance] : state_->instances) state_->clock.cancel(instance.exitTimer);
  state_->instances.clear();
  state_->pidNamespaces.clear();
}

void SimulatedRuntime::forgetSpecs() {
  state_->keepsSpecs = false;
}

const ContainerSpec* SimulatedRuntime::running(const std::string& id) const {
  const auto* instance = state_->running(id);
  return instance == nullptr ? nullptr : instance->spec.get();
}

std::size_t SimulatedRuntime::runningCount() const {
  std::size_t count = 0;
  for (const auto& [id, instance] : state_->instances)
    count += instance.status.state == ContainerState::kRunning;
  return count;
}

std::size_t SimulatedRuntime::starts() const {
  return state_->starts;
}

void SimulatedRuntime::onStart(std::function<void(const ContainerSpec&)> observer) {
  state_->observer = std::move(observer);
}

void SimulatedRuntime::onSignal(std::function<void(const std::string&, int)> observer) {
  state_->signalObserver = std::move(observer);
}

Co<Status> SimulatedRuntime::start(ContainerSpec spec) {
  auto state = state_;
  if (state->observer) state->observer(spec);
  std::string id = spec.id;
  if (state->instances.contains(id))
    co_return Status(Code::kAlreadyExists, "container " + id + " exists");
  State::Instance instance;
  if (state->script) instance.script = state->script(spec);
  ContainerScript script = instance.script;
  instance.status.id = id;
  instance.status.podUid = spec.podUid;
  instance.status.name = spec.name;
  instance.status.stopSignal = spec.stopSignal;
  if (state->keepsSpecs) instance.spec = std::make_unique<const ContainerSpec>(std::move(spec));
  state->instances.emplace(id, std::move(instance));
  if (script.startTakes > Duration::zero()) co_await state->clock.sleepFor(script.startTakes);
  auto it = state->instances.find(id);
  if (it == state->instances.end())
    co_return Status(Code::kInternal, "container " + id + " was removed while it started");
  if (!script.startFails.ok()) {
    state->instances.erase(it);
    co_return script.startFails;
  }
  auto& status = it->second.status;
  status.state = ContainerState::kRunning;
  status.startedAt = state->clock.wallNow();
  status.pid = ++state->lastPid;
  ++state->starts;
  state->notify(id);
  if (script.runsFor) state->endIn(id, *script.runsFor, script.exitCode);
  co_return Status();
}

Co<Status> SimulatedRuntime::kill(std::string id, int signal) {
  const auto* instance = state_->running(id);
  if (instance == nullptr) co_return unknown(id);
  if (state_->signalObserver) state_->signalObserver(id, signal);
  const auto& script = instance->script;
  if (signal == SIGKILL) {
    state_->end(id, 128 + SIGKILL);
  } else if (signal == instance->status.stopSignal && !script.ignoresTerm) {
    state_->endIn(id, script.stopTakes, 128 + signal);
  }
  co_return Status();
}

Co<Status> SimulatedRuntime::remove(std::string id) {
  auto it = state_->instances.find(id);
  if (it != state_->instances.end()) {
    state_->clock.cancel(it->second.exitTimer);
    state_->instances.erase(it);
  }
  co_return Status();
}

Co<Result<std::vector<ContainerStatus>>> SimulatedRuntime::list() {
  std::vector<ContainerStatus> all;
  for (const auto& [id, instance] : state_->instances) all.push_back(instance.status);
  co_return all;
}

Co<Result<ContainerStatus>> SimulatedRuntime::status(std::string id) {
  auto it = state_->instances.find(id);
  if (it == state_->instances.end()) co_return unknown(id);
  co_return it->second.status;
}

void SimulatedRuntime::onChange(std::function<void(std::string id)> listener) {
  state_->listener = std::move(listener);
}

Co<Result<std::unique_ptr<ExecSession>>> SimulatedRuntime::exec(std::string id, ExecSpec spec) {
  if (state_->running(id) == nullptr) co_return unknown(id);
  ExecScript script;
  if (state_->execScript) script = state_->execScript(id, spec);
  std::unique_ptr<ExecSession> session =
      std::make_unique<SimulatedExec>(state_->clock, std::move(script));
  co_return session;
}

Result<std::unique_ptr<ContainerInput>> SimulatedRuntime::openInput(const std::string& id) {
  if (state_->running(id) == nullptr) return unknown(id);
  return std::unique_ptr<ContainerInput>(std::make_unique<SimulatedInput>(inputs_, id));
}

std::string SimulatedRuntime::inputOf(const std::string& id) const {
  auto found = inputs_->find(id);
  return found == inputs_->end() ? "" : found->second;
}

Co<Result<std::string>> SimulatedRuntime::createPidNamespace(std::string podUid) {
  state_->pidNamespaces.insert(podUid);
  co_return "simulated/" + podUid + "/pid";
}

Co<Status> SimulatedRuntime::removePidNamespace(std::string podUid) {
  state_->pidNamespaces.erase(podUid);
  co_return Status();
}

Co<Result<std::string>> SimulatedRuntime::version() {
  co_return std::string("simulated://1.0");
}

}  // namespace podlab::node
