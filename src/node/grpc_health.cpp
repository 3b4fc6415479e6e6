#include "node/grpc_health.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "grpc_health.pb.h"

namespace podlab::node {
namespace {

constexpr std::size_t kMaxAnswer = 4096;
constexpr std::size_t kPrefix = 5;  // a flag and the length, before each message
constexpr int kUnknown = 2;
constexpr int kInternal = 13;
constexpr int kUnavailable = 14;

/// gRPC's code for an HTTP status that is not 200 (grpc/grpc doc/http-grpc-status-mapping.md).
int codeOfHttp(int status) {
  switch (status) {
    case 400:
      return kInternal;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return kGrpcUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

std::string percentDecoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* digits = text.data() + i + 1;
      if (std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
        out += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::string framed(const std::string& message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  std::string out(1, '\0');
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(size >> shift);
  return out + message;
}

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct GrpcHealthCheck::State {
  nghttp2_session* session = nullptr;
  std::string request;
  std::string reply;
  std::int32_t stream = -1;
  int httpStatus = 0;
  std::optional<int> code;
  std::string message;
  bool closed = false;
  std::uint32_t resetCode = 0;

  ~State() { nghttp2_session_del(session); }

  static State& of(void* user) { return *static_cast<State*>(user); }

  static int onHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t nameSize, const std::uint8_t* value, std::size_t valueSize,
                      std::uint8_t, void* user) {
    State& state = of(user);
    if (frame->hd.stream_id != state.stream) return 0;
    const std::string_view key(reinterpret_cast<const char*>(name), nameSize);
    const std::string_view text(reinterpret_cast<const char*>(value), valueSize);
    int number = -1;
    std::from_chars(text.data(), text.data() + text.size(), number);
    if (key == ":status") state.httpStatus = number;
    if (key == "grpc-status") state.code = number < 0 || number > 16 ? kUnknown : number;
    if (key == "grpc-message") state.message = percentDecoded(text);
    return 0;
  }
  static int onData(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
                    std::size_t size, void* user) {
    State& state = of(user);
    if (stream != state.stream) return 0;
    // What is cut off is no message: that is enough to know.
    const std::size_t room = kMaxAnswer - state.reply.size();
    state.reply.append(reinterpret_cast<const char*>(data), std::min(size, room));
    return 0;
  }
  static int onClose(nghttp2_session*, std::int32_t stream, std::uint32_t errorCode, void* user) {
    State& state = of(user);
    if (stream != state.stream) return 0;
    state.closed = true;
    state.resetCode = errorCode;
    return 0;
  }
  static ssize_t readRequest(nghttp2_session*, std::int32_t, std::uint8_t* out, std::size_t room,
                             std::uint32_t* flags, nghttp2_data_source*, void* user) {
    State& state = of(user);
    const std::size_t count = std::min(room, state.request.size());
    std::memcpy(out, state.request.data(), count);
    state.request.erase(0, count);
    if (state.request.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }
};

GrpcHealthCheck::GrpcHealthCheck(const std::string& authority, const std::string& service)
    : state_(std::make_unique<State>()) {
  grpc::health::v1::HealthCheckRequest request;
  if (!service.empty()) request.set_service(service);
  state_->request = framed(request.SerializeAsString());

  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, State::onHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, State::onData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, State::onClose);
  nghttp2_session_client_new(&state_->session, callbacks, state_.get());
  nghttp2_session_callbacks_del(callbacks);

  const nghttp2_settings_entry noPush{NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  nghttp2_submit_settings(state_->session, NGHTTP2_FLAG_NONE, &noPush, 1);
  const std::array headers{header(":method", "POST"),
                           header(":scheme", "http"),
                           header(":authority", authority),
                           header(":path", "/grpc.health.v1.Health/Check"),
                           header("content-type", "application/grpc"),
                           header("te", "trailers"),
                           header("user-agent", "kube-probe/podlab")};
  nghttp2_data_provider body{};
  body.read_callback = State::readRequest;
  state_->stream = nghttp2_submit_request(state_->session, nullptr, headers.data(), headers.size(),
                                          &body, nullptr);
}

GrpcHealthCheck::~GrpcHealthCheck() = default;

std::string GrpcHealthCheck::output() {
  std::string out;
  const std::uint8_t* data = nullptr;
  for (;;) {
    const auto size = nghttp2_session_mem_send(state_->session, &data);
    if (size <= 0) return out;
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
}

Status GrpcHealthCheck::feed(std::string_view bytes) {
  const auto taken = nghttp2_session_mem_recv(
      state_->session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) return {Code::kInvalid, nghttp2_strerror(static_cast<int>(taken))};
  // A connection error leaves nothing to wait for.
  if (!done() && nghttp2_session_want_read(state_->session) == 0)
    return {Code::kInvalid, "the server ended the connection, or does not speak HTTP/2"};
  return {};
}

bool GrpcHealthCheck::done() const {
  return state_->closed;
}

GrpcHealthCheck::Answer GrpcHealthCheck::answer() const {
  Answer answer;
  if (state_->code) {
    answer.code = *state_->code;
    answer.message = state_->message;
  } else if (state_->httpStatus != 0 && state_->httpStatus != 200) {
    answer.code = codeOfHttp(state_->httpStatus);
    answer.message =
        "unexpected HTTP status code received from server: " + std::to_string(state_->httpStatus);
  } else {
    answer.code = kUnavailable;
    answer.message =
        state_->resetCode == 0
            ? "the server sent no status"
            : "stream reset: " + std::string(nghttp2_http2_strerror(state_->resetCode));
  }
  if (answer.code != 0) return answer;
  grpc::health::v1::HealthCheckResponse response;
  const bool whole =
      state_->reply.size() >= kPrefix && state_->reply[0] == '\0' &&
      framed(state_->reply.substr(kPrefix)).compare(0, kPrefix, state_->reply, 0, kPrefix) == 0;
  if (!whole || !response.ParseFromString(state_->reply.substr(kPrefix))) {
    answer.code = kInternal;
    answer.message = "the response is not one HealthCheckResponse";
    return answer;
  }
  answer.serving = grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
  return answer;
}

std::string grpcCodeName(int code) {
  constexpr std::array kNames{
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  const bool known = code >= 0 && static_cast<std::size_t>(code) < kNames.size();
  return known ? kNames[static_cast<std::size_t>(code)] : "Code(" + std::to_string(code) + ")";
}

}  // namespace podlab::node
