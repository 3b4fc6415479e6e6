#include "transport/tls.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <asio.hpp>

#include "common/log.hpp"
#include "common/sync.hpp"
#include "transport/openssl.hpp"
#include "transport/tcp.hpp"

namespace podlab::transport {

class TlsContext {
 public:
  SslCtxPtr ssl;
};

namespace {

constexpr std::size_t kRecord = 16 << 10;         // the largest TLS record
constexpr std::size_t kWriteBatch = 4 * kRecord;  // encrypted before it is handed down
constexpr std::size_t kOverhead = 128;            // of the records of a batch, at the most
constexpr std::size_t kMaxUnasked = 64 << 10;     // answers to key updates that wait for a write
constexpr std::size_t kMaxHandshakes = 1024;

/// What the verification callback needs of the stream that it runs for.
struct VerifyNotes {
  WallTime now;
  std::string failure;
};

int onVerify(int ok, X509_STORE_CTX* store) {
  if (ok == 1) return 1;
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* notes = static_cast<VerifyNotes*>(SSL_get_app_data(ssl));
  if (notes != nullptr && notes->failure.empty()) {
    notes->failure = describeVerifyError(X509_STORE_CTX_get_error(store),
                                         X509_STORE_CTX_get_current_cert(store), notes->now);
  }
  return 0;
}

Result<std::shared_ptr<TlsContext>> makeContext(const SSL_METHOD* method, std::string_view caPem,
                                                const Credentials& credentials) {
  auto ca = parseCertificate(caPem);
  if (!ca) return ca.status().withContext("CA");
  auto context = std::make_shared<TlsContext>();
  context->ssl.reset(SSL_CTX_new(method));
  SSL_CTX* ctx = context->ssl.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
  // AES-128 first: the fastest where the CPU has AES, and as strong as P-256.
  SSL_CTX_set_ciphersuites(
      ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, onVerify);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->get());
  SSL_CTX_add_client_CA(ctx, ca->get());
  if (!credentials.certificatePem.empty()) {
    if (Status used = useCredentials(*context, credentials); !used) return used;
  }
  return context;
}

/// RPC where the client offers it; else none is chosen, and HTTP/1.1 is spoken.
int chooseProtocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* size,
                   const unsigned char* offered, unsigned int offeredSize, void* /*context*/) {
  const std::string_view wanted(kRpcProtocol);
  for (unsigned int at = 0; at < offeredSize; at += 1u + offered[at]) {
    const std::string_view name(reinterpret_cast<const char*>(offered) + at + 1, offered[at]);
    if (name != wanted) continue;
    *chosen = offered + at + 1;
    *size = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

/// What OpenSSL reads and writes: encrypted bytes that have come, and those that are to go.
struct Wire {
  Bytes in;
  std::string out;
};

int readWire(BIO* bio, char* data, std::size_t size, std::size_t* count) {
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (wire.in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  *count = std::min(size, wire.in.size());
  std::memcpy(data, wire.in.data(), *count);
  wire.in = wire.in.subspan(*count);
  return 1;
}

int writeWire(BIO* bio, const char* data, std::size_t size, std::size_t* count) {
  static_cast<Wire*>(BIO_get_data(bio))->out.append(data, size);
  *count = size;
  return 1;
}

long controlWire(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* wireMethod() {
  static const std::unique_ptr<BIO_METHOD, OpensslDeleter<BIO_meth_free>> method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "podlab wire");
    BIO_meth_set_read_ex(made, readWire);
    BIO_meth_set_write_ex(made, writeWire);
    BIO_meth_set_ctrl(made, controlWire);
    return std::unique_ptr<BIO_METHOD, OpensslDeleter<BIO_meth_free>>(made);
  }();
  return method.get();
}

/// TLS over any ByteStream: OpenSSL reads and writes memory, this class moves the bytes.
class TlsStream final : public ByteStream {
 public:
  TlsStream(const TlsContext& context, std::unique_ptr<ByteStream> under, WallTime now)
      : under_(std::move(under)), ssl_(SSL_new(context.ssl.get())) {
    notes_.now = now;
    SSL_set_app_data(ssl_.get(), &notes_);
    X509_VERIFY_PARAM_set_time(
        SSL_get0_param(ssl_.get()),
        std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
    BIO* bio = BIO_new(wireMethod());
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);  // the SSL owns it from here on
  }

  void beServer() { SSL_set_accept_state(ssl_.get()); }

  Status beClientOf(const std::string& serverName) {
    SSL_set_connect_state(ssl_.get());
    in6_addr address{};
    bool numeric = ::inet_pton(AF_INET, serverName.c_str(), &address) == 1 ||
                   ::inet_pton(AF_INET6, serverName.c_str(), &address) == 1;
    bool done =
        numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), serverName.c_str()) == 1
                : SSL_set1_host(ssl_.get(), serverName.c_str()) == 1 &&
                      SSL_set_tlsext_host_name(ssl_.get(), serverName.c_str()) == 1;
    if (done) return Status();
    return Status(Code::kBadRequest, "server name \"" + serverName + "\": " + takeOpensslError());
  }

  Co<Status> handshake() {
    while (true) {
      ERR_clear_error();
      int done = SSL_do_handshake(ssl_.get());
      int error = SSL_get_error(ssl_.get(), done);
      Status failure = done == 1 || error == SSL_ERROR_WANT_READ ? Status() : protocolFailure();
      // Also after a failure: the peer learns from the alert what was wrong.
      Status sent = co_await flush();
      if (!failure) co_return failure;
      if (!sent) co_return sent;
      if (done == 1) break;
      Status filled = co_await fill();
      if (filled.is(Code::kEndOfStream)) {
        co_return Status(Code::kUnavailable, peer() + ": closed during the TLS handshake");
      }
      if (!filled) co_return filled;
      if (isPlainHttp()) co_return Status(Code::kUnavailable, kPlainHttpReply);
    }
    SSL_set_app_data(ssl_.get(), nullptr);
    if (X509* certificate = SSL_get0_peer_certificate(ssl_.get())) {
      auto names = subjectValues(certificate, NID_commonName);
      if (!names.empty()) identity_.commonName = names.front();
      identity_.organizations = subjectValues(certificate, NID_organizationName);
    }
    co_return Status();
  }

  Co<Result<std::size_t>> read(MutableBytes out) override {
    while (true) {
      if (closed_) co_return closedStatus();
      ERR_clear_error();
      std::size_t n = 0;
      int done = SSL_read_ex(ssl_.get(), out.data(), out.size(), &n);
      if (done == 1) co_return n;
      int error = SSL_get_error(ssl_.get(), done);
      if (error == SSL_ERROR_ZERO_RETURN) {
        co_return Status(Code::kEndOfStream, peer() + ": end of stream");
      }
      if (error != SSL_ERROR_WANT_READ) co_return protocolFailure();
      // Answers to key updates leave with the next write; a peer that asks for more is attacking.
      if (wire_.out.size() > kMaxUnasked) {
        co_return Status(Code::kUnavailable, peer() + ": floods with TLS key updates");
      }
      Status filled = co_await fill();
      if (!filled) co_return filled;
    }
  }

  Co<Status> write(Bytes data) override {
    while (!data.empty()) {
      if (closed_) co_return closedStatus();
      std::size_t batch = std::min(data.size(), kWriteBatch);
      wire_.out.reserve(wire_.out.size() + batch + kOverhead);
      ERR_clear_error();
      for (std::size_t offset = 0; offset < batch;) {
        std::size_t n = 0;
        std::size_t size = std::min(batch - offset, kRecord);
        if (SSL_write_ex(ssl_.get(), data.data() + offset, size, &n) != 1) {
          co_return protocolFailure();
        }
        offset += n;
      }
      data = data.subspan(batch);
      Status sent = co_await flush();
      if (!sent) co_return sent;
    }
    co_return Status();
  }

  void close() override {
    closed_ = true;
    under_->close();
  }

  std::string peer() const override { return under_->peer(); }
  PeerIdentity peerIdentity() const override { return identity_; }

  bool speaksRpc() const {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return size > 0;
  }

 private:
  /// Whether what has come from the server is the beginning of an HTTP response.
  bool isPlainHttp() const {
    constexpr std::string_view kStart = "HTTP/";
    return SSL_is_server(ssl_.get()) == 0 && wire_.in.size() >= kStart.size() &&
           std::memcmp(wire_.in.data(), kStart.data(), kStart.size()) == 0;
  }
  Status closedStatus() const { return Status(Code::kCanceled, peer() + ": closed by this side"); }

  Status protocolFailure() {
    if (!notes_.failure.empty()) return Status(Code::kUnauthorized, peer() + ": " + notes_.failure);
    unsigned long error = ERR_peek_last_error();
    std::string text = takeOpensslError();
    // Reasons above 1,000 are alerts that the peer sent (RFC 8446, 6): 42 to 49 and 116 speak of
    // our certificate.
    int alert = ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET;
    bool aboutCertificate = (alert >= 42 && alert <= 49) || alert == 116;
    if (aboutCertificate) {
      return Status(Code::kUnauthorized, peer() + ": the peer refused our certificate: " + text);
    }
    return Status(Code::kUnavailable, peer() + ": TLS: " + text);
  }

  Co<Status> flush() {
    if (wire_.out.empty()) co_return Status();
    std::string sending = std::exchange(wire_.out, {});
    co_return co_await under_->write(std::as_bytes(std::span(sending)));
  }

  /// Encrypted bytes from below into OpenSSL.
  Co<Status> fill() {
    if (wantedInput_ != inputSize_ || !input_) {
      inputSize_ = wantedInput_;
      input_ = std::make_unique_for_overwrite<std::byte[]>(inputSize_);
    }
    auto got = co_await under_->read(MutableBytes(input_.get(), inputSize_));
    if (!got) co_return got.status();
    wire_.in = Bytes(input_.get(), *got);
    // Small while little comes, so that an idle stream costs little memory.
    if (*got == inputSize_) {
      wantedInput_ = std::min(inputSize_ * 4, kWriteBatch);
    } else if (*got < inputSize_ / 8) {
      wantedInput_ = kSmallInput;
    }
    co_return Status();
  }

  static constexpr std::size_t kSmallInput = 1024;

  std::unique_ptr<ByteStream> under_;
  VerifyNotes notes_;
  Wire wire_;
  SslPtr ssl_;
  std::unique_ptr<std::byte[]> input_;  ///< what wire_.in shows
  std::size_t inputSize_ = 0;
  std::size_t wantedInput_ = kSmallInput;
  PeerIdentity identity_;
  bool closed_ = false;
};

