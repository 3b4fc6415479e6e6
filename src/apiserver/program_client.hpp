#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent_rpc.pb.h"

#include "api/object.hpp"
#include "common/clock.hpp"
#include "common/sync.hpp"
#include "transport/rpc.hpp"
#include "transport/spdy_session.hpp"
#include "transport/websocket_connection.hpp"

namespace podlab::apiserver {

/// Which streams a client of exec or attach wants.
struct ProgramStreams {
  bool stdin = false;
  bool stdout = false;
  bool stderr = false;
  bool tty = false;
};

/// How a client of exec or attach is spoken to (k8s.io/apimachinery/pkg/util/remotecommand).
class ProgramClient {
 public:
  virtual ~ProgramClient() = default;
  enum class Output { kStdout, kStderr };

  /// Starts to take what the client sends: it becomes the program's rpc::ExecFrame. `gone` is
  /// called when the client has gone or closed.
  virtual void takeInput(TaskGroup& tasks, rpc::Stream& program, std::function<void()> gone) = 0;
  /// What cannot be sent is lost: that the client has gone is told by `gone`.
  virtual Co<void> pass(Output output, std::string_view data) = 0;
  /// Tells how the program has ended, and that nothing more will come.
  virtual Co<void> finish(metav1::Status end) = 0;
};

/// The first of the protocols of WebSockets that is spoken here and that the client offers:
/// v5.channel.k8s.io, v4.channel.k8s.io or v4.base64.channel.k8s.io; "" when there is none.
std::string channelProtocolOf(const http::Request& request);
/// Of SPDY: v4.channel.k8s.io to v2.channel.k8s.io, or channel.k8s.io.
std::string streamProtocolOf(const http::Request& request);

/// Channels over a WebSocket: the first byte of each message names the channel.
std::unique_ptr<ProgramClient> makeChannelClient(ByteStream& connection, Clock& clock,
                                                 const std::string& protocol);
/// Waits until the client has opened the streams that it wants; null when it does not.
Co<std::unique_ptr<ProgramClient>> acceptStreamClient(spdy::Session& session, Clock& clock,
                                                      std::string protocol, ProgramStreams wanted);

/// Reads {"Width":101,"Height":33} into the frame; false when it is not a size.
bool readSize(std::string_view json, rpc::ExecFrame& frame);

}  // namespace podlab::apiserver
