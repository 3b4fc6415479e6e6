#pragma once
#include <gmock/gmock.h>

#include <array>
#include <memory>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "apiserver/rest_server.hpp"
#include "tests/apiserver/fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::apiserver {

using Json = nlohmann::json;

/// A stream whose client has a certificate.
class Identified final : public ByteStream {
 public:
  Identified(std::unique_ptr<ByteStream> inner, PeerIdentity identity)
      : inner_(std::move(inner)), identity_(std::move(identity)) {}
  Co<Result<std::size_t>> read(MutableBytes out) override { co_return co_await inner_->read(out); }
  Co<Status> write(Bytes data) override { co_return co_await inner_->write(data); }
  void close() override { inner_->close(); }
  std::string peer() const override { return inner_->peer(); }
  PeerIdentity peerIdentity() const override { return identity_; }

 private:
  std::unique_ptr<ByteStream> inner_;
  PeerIdentity identity_;
};

class IdentifiedListener final : public Listener {
 public:
  IdentifiedListener(std::unique_ptr<Listener> inner, ByteStream::PeerIdentity& identity)
      : inner_(std::move(inner)), identity_(identity) {}
  Co<Result<std::unique_ptr<ByteStream>>> accept() override {
    auto stream = co_await inner_->accept();
    if (!stream) co_return stream.status();
    co_return std::make_unique<Identified>(std::move(*stream), identity_);
  }
  std::string address() const override { return inner_->address(); }
  void close() override { inner_->close(); }

 private:
  std::unique_ptr<Listener> inner_;
  ByteStream::PeerIdentity& identity_;
};

struct Answer {
  int code = 0;
  std::string head;
  std::string body;
  Json json() const { return Json::parse(body); }
};

class RestTest : public ServiceTest {
 protected:
  RestTest() {
    rest_.serve(
        std::make_unique<IdentifiedListener>(std::move(*network_.listen("api")), identity_));
  }
  ~RestTest() override { run(rest_.stop()); }

  /// All that comes back for those bytes, until the server ends the connection.
  std::string send(std::string bytes) {
    auto talk = [](Dialer& dialer, std::string text) -> Co<std::string> {
      auto stream = co_await dialer.dial("api");
      (void)co_await (*stream)->write(std::as_bytes(std::span(text)));
      std::string all;
      std::array<std::byte, 4096> buffer;
      while (true) {
        auto count = co_await (*stream)->read(buffer);
        if (!count) co_return all;
        all.append(reinterpret_cast<const char*>(buffer.data()), *count);
      }
    };
    return run(talk(*dialer_, std::move(bytes)));
  }

  Answer ask(const std::string& method, const std::string& target, const std::string& body = "",
             const std::string& type = "application/json", const std::string& accept = "") {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    text += extraHeaders_;
    if (!accept.empty()) text += "Accept: " + accept + "\r\n";
    if (!body.empty() && !type.empty()) text += "Content-Type: " + type + "\r\n";
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    const std::string all = send(text + "\r\n" + body);
    const auto end = all.find("\r\n\r\n");
    EXPECT_THAT(all, testing::StartsWith("HTTP/1.1 "));
    if (end == std::string::npos) return {};
    Answer answer{std::atoi(all.c_str() + 9), all.substr(0, end + 2), all.substr(end + 4)};
    if (answer.head.find("Transfer-Encoding: chunked") != std::string::npos)
      answer.body = unchunk(answer.body);
    return answer;
  }

  static std::string unchunk(std::string_view text) {
    std::string whole;
    while (true) {
      const auto end = text.find("\r\n");
      const std::size_t size = std::stoul(std::string(text.substr(0, end)), nullptr, 16);
      if (size == 0) return whole;
      whole += text.substr(end + 2, size);
      text.remove_prefix(end + 2 + size + 2);
    }
  }

  static constexpr const char* kPods = "/api/v1/namespaces/default/pods";
  static constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";

  std::string extraHeaders_;  ///< of each request, with their line ends
  transport::MemoryNetwork network_;
  std::unique_ptr<Dialer> dialer_ = network_.dialer();
  ByteStream::PeerIdentity identity_{"admin", {"system:masters"}};
  StreamRelay relay_{*service_, clock_, rng_};
  RestServer rest_{*service_, relay_, clock_, io_.get_executor()};
};

}  // namespace podlab::apiserver
