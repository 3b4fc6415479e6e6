#pragma once
// Inside src/transport only.
#include <memory>
#include <string>

#include "transport/rpc.hpp"

namespace podlab::rpc {

class ConnectionImpl;
struct StreamState;

/// The application's end of a stream.
class StreamImpl final : public Stream {
 public:
  StreamImpl(std::shared_ptr<ConnectionImpl> connection, std::shared_ptr<StreamState> state);
  ~StreamImpl() override;
  const std::string& method() const override;
  Co<Status> send(std::string message) override;
  Co<Result<std::string>> receive() override;
  void finish(Status status) override;

 private:
  std::shared_ptr<ConnectionImpl> connection_;
  std::shared_ptr<StreamState> state_;
};

}  // namespace podlab::rpc
