#include "node/runtime_program.hpp"

#include <utility>

#include "common/log.hpp"
#include "common/sealed_program.hpp"

namespace podlab::node {
namespace {

std::string baseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

RuntimeProgram::RuntimeProgram(ProcessRunner& processes, Filesystem& files, std::string name,
                               std::string stateFolder, Duration timeout)
    : processes_(processes),
      files_(files),
      name_(std::move(name)),
      stateFolder_(std::move(stateFolder)),
      timeout_(timeout) {}

void RuntimeProgram::seal() {
  auto sealed = sealProgram(name_);
  if (sealed) {
    sealed_ = std::move(*sealed);
  } else {
    logInfo("runtime_not_sealed", {{"runtime", name_}, {"reason", sealed.status()}});
  }
}

bool RuntimeProgram::isCrun() const {
  return baseName(name_) == "crun";
}

bool RuntimeProgram::entersCgroups() const {
  return isCrun();
}

std::vector<std::string> RuntimeProgram::command(const std::string& name) const {
  std::vector<std::string> words{name_, "--root", stateFolder_};
  // What the runtime makes is born in the cgroups that it is started in.
  if (entersCgroups()) words.emplace_back("--cgroup-manager=disabled");
  words.push_back(name);
  return words;
}

Co<Status> RuntimeProgram::removeState(std::string id) {
  const std::string state = stateFolder_ + "/" + id;
  if (!files_.exists(state)) co_return Status();
  // crun kills by its copy of config.json, which is the first that it removes: one that died over
  // that leaves a state which --force refuses for ever. It removes an ended container without.
  std::string error;
  for (const bool force : {true, false}) {
    auto words = command("delete");
    if (force) words.emplace_back("--force");
    words.push_back(id);
    auto output = co_await run(std::move(words));
    if (!output) co_return output.status();
    if (output->exitCode == 0 || !files_.exists(state)) co_return Status();
    if (force) error = output->err;
  }
  co_return Status(Code::kInternal, "cannot delete container " + id + ": " + error);
}

Co<Result<std::string>> RuntimeProgram::version() {
  std::vector<std::string> words{name_, "--version"};
  auto output = co_await run(std::move(words));
  if (!output) co_return output.status();
  // "crun version 1.8.1\n..."
  const std::string mark = " version ";
  const auto begin = output->out.find(mark);
  if (output->exitCode != 0 || begin == std::string::npos)
    co_return Status(Code::kInternal, name_ + " --version failed: " + output->err);
  const auto end = output->out.find_first_of(" \n", begin + mark.size());
  co_return baseName(name_) + "://" +
      output->out.substr(begin + mark.size(), end - begin - mark.size());
}

Co<Result<ProcessOutput>> RuntimeProgram::run(std::vector<std::string> command) {
  ProcessSpec spec;
  spec.argv = std::move(command);
  spec.program = sealed_.get();
  spec.timeout = timeout_;
  auto output = co_await processes_.run(std::move(spec));
  if (output && output->timedOut)
    co_return Status(Code::kTimeout, name_ + " did not end within " + formatDuration(timeout_));
  co_return output;
}

}  // namespace podlab::node
