#include "cli/port_forward_command.hpp"

#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>

#include "agent_rpc.pb.h"

#include "cli/pod_containers.hpp"
#include "cli/resources.hpp"
#include "common/sync.hpp"
#include "transport/tcp.hpp"
#include "transport/tunnel.hpp"

namespace podlab::cli {
namespace {

/// Before accept() is tried again after it failed, for want of a descriptor for instance.
constexpr Duration kAcceptRetry = std::chrono::milliseconds(100);

struct PortForwardOptions {
  std::vector<std::string> arguments;  ///< POD, then ports
  std::string ns = "default";
  std::vector<std::string> addresses{"localhost"};
};

std::optional<std::uint16_t> parsePort(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// One listening socket and where its connections go.
struct Forward {
  std::unique_ptr<Listener> listener;
  PortPair ports;
};

class PortForward {
 public:
  PortForward(Session& session, api::ResourceId pod)
      : session_(session), pod_(std::move(pod)), tasks_(session.io.get_executor()) {}

  /// Listens on each address; at least one must be free.
  Status listen(PortPair ports, const std::vector<std::string>& addresses) {
    std::string failures;
    for (const auto& address : addresses) {
      auto listener = transport::listenTcp(session_.io.get_executor(),
                                           transport::joinHostPort(address, ports.local));
      if (!listener) {
        failures += (failures.empty() ? "" : " ") + listener.status().message();
        continue;
      }
      const std::string shown = (*listener)->address();
      // The further addresses listen on the port that the first was given.
      if (const auto bound = transport::splitHostPort(shown)) ports.local = bound->port;
      std::printf("Forwarding from %s -> %u\n", shown.c_str(), ports.remote);
      forwards_.push_back({std::move(*listener), ports});
    }
    std::fflush(stdout);
    if (!failures.empty()) {
      std::fprintf(stderr,
                   "Unable to listen on port %u: Listeners failed to create with the following "
                   "errors: [%s]\n",
                   ports.local, failures.c_str());
    }
    return forwards_.empty() ? Status(Code::kUnavailable, "no address is free") : Status();
  }

  /// Until the pod's network is gone.
  Co<int> run() {
    auto life = co_await openStream(session_, "portforward", rpc::encode(request(std::nullopt)));
    if (!life) co_return failRequest(life.status());
    for (auto& forward : forwards_) tasks_.spawn("accept", acceptAll(forward));
    auto end = co_await (*life)->receive();
    for (auto& forward : forwards_) forward.listener->close();
    co_await tasks_.cancelAndJoin();
    if (!end && !end.status().is(Code::kEndOfStream)) co_return failRequest(end.status());
    co_return fail(Status(Code::kUnavailable, "lost connection to pod"));
  }

 private:
  rpc::PortForwardRequest request(std::optional<std::uint16_t> port) const {
    rpc::PortForwardRequest request;
    request.set_namespace_(pod_.ns);
    request.set_pod(pod_.name);
    if (port) request.set_port(*port);
    return request;
  }

  Co<void> acceptAll(Forward& forward) {
    for (;;) {
      auto connection = co_await forward.listener->accept();
      if (connection) {
        std::printf("Handling connection for %u\n", forward.ports.local);
        std::fflush(stdout);
        tasks_.spawn("connection", carry(std::move(*connection), forward.ports));
        continue;
      }
      if (connection.status().is(Code::kCanceled)) co_return;
      std::fprintf(stderr, "error: %s\n", connection.status().message().c_str());
      co_await session_.clock.sleepFor(kAcceptRetry);
    }
  }

  Co<void> carry(std::unique_ptr<ByteStream> connection, PortPair ports) {
    auto stream = co_await openStream(session_, "portforward", rpc::encode(request(ports.remote)));
    const Status status =
        stream ? co_await rpc::tunnel(*connection, **stream) : Status(stream.status());
    if (status) co_return;
    std::fprintf(stderr, "error: an error occurred forwarding %u -> %u: %s\n", ports.local,
                 ports.remote, status.message().c_str());
  }

  Session& session_;
  api::ResourceId pod_;
  TaskGroup tasks_;
  std::vector<Forward> forwards_;
};

Co<int> portForward(Session& session, const PortForwardOptions& options) {
  auto found = co_await findPod(session, options.arguments[0], options.ns);
  if (!found) co_return failRequest(found.status());
  const auto& pod = **found;
  api::ResourceId id = idOf(Found{&api::kindFor<corev1::Pod>(), *found});
  if (pod.status().phase() != "Running") {
    co_return fail(Status(Code::kUnavailable,
                          "unable to forward port because pod is not running. Current status=" +
                              pod.status().phase()));
  }
  std::vector<PortPair> pairs;
  for (std::size_t i = 1; i < options.arguments.size(); ++i) {
    auto pair = parsePortPair(options.arguments[i], pod);
    if (!pair) co_return fail(pair.status());
    pairs.push_back(*pair);
  }
  std::vector<std::string> addresses;
  for (const auto& address : options.addresses) {
    if (address == "localhost") {
      addresses.insert(addresses.end(), {"127.0.0.1", "::1"});
    } else {
      addresses.push_back(address);
    }
  }
  PortForward forward(session, std::move(id));
  bool listening = false;
  for (const auto& pair : pairs) listening = forward.listen(pair, addresses).ok() || listening;
  if (!listening) {
    std::string ports;
    for (const auto& pair : pairs) {
      ports += (ports.empty() ? "{" : " {") + std::to_string(pair.local) + " " +
               std::to_string(pair.remote) + "}";
    }
    co_return fail(Status(Code::kUnavailable,
                          "unable to listen on any of the requested ports: [" + ports + "]"));
  }
  co_return co_await forward.run();
}

}  // namespace

Result<PortPair> parsePortPair(const std::string& text, const corev1::Pod& pod) {
  const auto colon = text.find(':');
  const std::string remote = colon == std::string::npos ? text : text.substr(colon + 1);
  PortPair pair;
  if (const auto number = parsePort(remote)) {
    pair.remote = *number;
  } else {
    for (const auto& container : pod.spec().containers()) {
      for (const auto& port : container.ports()) {
        if (!remote.empty() && port.name() == remote)
          pair.remote = static_cast<std::uint16_t>(port.containerport());
      }
    }
    if (pair.remote == 0) {
      const bool isName = remote.find_first_not_of("0123456789") != std::string::npos &&
                          remote.find(':') == std::string::npos;
      return Status(
          Code::kBadRequest,
          isName ? "Pod '" + pod.metadata().name() + "' does not have a named port '" + remote + "'"
                 : "\"" + text + "\" is not a port from 1 to 65535, LOCAL:REMOTE or " + ":REMOTE");
    }
  }
  if (colon == std::string::npos) {
    pair.local = pair.remote;
  } else if (colon > 0) {
    const auto local = parsePort(text.substr(0, colon));
    if (!local)
      return Status(Code::kBadRequest, "\"" + text + "\": \"" + text.substr(0, colon) +
                                           "\" is not a local port from 1 to 65535");
    pair.local = *local;
  }
  return pair;
}

void addPortForwardCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<PortForwardOptions>();
  auto* command = app.add_subcommand(
      "port-forward", "Reach ports of a pod from this host: port-forward POD [LOCAL:]REMOTE...");
  command
      ->add_option("POD", options->arguments,
                   "POD, or TYPE/NAME of what has pods, then [LOCAL:]REMOTE...")
      ->required();
  addNamespaceFlag(*command, options->ns);
  command
      ->add_option("--address", options->addresses,
                   "Addresses of this host to listen on, or localhost")
      ->delimiter(',')
      ->capture_default_str();
  command->callback([&context, options] {
    if (options->arguments.size() < 2) {
      context.exitCode = failUsage("TYPE/NAME and list of ports are required for port-forward");
      return;
    }
    context.exitCode =
        withSession(context, [&](Session& session) { return portForward(session, *options); });
  });
}

}  // namespace podlab::cli
