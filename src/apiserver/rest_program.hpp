#pragma once
#include <string>

#include "apiserver/identity.hpp"
#include "apiserver/program_client.hpp"
#include "apiserver/stream_relay.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// What exec and attach ask of an agent.
struct ProgramRequest {
  std::string method;   ///< of the relay: "exec" or "attach"
  std::string message;  ///< the stream's first message
  ProgramStreams streams;
};

/// Makes the connection a WebSocket or one of SPDY, for which channelProtocolOf or streamProtocolOf
/// must have found a protocol, and carries the program's streams over it until the program has
/// ended or the client has gone.
Co<void> serveProgram(http::Exchange& exchange, StreamRelay& relay, Clock& clock, User user,
                      ProgramRequest program);

}  // namespace podlab::apiserver
