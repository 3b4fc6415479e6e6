#include "cli/lab_launch.hpp"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/executable.hpp"
#include "cli/session.hpp"
#include "common/filesystem.hpp"
#include "common/unix_socket.hpp"
#include "lab/isolate.hpp"
#include "lab/listen.hpp"
#include "net/link.hpp"
#include "net/netlink_socket.hpp"
#include "net/routing.hpp"

namespace podlab::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

/// The socket of the API: on the port of the last time, or on any.
Result<UniqueFd> apiSocket(Filesystem& files, const lab::LabPaths& paths) {
  if (auto last = files.readFile(paths.apiAddress())) {
    const auto colon = last->rfind(':');
    const int port = colon == std::string::npos ? 0 : std::atoi(last->c_str() + colon + 1);
    if (port > 0) {
      auto socket = lab::listenOn("127.0.0.1", static_cast<std::uint16_t>(port));
      if (socket || !socket.status().is(Code::kAlreadyExists)) return socket;
    }
  }
  return lab::listenOn("127.0.0.1", 0);
}

Co<int> pollUntil(Clock& clock, std::function<bool()> holds, Duration patience) {
  const MonoTime deadline = clock.now() + patience;
  while (!holds()) {
    if (clock.now() >= deadline) co_return kFailed;
    co_await clock.sleepFor(std::chrono::milliseconds(5));
  }
  co_return kDone;
}

}  // namespace

Result<std::vector<lab::HostNetwork>> hostNetworks() {
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto links = net::listLinks(*socket);
  if (!links) return links.status();
  const auto nameOf = [&links](int index) {
    for (const auto& link : *links) {
      if (link.index == index) return link.name;
    }
    return std::string("?");
  };
  std::vector<lab::HostNetwork> networks;
  auto addresses = net::listAddresses(*socket);
  if (!addresses) return addresses.status();
  for (const auto& address : *addresses) {
    if (address.linkLocal) continue;
    const net::Cidr range(address.address, address.prefix);
    networks.push_back({range, "address of link " + nameOf(address.linkIndex)});
  }
  for (const auto family : {net::Family::kV4, net::Family::kV6}) {
    auto routes = net::listRoutes(*socket, family);
    if (!routes) return routes.status();
    for (const auto& route : *routes) {
      if (route.destination.prefix() == 0) continue;
      networks.push_back({route.destination, "route via link " + nameOf(route.linkIndex)});
    }
  }
  return networks;
}

Result<pid_t> launchLab(const Context& context, const lab::LabPaths& paths) {
  auto executable = executablePath();
  if (!executable) return executable.status();
  auto files = makeRealFilesystem();
  if (Status status = files->createDirectories(paths.root + "/log"); !status.ok()) return status;
  auto socket = apiSocket(*files, paths);
  if (!socket) return socket.status();
  auto port = lab::listeningPort(*socket);
  if (!port) return port.status();
  if (Status status =
          files->writeFileAtomic(paths.apiAddress(), "127.0.0.1:" + std::to_string(*port), 0644);
      !status.ok())
    return status;
  auto admin = listenOnUnixSocket(paths.adminSocket());
  if (!admin) return admin.status();

  auto images = lab::imageStoreRoot();
  if (!images) return images.status();
  lab::IsolatedSpec spec;
  spec.argv = {*executable,     "lab",
               "--state-dir",   paths.root,
               "--image-store", *images,
               "--api-fd",      std::to_string(socket->get()),
               "--admin-fd",    std::to_string(admin->get()),
               "--log-level",   context.logLevel};
  spec.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET;
  if (::geteuid() != 0) {
    spec.namespaces |= CLONE_NEWUSER;
    spec.mapRoot = true;
  }
  spec.newSession = true;
  spec.logFile = paths.log("lab");
  spec.keepFds = {socket->get(), admin->get()};
  return lab::startIsolated(spec);
}

int waitUntil(const std::function<bool()>& holds, Duration patience) {
  return runCoroutine(
      [&](asio::io_context&, Clock& clock) { return pollUntil(clock, holds, patience); });
}

std::string endOfLog(Filesystem& files, const std::string& log) {
  const std::string last = lastLineOf(files.readFile(log).valueOr(""));
  return log + (last.empty() ? " is empty; is its disk full?" : " ends with: " + last);
}

int waitForAnswer(const lab::LabPaths& paths, pid_t process, Result<lab::LabResponse>& answer) {
  lab::LabRequest request;
  request.set_status(true);
  bool ended = false;
  const auto settled = [&] {
    ended = process > 0 && ::waitpid(process, nullptr, WNOHANG) == process;
    answer = lab::askLab(paths.controlSocket(), request);
    return ended || answer.ok();
  };
  const int code = waitUntil(settled, kPatience);
  return ended ? kFailed : code;
}

Status launchServer(const Context& context, const lab::LabPaths& paths,
                    const std::string& advertise) {
  auto executable = executablePath();
  if (!executable) return executable.status();
  auto files = makeRealFilesystem();
  if (Status status = files->createDirectories(paths.root + "/log"); !status.ok()) return status;
  lab::IsolatedSpec spec;
  spec.argv = {*executable, "server", "--name", context.lab, "--log-level", context.logLevel};
  if (!advertise.empty()) spec.argv.insert(spec.argv.end(), {"--advertise", advertise});
  spec.newSession = true;
  spec.logFile = paths.log("server");
  const auto started = lab::startIsolated(spec);
  if (!started) return started.status();
  Result<lab::LabResponse> answer = lab::LabResponse();
  const int code = waitForAnswer(paths, *started, answer);
  if (code == kInterrupted) return Status(Code::kCanceled, "interrupted");
  if (code == kDone) return {};
  const std::string end = endOfLog(*files, paths.log("server"));
  const bool taken = end.find("EADDRINUSE") != std::string::npos;
  return Status(Code::kUnavailable,
                "the server did not start: " + end +
                    (taken ? "; give it another port: --advertise HOST:PORT" : ""));
}

}  // namespace podlab::cli
