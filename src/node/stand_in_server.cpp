// The stand-in's own process: one thread, one poll(2), no library that starts anything.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "common/unique_fd.hpp"
#include "node/stand_in.hpp"

namespace podlab::node {
namespace {

/// How long a peer may be silent before it is told who is here: in some protocols the server speaks
/// first.
constexpr int kSilenceMs = 500;
constexpr std::size_t kMaxHeader = 64UL * 1024;
constexpr std::size_t kMaxConnections = 500;

std::int64_t nowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// What of the data can be shown in one line.
std::string printable(std::string_view data) {
  std::string text;
  for (const char c : data.substr(0, 200)) {
    if (c == '\n') break;
    if (c == '\r') continue;
    text += c >= ' ' && c < 127 ? c : '.';
  }
  return text;
}

std::string peerName(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                    port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  std::string_view name = host.data();
  if (name.starts_with("::ffff:")) name.remove_prefix(7);
  const bool v6 = name.find(':') != std::string_view::npos;
  return (v6 ? "[" : "") + std::string(name) + (v6 ? "]:" : ":") + port.data();
}

struct Listener {
  UniqueFd socket;
  std::string name;  ///< "tcp:80"
  bool datagrams = false;
};

struct Connection {
  UniqueFd socket;
  std::string name;  ///< "tcp:80 from 10.244.1.2:4711"
  std::string received;
  std::int64_t deadline = 0;  ///< 0: it was answered
  bool raw = false;           ///< it speaks no HTTP
  bool over = false;          ///< answered for good: only its end is waited for
};

/// A request of HTTP/1, by its first line.
bool isHttp(std::string_view text) {
  const auto end = text.find('\n');
  return end != std::string_view::npos && text.substr(0, end).find(" HTTP/1.") != std::string::npos;
}

class StandIn {
 public:
  explicit StandIn(std::string identity) : identity_(std::move(identity)) {}

  void listen(const std::string& port) {
    // PROTOCOL:NUMBER, or PROTOCOL:NUMBER:CONTAINER for a port left to another.
    const auto colon = port.find(':');
    const auto second = port.find(':', colon + 1);
    const std::string name = port.substr(0, second);
    if (second != std::string::npos)
      return say(name + " is left to container " + port.substr(second + 1) + " of this pod");
    const std::string protocol = port.substr(0, colon);
    const int number = std::atoi(port.c_str() + colon + 1);
    Listener listener;
    listener.name = name;
    listener.datagrams = protocol == "udp";
    for (const int family : {AF_INET6, AF_INET}) {
      listener.socket.reset(::socket(
          family, (listener.datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
          protocol == "sctp" ? IPPROTO_SCTP : 0));
      if (!listener.socket) continue;
      if (bind(listener.socket.get(), family, number) &&
          (listener.datagrams || ::listen(listener.socket.get(), SOMAXCONN) == 0)) {
        say("listening on " + name);
        listeners_.push_back(std::move(listener));
        return;
      }
      if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) break;
    }
    say("cannot listen on " + name + ": " + std::strerror(errno) +
        (errno == EADDRINUSE        ? "; another container of this pod does"
         : errno == EPROTONOSUPPORT ? "; this kernel lacks it"
                                    : ""));
  }

  int serve() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    const UniqueFd end(::signalfd(-1, &signals, SFD_CLOEXEC));
    for (;;) {
      std::vector<pollfd> fds{{end.get(), POLLIN, 0}};
      for (const auto& listener : listeners_) fds.push_back({listener.socket.get(), POLLIN, 0});
      for (const auto& connection : connections_)
        fds.push_back({connection.socket.get(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), patience()) < 0 && errno != EINTR) return 1;
      if (fds[0].revents != 0) {
        say("ended by a signal");
        return 0;
      }
      // Connections first: those that are accepted now are not in the list.
      std::size_t at = 1 + listeners_.size();
      for (auto it = connections_.begin(); it != connections_.end(); ++at) {
        const bool open = (fds[at].revents == 0 || receive(*it)) && answerSilence(*it);
        it = open ? std::next(it) : connections_.erase(it);
      }
      for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if (fds[1 + i].revents == 0) continue;
        listeners_[i].datagrams ? answerDatagram(listeners_[i]) : accept(listeners_[i]);
      }
    }
  }

