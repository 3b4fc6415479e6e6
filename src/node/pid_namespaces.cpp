#include "node/pid_namespaces.hpp"

#include <signal.h>

namespace podlab::node {
namespace {

std::string pathOf(const ProcessIdentity& init) {
  return "/proc/" + std::to_string(init.pid) + "/ns/pid";
}

}  // namespace

/// nullopt when there is none; an error is not to be taken for that.
Result<std::optional<ProcessIdentity>> PidNamespaces::readInit(const std::string& podUid) {
  auto text = files_.readFile(file(podUid));
  if (text) return parseIdentity(*text);
  if (text.status().is(Code::kNotFound)) return std::optional<ProcessIdentity>();
  return text.status();
}

Co<Result<std::string>> PidNamespaces::create(std::string podUid) {
  const auto earlier = readInit(podUid);
  if (!earlier) co_return earlier.status();
  if (*earlier) {
    const Liveness found = livenessOf(**earlier);
    if (found == Liveness::kAlive) co_return pathOf(**earlier);
    if (found == Liveness::kUnknown) {
      co_return Status(Code::kExhausted, "it cannot be told whether the pod's PID namespace " +
                                             file(podUid) + " is there");
    }
    Status removed = files_.removeFile(file(podUid));
    if (!removed) co_return removed;
  }
  ShimRequest request;
  request.kind = ShimRequest::Kind::kPidNamespace;
  request.folder = file(podUid);
  auto reply = co_await shim_.request(std::move(request));
  if (!reply) co_return reply.status();
  const auto init = parseIdentity(*reply);
  if (!init) co_return Status(Code::kInternal, "malformed reply of the shim: " + *reply);
  co_return pathOf(*init);
}

Status PidNamespaces::remove(const std::string& podUid) {
  const auto init = readInit(podUid);
  if (!init) return init.status();
  if (*init) {
    Status killed = signalProcess(**init, SIGKILL);
    if (!killed && !killed.is(Code::kNotFound)) return killed;
  }
  return files_.removeFile(file(podUid));
}

}  // namespace podlab::node
