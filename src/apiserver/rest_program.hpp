#pragma once
#include <string>

#include "apiserver/identity.hpp"
#include "apiserver/stream_relay.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// What exec and attach ask of an agent.
struct ProgramRequest {
  std::string method;   ///< of the relay: "exec" or "attach"
  std::string message;  ///< the stream's first message
};

/// Whether the client offers a WebSocket protocol of channels that serveProgram speaks:
/// v5.channel.k8s.io or v4.channel.k8s.io; which, or "".
std::string channelProtocolOf(const http::Request& request);

/// Makes the connection a WebSocket and carries the program's streams over it until the program has
/// ended or the client has gone (k8s.io/apimachinery/pkg/util/remotecommand).
Co<void> serveProgram(http::Exchange& exchange, StreamRelay& relay, Clock& clock, User user,
                      ProgramRequest program);

}  // namespace podlab::apiserver
