#include "apiserver/local_stream.hpp"

#include <deque>
#include <optional>

namespace podlab::apiserver {
namespace {

/// One direction.
struct Direction {
  static constexpr std::size_t kFull = 256UL << 10;  // bytes

  std::deque<std::string> messages;
  std::size_t bytes = 0;
  std::optional<Status> end;  ///< no more messages will come
  bool unread = false;        ///< nobody takes any more
  WaitQueue changed;
};

class LocalStream final : public rpc::Stream {
 public:
  LocalStream(std::string method, std::shared_ptr<Direction> in, std::shared_ptr<Direction> out)
      : method_(std::move(method)), in_(std::move(in)), out_(std::move(out)) {}
  ~LocalStream() override {
    end(Status(Code::kUnavailable, "the other end has gone"));
    in_->unread = true;
    in_->changed.notifyAll();
  }

  const std::string& method() const override { return method_; }

  Co<Status> send(std::string message) override {
    auto out = out_;
    while (out->bytes >= Direction::kFull && !out->unread) co_await out->changed.wait();
    if (out->unread || out->end) co_return Status(Code::kUnavailable, "the stream has ended");
    out->bytes += message.size();
    out->messages.push_back(std::move(message));
    out->changed.notifyAll();
    co_return Status();
  }

  Co<Result<std::string>> receive() override {
    auto in = in_;
    while (in->messages.empty() && !in->end) co_await in->changed.wait();
    if (in->messages.empty()) co_return *in->end;
    std::string message = std::move(in->messages.front());
    in->messages.pop_front();
    in->bytes -= message.size();
    in->changed.notifyAll();
    co_return message;
  }

  void finish(Status status) override {
    end(status.ok() ? Status(Code::kEndOfStream, "the stream has ended") : std::move(status));
  }

 private:
  void end(Status status) {
    if (out_->end) return;
    out_->end = std::move(status);
    out_->changed.notifyAll();
  }

  std::string method_;
  std::shared_ptr<Direction> in_;
  std::shared_ptr<Direction> out_;
};

Co<void> serveToEnd(LocalService::Serve serve, std::unique_ptr<rpc::Stream> stream) {
  Status end = co_await serve(*stream);
  if (end.is(Code::kEndOfStream)) end = Status();
  stream->finish(std::move(end));
}

}  // namespace

std::pair<std::unique_ptr<rpc::Stream>, std::unique_ptr<rpc::Stream>> makeLocalStream(
    const std::string& method) {
  auto there = std::make_shared<Direction>();
  auto back = std::make_shared<Direction>();
  return {std::make_unique<LocalStream>(method, back, there),
          std::make_unique<LocalStream>(method, there, back)};
}

LocalService::LocalService(asio::any_io_executor executor, Serve serve,
                           std::unique_ptr<rpc::Stream> stream)
    : tasks_(std::move(executor)) {
  tasks_.spawn("local_stream", serveToEnd(std::move(serve), std::move(stream)));
}

}  // namespace podlab::apiserver
