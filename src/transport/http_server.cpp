#include "transport/http_server.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include <asio/this_coro.hpp>

#include "common/log.hpp"
#include "common/sync.hpp"
#include "common/time.hpp"

namespace podlab::http {
namespace {

constexpr std::size_t kPiece = 64UL << 10;
/// What is read at a time: little while nothing is expected, as most connections are idle, and
/// what waits for them to speak costs memory.
constexpr std::size_t kNothing = 128;  // from a client that is being answered
constexpr std::size_t kLittle = 1UL << 10;
constexpr std::size_t kMuch = 16UL << 10;

Bytes bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// What the client sent beyond the request, then its stream.
class UpgradedStream final : public ByteStream {
 public:
  UpgradedStream(ByteStream& inner, std::string first) : inner_(inner), first_(std::move(first)) {}

  Co<Result<std::size_t>> read(MutableBytes out) override {
    if (first_.empty()) co_return co_await inner_.read(out);
    const std::size_t count = std::min(out.size(), first_.size());
    std::ranges::copy(bytesOf(first_).first(count), out.begin());
    first_.erase(0, count);
    co_return count;
  }
  Co<Status> write(Bytes data) override { co_return co_await inner_.write(data); }
  void close() override { inner_.close(); }
  bool finishWriting() override { return inner_.finishWriting(); }
  std::string peer() const override { return inner_.peer(); }
  PeerIdentity peerIdentity() const override { return inner_.peerIdentity(); }

 private:
  ByteStream& inner_;
  std::string first_;
};

class Connection {
 public:
  Connection(ByteStream& stream, Clock& clock, ConnectionOptions options)
      : stream_(stream),
        identity_(stream_.peerIdentity()),
        clock_(clock),
        options_(options),
        parser_(options.limits),
        mayGoOn_(!options.once) {}
  ~Connection() { stream_.close(); }

  /// False when there is no further request.
  Co<bool> next() {
    const MonoTime idleUntil = clock_.now() + options_.idle;
    MonoTime until = idleUntil;
    while (true) {
      received_.erase(0, parser_.feed(received_));
      if (parser_.fault()) {
        co_await refuse(*parser_.fault());
        co_return false;
      }
      if (parser_.done()) {
        request_ = parser_.take();
        co_return true;
      }
      if (parser_.takeContinue() && !(co_await write("HTTP/1.1 100 Continue\r\n\r\n")))
        co_return false;
      const bool begun = !parser_.isEmpty();
      if (begun && until == idleUntil) until = clock_.now() + options_.request;
      if (!(co_await receive(until))) {
        if (begun && clock_.now() >= until) {
          RequestParser::Fault late{408, "the request did not come whole in time"};
          co_await refuse(late);
        }
        co_return false;
      }
    }
  }

  const Request& request() const { return request_; }
  const ByteStream::PeerIdentity& identity() const { return identity_; }
  bool mayGoOn() const { return mayGoOn_ && request_.keepAlive; }

  Co<Status> respond(Response response) {
    std::string text = head(response);
    const bool hasBody = response.code >= 200 && response.code != 204 && response.code != 304;
    if (hasBody) text += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    if (!mayGoOn()) text += "Connection: close\r\n";
    text += "\r\n";
    if (hasBody && request_.method != "HEAD") text += response.body;
    co_return co_await write(text);
  }

  /// All of `text`, piece by piece: a client that takes none of a piece in time is given up.
  Co<Status> write(std::string_view text) {
    Status written;
    while (!text.empty() && written) {
      const std::string_view piece = text.substr(0, kPiece);
      text.remove_prefix(piece.size());
      WriteLimit limit(*this);
      written = co_await stream_.write(bytesOf(piece));
      if (limit.passed()) written = Status(Code::kUnavailable, "the client takes no more bytes");
    }
    if (!written) mayGoOn_ = false;
    co_return written;
  }