Co<Result<std::unique_ptr<TlsStream>>> shakeHands(std::unique_ptr<TlsStream> stream, Clock& clock,
                                                  Duration timeout) {
  Status outcome;
  auto run = [](TlsStream& tls, Status& result) -> Co<void> { result = co_await tls.handshake(); };
  bool inTime = co_await withDeadline(clock, clock.now() + timeout, run(*stream, outcome));
  if (!inTime) {
    co_return Status(Code::kTimeout,
                     stream->peer() + ": no TLS handshake within " + formatDuration(timeout));
  }
  if (!outcome) co_return outcome;
  co_return std::move(stream);
}

Co<Result<std::unique_ptr<ByteStream>>> asByteStream(Co<Result<std::unique_ptr<TlsStream>>> made) {
  auto stream = co_await std::move(made);
  if (!stream) co_return stream.status();
  co_return std::unique_ptr<ByteStream>(std::move(*stream));
}

class TlsDialer final : public Dialer {
 public:
  TlsDialer(Dialer& inner, Clock& clock, std::shared_ptr<TlsContext> context,
            std::string serverName)
      : inner_(inner),
        clock_(clock),
        context_(std::move(context)),
        serverName_(std::move(serverName)) {}

  Co<Result<std::unique_ptr<ByteStream>>> dial(std::string address) override {
    std::string name = serverName_;
    if (name.empty()) {
      auto target = splitHostPort(address);
      if (!target) co_return target.status();
      name = target->host;
    }
    auto stream = co_await inner_.dial(std::move(address));
    if (!stream) co_return stream.status();
    co_return co_await tlsConnect(context_, clock_, std::move(*stream), std::move(name));
  }

