#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::node {

/// One call of grpc.health.v1.Health/Check over HTTP/2 cleartext (grpc/grpc
/// doc/PROTOCOL-HTTP2.md), without I/O: the caller moves the bytes.
class GrpcHealthCheck {
 public:
  /// `service` may be empty: the server as a whole.
  GrpcHealthCheck(const std::string& authority, const std::string& service);
  ~GrpcHealthCheck();

  /// What is to be sent now.
  std::string output();
  /// Bytes of the server; an error when they are not HTTP/2.
  Status feed(std::string_view bytes);
  /// The call has ended.
  bool done() const;

  struct Answer {
    int code = 0;         ///< of gRPC; 0 is OK
    std::string message;  ///< of an error
    std::string serving;  ///< "SERVING", "NOT_SERVING", ...
  };
  /// After done().
  Answer answer() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "NotFound" for 5: the names of Go's codes.Code, as kubelet shows them.
std::string grpcCodeName(int code);

constexpr int kGrpcUnimplemented = 12;

}  // namespace podlab::node
