#include "apiserver/rest_program.hpp"

#include <cstdlib>
#include <utility>

#include <asio/this_coro.hpp>

#include "agent_rpc.pb.h"

#include "api/codec.hpp"
#include "api/object.hpp"
#include "apiserver/local_stream.hpp"
#include "common/json.hpp"
#include "transport/websocket_connection.hpp"

namespace podlab::apiserver {
namespace {

/// How long the client has to answer the close.
constexpr Duration kCloseTimeout = std::chrono::seconds(1);
/// One for each channel, and a few that a client may think of.
constexpr std::size_t kMaxStreams = 16;

metav1::Status exitStatus(int code) {
  metav1::Status status;
  status.mutable_metadata();
  status.set_status(code == 0 ? "Success" : "Failure");
  if (code == 0) return status;
  status.set_reason("NonZeroExitCode");
  status.set_message("command terminated with non-zero exit code: exit status " +
                     std::to_string(code));
  auto& cause = *status.mutable_details()->add_causes();
  cause.set_reason("ExitCode");
  cause.set_message(std::to_string(code));
  return status;
}

metav1::Status failure(const Status& why) {
  metav1::Status status;
  status.mutable_metadata();
  status.set_status("Failure");
  status.set_reason("InternalError");
  status.set_code(500);
  status.set_message(why.message());
  status.mutable_details()->add_causes()->set_message(why.message());
  return status;
}

class Session {
 public:
  Session(ProgramClient& client, rpc::Stream& program) : client_(client), program_(program) {}

  /// Until the program has ended, and its end is on its way, or the client has gone.
  Co<void> run(Clock& clock) {
    TaskGroup tasks(co_await asio::this_coro::executor);
    client_.takeInput(tasks, program_, [this] {
      clientEnded_ = true;
      changed_.notifyAll();
    });
    tasks.spawn("program_output", passOutput());
    while (!programEnded_ && !clientEnded_) co_await changed_.wait();
    // The client answers the close; cut off before, it may lose what it has not read yet.
    const MonoTime deadline = clock.now() + kCloseTimeout;
    while (!clientEnded_ && co_await changed_.waitUntil(clock, deadline)) {
    }
    co_await tasks.cancelAndJoin();
  }

 private:
  Co<void> passOutput() {
    metav1::Status end;
    while (end.status().empty()) {
      auto message = co_await program_.receive();
      if (!message) {
        const bool clean = message.status().is(Code::kEndOfStream);
        end = clean ? exitStatus(0) : failure(message.status());
        break;
      }
      rpc::ExecFrame frame;
      if (Status read = rpc::decode(*message, frame); !read) {
        end = failure(read);
        break;
      }
      co_await client_.pass(ProgramClient::Output::kStdout, frame.stdout());
      co_await client_.pass(ProgramClient::Output::kStderr, frame.stderr());
      if (frame.has_exitcode()) end = exitStatus(frame.exitcode());
    }
    co_await client_.finish(std::move(end));
    programEnded_ = true;
    changed_.notifyAll();
  }

  ProgramClient& client_;
  rpc::Stream& program_;
  bool clientEnded_ = false;
  bool programEnded_ = false;
  WaitQueue changed_;
};

/// Runs the program for the client that is connected now.
Co<void> runFor(ProgramClient& client, StreamRelay& relay, Clock& clock, User user,
                ProgramRequest program) {
  auto [ours, theirs] = makeLocalStream(program.method);
  LocalService relaying(
      co_await asio::this_coro::executor,
      [&relay, user](rpc::Stream& stream) { return relay.serve(user, stream); }, std::move(theirs));
  (void)co_await ours->send(std::move(program.message));
  Session session(client, *ours);
  co_await session.run(clock);
  co_await relaying.stop();
}

Co<void> overSpdy(ByteStream& connection, StreamRelay& relay, Clock& clock, User user,
                  ProgramRequest program, std::string protocol) {
  spdy::SessionOptions options;
  options.maxStreams = kMaxStreams;
  spdy::Session session(co_await asio::this_coro::executor, connection, clock, options);
  auto client = co_await acceptStreamClient(session, clock, std::move(protocol), program.streams);
  if (client) co_await runFor(*client, relay, clock, std::move(user), std::move(program));
  client.reset();
  co_await session.stop();
}

}  // namespace

bool readSize(std::string_view json, rpc::ExecFrame& frame) {
  JsonReader reader(json);
  std::string_view key;
  if (!reader.beginObject()) return false;
  while (reader.nextKey(&key)) {
    const bool width = key == "Width";
    const bool height = key == "Height";
    std::string_view text;
    if (!width && !height) {
      reader.skip();
      continue;
    }
    if (!reader.readNumber(&text)) return false;
    const auto number =
        static_cast<std::uint32_t>(std::strtoul(std::string(text).c_str(), nullptr, 10));
    if (width) frame.set_columns(number);
    if (height) frame.set_rows(number);
  }
  return reader.ok() && frame.rows() > 0 && frame.columns() > 0;
}

Co<void> serveProgram(http::Exchange& exchange, StreamRelay& relay, Clock& clock, User user,
                      ProgramRequest program) {
  if (const std::string protocol = channelProtocolOf(exchange.request()); !protocol.empty()) {
    ByteStream* connection = co_await http::acceptWebSocket(exchange, protocol);
    if (connection == nullptr) co_return;
    const auto client = makeChannelClient(*connection, clock, protocol);
    co_return co_await runFor(*client, relay, clock, std::move(user), std::move(program));
  }
  std::string protocol = streamProtocolOf(exchange.request());
  if (ByteStream* connection = co_await spdy::acceptSpdy(exchange, protocol)) {
    co_await overSpdy(*connection, relay, clock, std::move(user), std::move(program),
                      std::move(protocol));
  }
}

}  // namespace podlab::apiserver