 private:
  Dialer& inner_;
  Clock& clock_;
  std::shared_ptr<TlsContext> context_;
  std::string serverName_;
};

/// What accepts from one socket and shakes hands, for one listener or two.
struct Handshakes {
  Handshakes(const asio::any_io_executor& executor, Clock& c, std::unique_ptr<Listener> in,
             std::shared_ptr<TlsContext> ctx, Duration t)
      : clock(c), inner(std::move(in)), context(std::move(ctx)), timeout(t), tasks(executor) {}

  static Co<void> acceptAll(std::shared_ptr<Handshakes> state) {
    while (true) {
      while (state->inHand >= kMaxHandshakes) co_await state->fewer.wait();
      auto stream = co_await state->inner->accept();
      if (!stream) {
        if (stream.status().is(Code::kCanceled)) co_return;
        // Out of file descriptors, most likely: others must close some first.
        logWarning("accept_failed", {{"error", stream.status()}});
        co_await state->clock.sleepFor(std::chrono::milliseconds(100));
        continue;
      }
      ++state->inHand;
      state->tasks.spawn("tls_handshake", handshake(state, std::move(*stream)));
    }
  }

  static Co<void> handshake(std::shared_ptr<Handshakes> state, std::unique_ptr<ByteStream> stream) {
    std::string peer = stream->peer();
    auto tls =
        std::make_unique<TlsStream>(*state->context, std::move(stream), state->clock.wallNow());
    tls->beServer();
    auto secured = co_await shakeHands(std::move(tls), state->clock, state->timeout);
    if (secured) {
      auto& ready = state->isSplit && (*secured)->speaksRpc() ? state->rpc : state->others;
      ready.push(std::move(*secured));
      co_return;
    }
    --state->inHand;
    state->fewer.notifyOne();
    logInfo("tls_handshake_failed", {{"peer", peer}, {"error", secured.status()}});
  }

