#pragma once
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include <nghttp2/nghttp2.h>

#include "transport/byte_stream.hpp"

namespace podlab::fakes {

/// What the server says to a Health/Check.
struct GrpcAnswer {
  int httpStatus = 200;
  std::string body;        ///< the framed message; none: trailers only
  std::string grpcStatus;  ///< empty: no trailers
  std::string grpcMessage;
};

/// "0 length message": a HealthCheckResponse with this status, framed.
inline std::string healthResponse(char status) {
  return std::string({'\0', '\0', '\0', '\0', '\2', '\x08', status});
}

/// A gRPC server on one connection that answers every request with `answer`, by nghttp2.
class GrpcHealthServer {
 public:
  explicit GrpcHealthServer(GrpcAnswer answer) : answer_(std::move(answer)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~GrpcHealthServer() { nghttp2_session_del(session_); }
  GrpcHealthServer(const GrpcHealthServer&) = delete;
  GrpcHealthServer& operator=(const GrpcHealthServer&) = delete;

  /// Until the client is gone.
  Co<void> serve(ByteStream& stream) {
    for (;;) {
      const std::uint8_t* data = nullptr;
      for (;;) {
        const auto size = nghttp2_session_mem_send(session_, &data);
        if (size <= 0) break;
        const auto sent =
            co_await stream.write(std::as_bytes(std::span(data, static_cast<std::size_t>(size))));
        if (!sent.ok()) co_return;
      }
      std::array<std::byte, 4096> buffer;
      auto count = co_await stream.read(buffer);
      if (!count.ok()) co_return;
      if (nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(buffer.data()),
                                   *count) < 0)
        co_return;
    }
  }
  const std::string& path() const { return path_; }

 private:
  static nghttp2_nv field(const char* name, const std::string& value) {
    return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), std::strlen(name),
            value.size(), NGHTTP2_NV_FLAG_NONE};
  }
  static int onHeader(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                      std::size_t nameSize, const std::uint8_t* value, std::size_t valueSize,
                      std::uint8_t, void* user) {
    if (std::string_view(reinterpret_cast<const char*>(name), nameSize) == ":path")
      static_cast<GrpcHealthServer*>(user)->path_.assign(reinterpret_cast<const char*>(value),
                                                         valueSize);
    return 0;
  }
  static int onFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool request = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (request && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
      static_cast<GrpcHealthServer*>(user)->reply(frame->hd.stream_id);
    return 0;
  }
  void reply(std::int32_t stream) {
    status_ = std::to_string(answer_.httpStatus);
    const std::array head{field(":status", status_), field("content-type", type_)};
    nghttp2_data_provider body{};
    body.read_callback = readBody;
    nghttp2_submit_response(session_, stream, head.data(), head.size(), &body);
  }
  static ssize_t readBody(nghttp2_session* session, std::int32_t stream, std::uint8_t* out,
                          std::size_t, std::uint32_t* flags, nghttp2_data_source*, void* user) {
    auto& self = *static_cast<GrpcHealthServer*>(user);
    std::memcpy(out, self.answer_.body.data(), self.answer_.body.size());
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!self.answer_.grpcStatus.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::array trailer{field("grpc-status", self.answer_.grpcStatus),
                               field("grpc-message", self.answer_.grpcMessage)};
      nghttp2_submit_trailer(session, stream, trailer.data(), trailer.size());
    }
    return static_cast<ssize_t>(self.answer_.body.size());
  }

  GrpcAnswer answer_;
  nghttp2_session* session_ = nullptr;
  std::string path_;
  std::string status_;
  std::string type_ = "application/grpc";
};

}  // namespace podlab::fakes
