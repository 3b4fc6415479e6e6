#pragma once
// What the benchmarks of the REST API share: a client that reads no more of answers than it must,
// so that the server is measured, and the objects that it writes.
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bench/program.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::bench {

/// A connection that asks one thing after the other.
class HttpClient {
 public:
  explicit HttpClient(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}

  Co<void> send(std::string method, std::string path, std::string body = "",
                std::string type = "application/json") {
    std::string text = method + " " + path + " HTTP/1.1\r\nHost: podlab\r\n";
    if (!body.empty())
      text +=
          "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    text += "\r\n" + body;
    const Status sent = co_await stream_->write(std::as_bytes(std::span(text)));
    if (!sent) die(sent.toString());
  }

  /// The body's size, or 0 of what comes in chunks.
  Co<std::size_t> receiveHead() {
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) co_await more();
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    if (!head.starts_with("HTTP/1.1 20")) die(head + buffer_);
    const auto length = head.find("Content-Length: ");
    isChunked_ = length == std::string::npos;
    co_return isChunked_ ? 0 : std::strtoul(head.c_str() + length + 16, nullptr, 10);
  }

  /// The size of an answer, which is thrown away.
  Co<std::size_t> receive() {
    const std::size_t length = co_await receiveHead();
    if (!isChunked_) {
      co_await skip(length);
      co_return length;
    }
    std::size_t total = 0;
    while (true) {
      std::size_t line = std::string::npos;
      while ((line = buffer_.find("\r\n")) == std::string::npos) co_await more();
      const std::size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
      co_await skip(line + 2 + size + 2);
      if (size == 0) co_return total;
      total += size;
    }
  }

  Co<void> ask(std::string method, std::string path, std::string body = "",
               std::string type = "application/json") {
    co_await send(std::move(method), std::move(path), std::move(body), std::move(type));
    (void)co_await receive();
  }

  /// Until so many events of a watch have come, each of which is a line that ends with "}". The
  /// bytes of it.
  Co<std::size_t> receiveEvents(int count) {
    std::size_t bytes = 0;
    char last = '\0';
    while (true) {
      std::string_view rest = buffer_;
      bytes += rest.size();
      for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos;) {
        if ((end > 0 ? rest[end - 1] : last) == '}') --count;
        rest.remove_prefix(end + 1);
        last = '\n';
      }
      if (!rest.empty()) last = rest.back();
      buffer_.clear();
      if (count <= 0) co_return bytes;
      co_await more();
    }
  }

 private:
  Co<void> skip(std::size_t size) {
    while (buffer_.size() < size) {
      size -= buffer_.size();
      buffer_.clear();
      co_await more();
    }
    buffer_.erase(0, size);
  }

  Co<void> more() {
    constexpr std::size_t kRecord = 16UL << 10;  // more does not come at a time
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kRecord);
    auto room = std::as_writable_bytes(std::span(buffer_)).subspan(before);
    auto count = co_await stream_->read(room);
    buffer_.resize(before + must(std::move(count)));
  }

  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  bool isChunked_ = false;
};

}  // namespace podlab::bench