  using Ready = AsyncQueue<std::unique_ptr<ByteStream>>;
  Clock& clock;
  std::unique_ptr<Listener> inner;
  std::shared_ptr<TlsContext> context;
  Duration timeout;
  bool isSplit = false;
  Ready rpc;
  Ready others;
  std::size_t inHand = 0;  ///< shaking hands, or waiting to be accepted
  WaitQueue fewer;
  TaskGroup tasks;
};

/// Closing one of two closes the socket for both.
class TlsListener final : public Listener {
 public:
  TlsListener(std::shared_ptr<Handshakes> state, Handshakes::Ready& ready)
      : state_(std::move(state)), ready_(ready) {}
  ~TlsListener() override { TlsListener::close(); }

  Co<Result<std::unique_ptr<ByteStream>>> accept() override {
    auto state = state_;
    auto stream = co_await ready_.pop();
    if (!stream) co_return Status(Code::kCanceled, "accept: closed by this side");
    --state->inHand;
    state->fewer.notifyOne();
    co_return std::move(*stream);
  }
  std::string address() const override { return state_->inner->address(); }
  void close() override {
    state_->inner->close();
    ready_.close();
    state_->tasks.cancel();
  }

 private:
  std::shared_ptr<Handshakes> state_;
  Handshakes::Ready& ready_;  ///< of state_
};