  /// Adds to what was received; false at the end, and after `until`.
  Co<bool> receive(MonoTime until) {
    bool received = false;
    auto read = [](Connection& self, bool& result) -> Co<void> {
      result = co_await self.readOnce(self.parser_.isEmpty() ? kLittle : kMuch);
    };
    (void)co_await withDeadline(clock_, until, read(*this, received));
    co_return received;
  }

  /// Until the client goes. What it sends meanwhile is kept.
  Co<void> untilGone() {
    while (received_.size() < kPiece && co_await readOnce(kNothing)) {
    }
    // A client that sends on and on while it is answered waits.
    while (received_.size() >= kPiece) co_await clock_.sleepFor(std::chrono::hours(1));
  }

  std::string head(const Response& response) const {
    std::string text = "HTTP/1.1 " + statusLine(response.code) + "\r\n";
    text += "Date: " + httpDate(clock_.wallNow()) + "\r\n";
    for (const auto& [name, value] : response.headers)
      text.append(name).append(": ").append(value).append("\r\n");
    return text;
  }

  ByteStream& stream() { return stream_; }
  std::string takeReceived() { return std::exchange(received_, ""); }
  void end() { mayGoOn_ = false; }
  void cut() {
    mayGoOn_ = false;
    stream_.close();
  }

 private:
  /// Closes the stream, and so ends its write, unless it goes in time.
  class WriteLimit {
   public:
    explicit WriteLimit(Connection& connection) : clock_(connection.clock_) {
      timer_ = clock_.scheduleIn(connection.options_.write, [this, &connection] {
        passed_ = true;
        connection.stream_.close();
      });
    }
    ~WriteLimit() { clock_.cancel(timer_); }
    WriteLimit(const WriteLimit&) = delete;
    WriteLimit& operator=(const WriteLimit&) = delete;
    bool passed() const { return passed_; }

   private:
    Clock& clock_;
    Clock::TimerId timer_ = 0;
    bool passed_ = false;
  };

  Co<bool> readOnce(std::size_t most) {
    std::string buffer(most, '\0');
    auto count = co_await stream_.read(std::as_writable_bytes(std::span(buffer)));
    if (!count) co_return false;
    buffer.resize(*count);
    received_ += buffer;
    co_return true;
  }

  Co<void> refuse(RequestParser::Fault fault) {
    mayGoOn_ = false;
    Response response{
        fault.code, {{"Content-Type", "text/plain; charset=utf-8"}}, fault.why + "\n"};
    (void)co_await respond(std::move(response));
  }

  /// IMF-fixdate (RFC 9110, 5.6.7).
  static std::string httpDate(WallTime time) {
    const std::time_t seconds =
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> text;
    const std::size_t length =
        std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text.data(), length};
  }

  ByteStream& stream_;
  ByteStream::PeerIdentity identity_;
  Clock& clock_;
  ConnectionOptions options_;
  RequestParser parser_;
  Request request_;
  std::string received_;
  bool mayGoOn_;
};

class ChunkSender final : public Sender {
 public:
  explicit ChunkSender(Connection& connection) : connection_(connection) {}

  Co<Status> send(std::string part) override {
    if (part.empty()) co_return Status();
    std::array<char, 20> size;
    const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", part.size());
    part.insert(0, size.data(), length);
    part += "\r\n";
    co_return co_await connection_.write(part);
  }

 private:
  Connection& connection_;
};

class ExchangeImpl final : public Exchange {
 public:
  explicit ExchangeImpl(Connection& connection) : connection_(connection) {}

  const Request& request() const override { return connection_.request(); }
  const ByteStream::PeerIdentity& peerIdentity() const override { return connection_.identity(); }
  bool answered() const { return answered_; }

  Co<void> respond(Response response) override {
    answered_ = true;
    (void)co_await connection_.respond(std::move(response));
  }