 private:
  static bool bind(int socket, int family, int number) {
    const int on = 1;
    const int off = 0;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto port = htons(static_cast<std::uint16_t>(number));
    if (family == AF_INET) {
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_port = port;
      return ::bind(socket, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
    }
    ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = port;
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
  }

  int patience() const {
    std::int64_t first = -1;
    for (const auto& connection : connections_) {
      if (connection.deadline != 0 && (first < 0 || connection.deadline < first))
        first = connection.deadline;
    }
    return first < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(0, first - nowMs()));
  }

  void accept(const Listener& listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    Connection connection;
    connection.socket.reset(::accept4(listener.socket.get(), reinterpret_cast<sockaddr*>(&address),
                                      &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.socket) return;
    connection.name = listener.name + " from " + peerName(address, size);
    connection.deadline = nowMs() + kSilenceMs;
    if (connections_.size() >= kMaxConnections) connections_.pop_front();
    connections_.push_back(std::move(connection));
  }

  void answerDatagram(const Listener& listener) {
    std::array<char, 65536> buffer;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const ssize_t n = ::recvfrom(listener.socket.get(), buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<sockaddr*>(&address), &size);
    if (n < 0) return;
    log(listener.name + " from " + peerName(address, size),
        std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    const std::string line = identity_ + "\n";
    ::sendto(listener.socket.get(), line.data(), line.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address), size);
  }

  static void log(const std::string& whence, std::string_view data) {
    say(whence + ": " + std::to_string(data.size()) + " bytes: " + printable(data));
  }

  /// False when the connection is over.
  bool receive(Connection& connection) {
    std::array<char, 16384> buffer;
    const ssize_t n = ::recv(connection.socket.get(), buffer.data(), buffer.size(), 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
      if (connection.received.empty() && !connection.over) say(connection.name + ": no data");
      return false;
    }
    if (connection.over) return true;
    const std::string_view data(buffer.data(), static_cast<std::size_t>(n));
    if (connection.raw) {
      log(connection.name, data);
      return answerRaw(connection);
    }
    connection.received.append(data);
    if (!isHttp(connection.received)) {
      // A line of something else is answered at once, half a line when no more comes.
      if (connection.received.find('\n') == std::string::npos) return true;
      log(connection.name, connection.received);
      return answerRaw(connection);
    }
    const bool whole = connection.received.find("\r\n\r\n") != std::string::npos ||
                       connection.received.find("\n\n") != std::string::npos;
    if (!whole && connection.received.size() < kMaxHeader) return true;
    log(connection.name, connection.received);
    return answerHttp(connection);
  }

  bool answerSilence(Connection& connection) {
    if (connection.deadline == 0 || nowMs() < connection.deadline) return true;
    if (isHttp(connection.received)) {
      connection.deadline = 0;
      return true;
    }
    if (!connection.received.empty()) log(connection.name, connection.received);
    return answerRaw(connection);
  }

  bool answerRaw(Connection& connection) {
    connection.raw = true;
    connection.deadline = 0;
    return send(connection, identity_ + "\n");
  }

  bool answerHttp(Connection& connection) {
    const std::string body = identity_ + "\n";
    std::string answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n";
    if (!connection.received.starts_with("HEAD ")) answer += body;
    connection.deadline = 0;
    connection.over = true;
    if (!send(connection, answer)) return false;
    // What it still sends is read, so that the answer is not lost to a reset.
    ::shutdown(connection.socket.get(), SHUT_WR);
    return true;
  }

  /// The answers fit into an empty socket's buffer; a peer that does not read them loses them.
  static bool send(const Connection& connection, const std::string& text) {
    return ::send(connection.socket.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0 ||
           errno == EAGAIN;
  }

  std::string identity_;
  std::vector<Listener> listeners_;
  std::list<Connection> connections_;
};

}  // namespace

int standInMain(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: podlab stand-in TEXT [--end | PROTOCOL:PORT[:CONTAINER]...]\n");
    return 2;
  }
  ::prctl(PR_SET_NAME, "podlab-stand-in");
  say(argv[2]);
  if (argc == 4 && std::string_view(argv[3]) == "--end") {
    say("in place of an init container: done");
    return 0;
  }
  StandIn standIn(argv[2]);
  for (int i = 3; i < argc; ++i) standIn.listen(argv[i]);
  return standIn.serve();
}

}  // namespace podlab::node
