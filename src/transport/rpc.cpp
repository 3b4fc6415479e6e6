#include "transport/rpc.hpp"

#include <utility>

#include "transport/rpc_connection.hpp"

namespace podlab::rpc {

Co<Status> Connection::call(std::string method, const google::protobuf::MessageLite& request,
                            google::protobuf::MessageLite& response) {
  auto stream = co_await open(std::move(method));
  if (!stream) co_return stream.status();
  Status sent = co_await (*stream)->send(encode(request));
  // A failed send still has an answer to wait for when the peer said why it does not read on.
  if (sent.is(Code::kTooLarge)) co_return sent;
  (*stream)->finish();
  auto answer = co_await (*stream)->receive();
  if (answer.status().is(Code::kEndOfStream)) {
    co_return Status(Code::kInternal, (*stream)->method() + ": no response");
  }
  if (!answer) co_return answer.status();
  Status decoded = decode(*answer, response);
  if (!decoded) co_return decoded.withContext((*stream)->method() + ": response");
  auto end = co_await (*stream)->receive();
  if (end) co_return Status(Code::kInternal, (*stream)->method() + ": more than one response");
  co_return end.status().is(Code::kEndOfStream) ? Status() : end.status();
}

std::shared_ptr<Connection> makeConnection(asio::any_io_executor executor, Clock& clock,
                                           std::unique_ptr<ByteStream> stream, bool isServer,
                                           Handler handler, ConnectionOptions options) {
  auto connection = std::make_shared<ConnectionImpl>(std::move(executor), clock, std::move(stream),
                                                     isServer, std::move(handler), options);
  connection->start();
  // The running loops own the connection too, so the caller's pointer closes it explicitly.
  auto closeIt = [connection](Connection*) { connection->close(); };
  return std::shared_ptr<Connection>(static_cast<Connection*>(connection.get()), closeIt);
}

std::string encode(const google::protobuf::MessageLite& message) {
  return message.SerializePartialAsString();
}

Status decode(std::string_view bytes, google::protobuf::MessageLite& message) {
  if (message.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Status();
  return Status(Code::kBadRequest, "malformed message " + message.GetTypeName());
}

}  // namespace podlab::rpc
