#include <array>
#include <map>
#include <utility>

#include "api/codec.hpp"
#include "apiserver/program_client.hpp"

namespace podlab::apiserver {
namespace {

/// As long as upstream waits for the streams (k8s.io/kubelet/pkg/cri/streaming/remotecommand).
constexpr Duration kOpenTimeout = std::chrono::seconds(30);
/// Of one terminal's size.
constexpr std::size_t kMaxSize = 1024;

using Streams = std::map<std::string, std::unique_ptr<spdy::Stream>, std::less<>>;

class StreamClient final : public ProgramClient {
 public:
  StreamClient(spdy::Session& session, Streams streams, bool statusIsJson)
      : session_(session), streams_(std::move(streams)), statusIsJson_(statusIsJson) {}

  void takeInput(TaskGroup& tasks, rpc::Stream& program, std::function<void()> gone) override {
    if (spdy::Stream* input = find("stdin"))
      tasks.spawn("program_stdin", passInput(*input, program));
    if (spdy::Stream* sizes = find("resize"))
      tasks.spawn("program_resize", passSizes(*sizes, program));
    tasks.spawn("program_client", watch(std::move(gone)));
  }

  Co<void> pass(Output output, std::string_view data) override {
    spdy::Stream* stream = find(output == Output::kStdout ? "stdout" : "stderr");
    if (stream != nullptr) (void)co_await stream->write(std::as_bytes(std::span(data)));
  }

  Co<void> finish(metav1::Status end) override {
    // Before v4 only a failure is told, as text.
    const std::string text = statusIsJson_               ? api::toJson(end)
                             : end.status() == "Success" ? ""
                                                         : end.message();
    spdy::Stream& error = *find("error");
    (void)co_await error.write(std::as_bytes(std::span(text)));
    error.finishWriting();
    for (const char* name : {"stdout", "stderr"}) {
      if (spdy::Stream* stream = find(name)) stream->finishWriting();
    }
    co_await session_.flush();
  }

 private:
  spdy::Stream* find(std::string_view name) {
    const auto found = streams_.find(name);
    return found == streams_.end() ? nullptr : found->second.get();
  }

  Co<void> watch(std::function<void()> gone) {
    co_await session_.waitUntilEnded();
    gone();
  }

  Co<void> passInput(spdy::Stream& input, rpc::Stream& program) {
    std::array<std::byte, 16UL << 10> buffer;
    bool open = true;
    while (open) {
      auto count = co_await input.read(buffer);
      rpc::ExecFrame frame;
      open = count.ok();
      if (open) {
        frame.set_stdin(buffer.data(), *count);
      } else {
        frame.set_stdinend(true);
      }
      if (!(co_await send(program, std::move(frame)))) break;
    }
  }

  /// Sizes come as lines of JSON.
  Co<void> passSizes(spdy::Stream& sizes, rpc::Stream& program) {
    std::array<std::byte, kMaxSize> buffer;
    std::string text;
    while (text.size() < kMaxSize) {
      auto count = co_await sizes.read(buffer);
      if (!count) break;
      text.append(reinterpret_cast<const char*>(buffer.data()), *count);
      for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
        rpc::ExecFrame frame;
        const bool isSize = readSize(std::string_view(text).substr(0, end), frame);
        text.erase(0, end + 1);
        if (isSize && !(co_await send(program, std::move(frame)))) co_return;
      }
    }
  }

  /// Input and sizes come from two tasks: one after the other.
  Co<Status> send(rpc::Stream& program, rpc::ExecFrame frame) {
    while (sending_) co_await sent_.wait();
    sending_ = true;
    Status status = co_await program.send(rpc::encode(frame));
    sending_ = false;
    sent_.notifyOne();
    co_return status;
  }

  spdy::Session& session_;
  Streams streams_;
  bool statusIsJson_;
  bool sending_ = false;
  WaitQueue sent_;
};

Co<void> acceptAll(spdy::Session& session, std::size_t wanted, Streams& streams) {
  while (streams.size() < wanted) {
    auto stream = co_await session.accept();
    if (!stream) co_return;
    streams[(*stream)->header("streamtype")] = std::move(*stream);
  }
}

}  // namespace

std::string streamProtocolOf(const http::Request& request) {
  for (const char* protocol :
       {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}) {
    if (request.headerHas("x-stream-protocol-version", protocol)) return protocol;
  }
  return "";
}

Co<std::unique_ptr<ProgramClient>> acceptStreamClient(spdy::Session& session, Clock& clock,
                                                      std::string protocol, ProgramStreams wanted) {
  const bool isV4 = protocol.starts_with("v4");
  std::vector<const char*> names{"error"};
  if (wanted.stdin) names.push_back("stdin");
  if (wanted.stdout) names.push_back("stdout");
  if (wanted.stderr && !wanted.tty) names.push_back("stderr");
  if (wanted.tty && (isV4 || protocol.starts_with("v3"))) names.push_back("resize");
  Streams streams;
  (void)co_await withDeadline(clock, clock.now() + kOpenTimeout,
                              acceptAll(session, names.size(), streams));
  for (const char* name : names) {
    if (!streams.contains(name)) co_return nullptr;
  }
  co_return std::make_unique<StreamClient>(session, std::move(streams), isV4);
}

}  // namespace podlab::apiserver
