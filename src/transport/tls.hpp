#pragma once
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"
#include "transport/certificates.hpp"

namespace podlab::transport {

/// The settings shared by all TLS streams of one side. TLS 1.3 only (but for probes), no session
/// resumption. A connection cut below TLS reads as an ordinary end of the stream: the
/// protocols above know by their own framing whether something is missing. A server asks for the
/// client's certificate and accepts clients that have none (their peerIdentity() is empty), but
/// refuses one that the cluster's CA did not issue.
class TlsContext;

/// `credentials` may be empty for a client that has no certificate.
Result<std::shared_ptr<TlsContext>> makeServerTls(std::string_view caPem,
                                                  const Credentials& credentials);
Result<std::shared_ptr<TlsContext>> makeClientTls(std::string_view caPem,
                                                  const Credentials& credentials = {});

/// For the streams that begin from now on.
Status useCredentials(TlsContext& context, const Credentials& credentials);

/// What podlab's RPC calls itself in ALPN (RFC 7301), so that one port serves it and HTTP.
inline constexpr const char* kRpcProtocol = "podlab-rpc";
/// A client says that it will speak RPC.
void offerRpc(TlsContext& context);

/// What a cluster's server is called in its certificate, whatever its addresses are.
inline constexpr const char* kServerName = "podlab-server";

/// A client that takes any certificate, from TLS 1.2 on: for probes, which ask whether a server
/// answers, not who it is.
std::shared_ptr<TlsContext> makeUnverifyingClientTls();

/// What a client says of a server that answers its handshake in plain HTTP, as Go's net/http.
inline constexpr const char* kPlainHttpReply = "http: server gave HTTP response to HTTPS client";

inline constexpr Duration kHandshakeTimeout = std::chrono::seconds(10);

/// Shakes hands over `stream`; certificates are judged at clock.wallNow(). kUnauthorized when a
/// certificate is refused, kTimeout after `timeout`, kUnavailable for all else.
Co<Result<std::unique_ptr<ByteStream>>> tlsAccept(std::shared_ptr<TlsContext> context, Clock& clock,
                                                  std::unique_ptr<ByteStream> stream,
                                                  Duration timeout = kHandshakeTimeout);
/// `serverName` (DNS name or IP address) must be among the names of the server's certificate.
Co<Result<std::unique_ptr<ByteStream>>> tlsConnect(std::shared_ptr<TlsContext> context,
                                                   Clock& clock, std::unique_ptr<ByteStream> stream,
                                                   std::string serverName,
                                                   Duration timeout = kHandshakeTimeout);

/// Dials through `inner`, which must outlive the dialer. The server's certificate must be for
/// `serverName`, or, when that is empty, for the host of the dialled address.
std::unique_ptr<Dialer> makeTlsDialer(Dialer& inner, Clock& clock,
                                      std::shared_ptr<TlsContext> context,
                                      std::string serverName = {});

/// Accepts from `inner` and hands out streams that have shaken hands; a slow or failing client
/// holds up nobody, at most 1,024 shake hands at a time. Failed handshakes are logged.
std::unique_ptr<Listener> makeTlsListener(const asio::any_io_executor& executor, Clock& clock,
                                          std::unique_ptr<Listener> inner,
                                          std::shared_ptr<TlsContext> context,
                                          Duration timeout = kHandshakeTimeout);

/// The same for a port with two servers: streams of clients that offer RPC, and all others.
struct TlsListeners {
  std::unique_ptr<Listener> rpc;
  std::unique_ptr<Listener> others;
};
TlsListeners makeTlsListeners(const asio::any_io_executor& executor, Clock& clock,
                              std::unique_ptr<Listener> inner, std::shared_ptr<TlsContext> context,
                              Duration timeout = kHandshakeTimeout);

}  // namespace podlab::transport