std::shared_ptr<Handshakes> startHandshakes(const asio::any_io_executor& executor, Clock& clock,
                                            std::unique_ptr<Listener> inner,
                                            std::shared_ptr<TlsContext> context, Duration timeout) {
  auto state =
      std::make_shared<Handshakes>(executor, clock, std::move(inner), std::move(context), timeout);
  state->tasks.spawn("tls_listener", Handshakes::acceptAll(state));
  return state;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> makeServerTls(std::string_view caPem,
                                                  const Credentials& credentials) {
  return makeContext(TLS_server_method(), caPem, credentials);
}

Result<std::shared_ptr<TlsContext>> makeClientTls(std::string_view caPem,
                                                  const Credentials& credentials) {
  return makeContext(TLS_client_method(), caPem, credentials);
}

Status useCredentials(TlsContext& context, const Credentials& credentials) {
  auto certificate = parseCertificate(credentials.certificatePem);
  if (!certificate) return certificate.status();
  auto key = parseKey(credentials.keyPem);
  if (!key) return key.status();
  if (SSL_CTX_use_cert_and_key(context.ssl.get(), certificate->get(), key->get(), nullptr, 1) != 1)
    return Status(Code::kInvalid, "certificate and key: " + takeOpensslError());
  return Status();
}

void offerRpc(TlsContext& context) {
  const std::string name(kRpcProtocol);
  const std::string wire = static_cast<char>(name.size()) + name;
  SSL_CTX_set_alpn_protos(context.ssl.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned int>(wire.size()));
}

std::shared_ptr<TlsContext> makeUnverifyingClientTls() {
  auto context = std::make_shared<TlsContext>();
  context->ssl.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context->ssl.get(), TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context->ssl.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(context->ssl.get(), SSL_VERIFY_NONE, nullptr);
  return context;
}

Co<Result<std::unique_ptr<ByteStream>>> tlsAccept(std::shared_ptr<TlsContext> context, Clock& clock,
                                                  std::unique_ptr<ByteStream> stream,
                                                  Duration timeout) {
  auto tls = std::make_unique<TlsStream>(*context, std::move(stream), clock.wallNow());
  tls->beServer();
  co_return co_await asByteStream(shakeHands(std::move(tls), clock, timeout));
}

Co<Result<std::unique_ptr<ByteStream>>> tlsConnect(std::shared_ptr<TlsContext> context,
                                                   Clock& clock, std::unique_ptr<ByteStream> stream,
                                                   std::string serverName, Duration timeout) {
  auto tls = std::make_unique<TlsStream>(*context, std::move(stream), clock.wallNow());
  Status named = tls->beClientOf(serverName);
  if (!named) co_return named;
  co_return co_await asByteStream(shakeHands(std::move(tls), clock, timeout));
}

std::unique_ptr<Dialer> makeTlsDialer(Dialer& inner, Clock& clock,
                                      std::shared_ptr<TlsContext> context, std::string serverName) {
  return std::make_unique<TlsDialer>(inner, clock, std::move(context), std::move(serverName));
}

std::unique_ptr<Listener> makeTlsListener(const asio::any_io_executor& executor, Clock& clock,
                                          std::unique_ptr<Listener> inner,
                                          std::shared_ptr<TlsContext> context, Duration timeout) {
  auto state = startHandshakes(executor, clock, std::move(inner), std::move(context), timeout);
  return std::make_unique<TlsListener>(state, state->others);
}

TlsListeners makeTlsListeners(const asio::any_io_executor& executor, Clock& clock,
                              std::unique_ptr<Listener> inner, std::shared_ptr<TlsContext> context,
                              Duration timeout) {
  SSL_CTX_set_alpn_select_cb(context->ssl.get(), chooseProtocol, nullptr);
  auto state = startHandshakes(executor, clock, std::move(inner), std::move(context), timeout);
  state->isSplit = true;
  return {std::make_unique<TlsListener>(state, state->rpc),
          std::make_unique<TlsListener>(state, state->others)};
}

}  // namespace podlab::transport