  Co<void> respondInPieces(Response head, std::function<std::string()> next) override {
    answered_ = true;
    std::string text = connection_.head(head) + "Transfer-Encoding: chunked\r\n";
    if (!connection_.mayGoOn()) text += "Connection: close\r\n";
    Status sent = co_await connection_.write(text + "\r\n");
    ChunkSender sender(connection_);
    bool more = request().method != "HEAD";
    const bool withBody = more;
    while (sent && more) {
      std::string piece = next();
      more = !piece.empty();
      sent = co_await sender.send(std::move(piece));
    }
    if (sent && withBody) (void)co_await connection_.write("0\r\n\r\n");
  }

  Co<void> stream(Response head, std::function<Co<Status>(Sender&)> body) override {
    answered_ = true;
    // Another request could only come after a read that is cut off now.
    connection_.end();
    Status sent = co_await connection_.write(
        connection_.head(head) + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    if (!sent || request().method == "HEAD") co_return;
    ChunkSender sender(connection_);
    std::optional<Status> result;
    bool gone = false;
    {
      WaitQueue changed;
      TaskGroup tasks(co_await asio::this_coro::executor);
      auto produce = [](std::function<Co<Status>(Sender&)>& own, Sender& to,
                        std::optional<Status>& outcome, WaitQueue& queue) -> Co<void> {
        outcome = co_await own(to);
        queue.notifyAll();
      };
      auto watch = [](Connection& connection, bool& left, WaitQueue& queue) -> Co<void> {
        co_await connection.untilGone();
        left = true;
        queue.notifyAll();
      };
      tasks.spawn("http_body", produce(body, sender, result, changed));
      tasks.spawn("http_client", watch(connection_, gone, changed));
      while (!result && !gone) co_await changed.wait();
      co_await tasks.cancelAndJoin();
    }
    if (result && *result) {
      (void)co_await connection_.write("0\r\n\r\n");
    } else {
      connection_.cut();
    }
  }

  Co<ByteStream*> upgrade(Headers headers) override {
    answered_ = true;
    connection_.end();
    Response response{101, std::move(headers), ""};
    if (!(co_await connection_.write(connection_.head(response) + "\r\n"))) co_return nullptr;
    upgraded_ = std::make_unique<UpgradedStream>(connection_.stream(), connection_.takeReceived());
    co_return upgraded_.get();
  }

 private:
  Connection& connection_;
  bool answered_ = false;
  std::unique_ptr<UpgradedStream> upgraded_;
};

}  // namespace

Co<void> serveConnection(ByteStream& stream, Clock& clock, Handler handler,
                         ConnectionOptions options) {
  Connection connection(stream, clock, options);
  do {
    if (!co_await connection.next()) break;
    ExchangeImpl exchange(connection);
    co_await handler(exchange);
    if (!exchange.answered()) co_await exchange.respond({500, {}, ""});
  } while (connection.mayGoOn());
}

std::string statusLine(int code) {
  struct Phrase {
    int code;
    const char* text;
  };
  static constexpr Phrase kPhrases[] = {{100, "Continue"},
                                        {101, "Switching Protocols"},
                                        {200, "OK"},
                                        {201, "Created"},
                                        {204, "No Content"},
                                        {304, "Not Modified"},
                                        {400, "Bad Request"},
                                        {401, "Unauthorized"},
                                        {403, "Forbidden"},
                                        {404, "Not Found"},
                                        {405, "Method Not Allowed"},
                                        {406, "Not Acceptable"},
                                        {408, "Request Timeout"},
                                        {409, "Conflict"},
                                        {410, "Gone"},
                                        {413, "Content Too Large"},
                                        {415, "Unsupported Media Type"},
                                        {422, "Unprocessable Content"},
                                        {429, "Too Many Requests"},
                                        {431, "Request Header Fields Too Large"},
                                        {500, "Internal Server Error"},
                                        {501, "Not Implemented"},
                                        {503, "Service Unavailable"},
                                        {504, "Gateway Timeout"},
                                        {505, "HTTP Version Not Supported"}};
  const auto* found = std::ranges::find(kPhrases, code, &Phrase::code);
  return std::to_string(code) + " " + (found != std::end(kPhrases) ? found->text : "Status");
}

}  // namespace podlab::http
