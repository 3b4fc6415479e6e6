#include "cli/node_membership.hpp"

#include <asio.hpp>

#include "api/bootstrap_tokens.hpp"
#include "apiserver/node_join.hpp"
#include "cli/executable.hpp"
#include "common/log.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::cli {
namespace {

constexpr std::uint16_t kPort = 6443;
constexpr Duration kFirstRetry = std::chrono::milliseconds(500);
constexpr Duration kLastRetry = std::chrono::seconds(5);

std::string caFile(const std::string& folder) {
  return folder + "/ca.crt";
}
std::string ownFile(const std::string& folder) {
  return folder + "/node.pem";
}
std::string settingsFile(const std::string& folder) {
  return folder + "/settings";
}
std::string newKeyFile(const std::string& folder) {
  return folder + "/node.key";
}
std::string requestFile(const std::string& folder) {
  return folder + "/node.csr";
}

Co<Status> callOnce(asio::any_io_executor executor, Clock& clock,
                    std::shared_ptr<transport::TlsContext> tls, std::string server,
                    std::string method, const google::protobuf::MessageLite& request,
                    google::protobuf::MessageLite& answer) {
  transport::offerRpc(*tls);
  auto tcp = transport::makeTcpDialer(executor, clock);
  auto dialer = transport::makeTlsDialer(*tcp, clock, tls, transport::kServerName);
  auto stream = co_await dialer->dial(std::move(server));
  if (!stream) co_return stream.status();
  auto connection = rpc::makeConnection(executor, clock, std::move(*stream), false, nullptr);
  Status status = co_await connection->call(std::move(method), request, answer);
  connection->close();
  (void)co_await connection->closed();
  co_return status;
}

/// The CA of whoever answers there, when it is the one of the token.
Co<Result<std::string>> discoverAuthority(asio::any_io_executor executor, Clock& clock,
                                          std::string server, std::string expectedHash) {
  const rpc::AuthorityRequest request;
  rpc::AuthorityAnswer answer;
  Status status = co_await callOnce(executor, clock, transport::makeUnverifyingClientTls(), server,
                                    "authority", request, answer);
  if (!status) co_return status;
  const auto hash = transport::publicKeyHash(answer.certificate());
  if (!hash) co_return hash.status().withContext("the CA of " + server);
  if (*hash != expectedHash) {
    co_return Status(Code::kUnauthorized,
                     "the server at " + server + " has a CA of hash " + *hash +
                         ", the token says " + expectedHash +
                         ": the token is of another cluster, or somebody is between");
  }
  co_return answer.certificate();
}

Status store(Filesystem& files, const std::string& folder, const Membership& membership) {
  Status status = files.writeFileAtomic(caFile(folder), membership.caPem, 0644);
  if (status.ok()) {
    status = files.writeFileAtomic(settingsFile(folder), membership.settings.SerializeAsString());
  }
  // The last: whoever sees it has all.
  if (status.ok()) {
    status = files.writeFileAtomic(ownFile(folder),
                                   membership.own.certificatePem + membership.own.keyPem, 0600);
  }
  return status;
}

/// What a server answers must be for our key, and of the CA that we trust.
Status checkAnswer(const rpc::CertificateAnswer& answer, const Membership& membership,
                   const std::string& node, WallTime now) {
  if (Status bad = transport::verifyCertificate(answer.certificate(), membership.caPem, now); !bad)
    return bad;
  auto tls =
      transport::makeClientTls(membership.caPem, {answer.certificate(), membership.own.keyPem});
  if (!tls) return tls.status();
  auto info = transport::inspectCertificate(answer.certificate());
  if (!info) return info.status();
  const std::string expected = apiserver::nodeCertificate(node).commonName;
  if (info->commonName == expected) return {};
  return Status(Code::kInternal, "the server has issued a certificate for \"" + info->commonName +
                                     "\" instead of \"" + expected + "\"");
}

/// The key and signing request of this attempt to join: those of the last, if it was cut off.
Result<std::pair<std::string, std::string>> signingRequest(Filesystem& files,
                                                           const std::string& folder,
                                                           const std::string& node) {
  auto key = files.readFile(newKeyFile(folder));
  auto request = files.readFile(requestFile(folder));
  if (key && request) return std::pair(*key, *request);
  key = transport::makeKey();
  if (!key) return key.status();
  request = transport::makeSigningRequest(*key, apiserver::nodeCertificate(node));
  if (!request) return request.status();
  Status status = files.writeFileAtomic(newKeyFile(folder), *key, 0600);
  if (status.ok()) status = files.writeFileAtomic(requestFile(folder), *request, 0600);
  if (!status.ok()) return status;
  return std::pair(*key, *request);
}

/// Whether what is kept is what is asked for.
Status checkMembership(const Membership& kept, const AgentProcessOptions& agent, WallTime now) {
  const std::string leave = "; leave that cluster first: podlab agent --cleanup";
  const std::string name = kept.nodeName();
  if (name != agent.name) {
    return Status(Code::kConflict, "--node-name: this machine is node \"" + name +
                                       "\" of a cluster, not \"" + agent.name + "\"" + leave);
  }
  if (!agent.token.empty()) {
    auto token = api::parseJoinToken(agent.token);
    if (!token) return token.status().withContext("--token");
    const auto hash = transport::publicKeyHash(kept.caPem);
    if (!hash || *hash != token->caHash) {
      return Status(Code::kConflict, "--token: this machine is node \"" + name +
                                         "\" of another cluster than the token's" + leave);
    }
  }
  Status valid = transport::verifyCertificate(kept.own.certificatePem, kept.caPem, now);
  if (valid) return valid;
  return Status(valid.code(), valid.message() + "; or join anew: podlab node rm " + name +
                                  " at the server, podlab agent --cleanup here, and a new token");
}

}  // namespace

std::string Membership::nodeName() const {
  const auto info = transport::inspectCertificate(own.certificatePem);
  const std::string_view prefix = apiserver::kNodeUserPrefix;
  return info && info->commonName.starts_with(prefix) ? info->commonName.substr(prefix.size()) : "";
}

Result<std::optional<Membership>> readMembership(Filesystem& files, const std::string& folder) {
  auto own = files.readFile(ownFile(folder));
  if (own.status().is(Code::kNotFound)) return std::optional<Membership>();
  auto ca = files.readFile(caFile(folder));
  auto settings = files.readFile(settingsFile(folder));
  for (const auto* part : {&own, &ca, &settings}) {
    if (!*part) return part->status();
  }
  Membership membership;
  membership.caPem = std::move(*ca);
  membership.own = {*own, *own};
  if (!membership.settings.ParseFromString(*settings))
    return Status(Code::kInvalid, settingsFile(folder) + " is malformed");
  return std::optional(std::move(membership));
}

Co<Result<Membership>> joinCluster(asio::any_io_executor executor, Clock& clock, Filesystem& files,
                                   std::string folder, JoinRequest wanted) {
  const auto token = api::parseJoinToken(wanted.token);
  if (!token) co_return token.status().withContext("--token");
  Membership membership;
  auto ca = co_await discoverAuthority(executor, clock, wanted.server, token->caHash);
  if (!ca) co_return ca.status();
  membership.caPem = std::move(*ca);
  Status made = files.createDirectories(folder, 0700);
  if (!made) co_return made;
  auto prepared = signingRequest(files, folder, wanted.node);
  if (!prepared) co_return prepared.status();
  membership.own.keyPem = prepared->first;

  auto tls = transport::makeClientTls(membership.caPem);
  if (!tls) co_return tls.status();
  rpc::JoinRequest request;
  request.set_token(token->token.text());
  request.set_node(wanted.node);
  request.set_signingrequest(prepared->second);
  request.set_version(versionText());
  rpc::CertificateAnswer answer;
  Status joined = co_await callOnce(executor, clock, *tls, wanted.server, "join", request, answer);
  // What is refused may be asked in another way the next time.
  if (!joined && !joined.is(Code::kUnavailable) && !joined.is(Code::kTimeout)) {
    (void)files.removeFile(requestFile(folder));
    (void)files.removeFile(newKeyFile(folder));
  }
  if (!joined) co_return joined;
  if (Status bad = checkAnswer(answer, membership, wanted.node, clock.wallNow()); !bad)
    co_return bad;
  membership.own.certificatePem = answer.certificate();
  membership.settings = answer.settings();
  if (Status stored = store(files, folder, membership); !stored) co_return stored;
  (void)files.removeFile(requestFile(folder));
  (void)files.removeFile(newKeyFile(folder));
  logInfo("joined", {{"node", wanted.node}, {"server", wanted.server}});
  co_return membership;
}

Co<Result<Membership>> takeMembership(asio::any_io_executor executor, Clock& clock,
                                      Filesystem& files, AgentProcessOptions agent,
                                      std::optional<Duration> patience) {
  const std::string folder = agent.membershipFolder();
  auto kept = readMembership(files, folder);
  if (!kept) co_return kept.status();
  if (*kept) {
    if (Status fits = checkMembership(**kept, agent, clock.wallNow()); !fits) co_return fits;
    co_return std::move(**kept);
  }
  if (agent.token.empty()) {
    co_return Status(Code::kBadRequest,
                     "--token: this machine has not joined yet; get a token by podlab token "
                     "create on the server's machine");
  }
  Duration retry = kFirstRetry;
  const MonoTime begun = clock.now();
  for (bool told = false;; told = true) {
    JoinRequest request{agent.join, agent.token, agent.name};
    auto joined = co_await joinCluster(executor, clock, files, folder, std::move(request));
    if (joined) co_return joined;
    const Status& why = joined.status();
    if (!why.is(Code::kUnavailable) && !why.is(Code::kTimeout)) co_return why;
    if (patience && clock.now() - begun + retry > *patience) co_return why;
    if (!told) logWarning("server_unreachable", {{"server", agent.join}, {"error", why}});
    co_await clock.sleepFor(retry);
    retry = std::min(2 * retry, kLastRetry);
  }
}

Co<Status> renewMembership(rpc::Connection& connection, Clock& clock, Filesystem& files,
                           std::string folder, Membership& membership) {
  const std::string node = membership.nodeName();
  Membership next = membership;
  auto key = transport::makeKey();
  if (!key) co_return key.status();
  next.own.keyPem = std::move(*key);
  auto csr = transport::makeSigningRequest(next.own.keyPem, apiserver::nodeCertificate(node));
  if (!csr) co_return csr.status();
  rpc::RenewRequest request;
  request.set_signingrequest(*csr);
  rpc::CertificateAnswer answer;
  Status status = co_await connection.call("renew", request, answer);
  if (!status) co_return status;
  if (Status bad = checkAnswer(answer, next, node, clock.wallNow()); !bad) co_return bad;
  next.own.certificatePem = answer.certificate();
  next.settings = answer.settings();
  if (Status stored = store(files, folder, next); !stored) co_return stored;
  membership = std::move(next);
  co_return Status();
}

Result<std::string> serverOfUrl(const std::string& url) {
  const auto refuse = [&] {
    return Status(Code::kBadRequest, "--join: \"" + url + "\" is not https://HOST[:PORT]");
  };
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) return refuse();
  std::string place = url.substr(kScheme.size());
  while (place.ends_with('/')) place.pop_back();
  if (place.empty() || place.find_first_of("/?#@ ") != std::string::npos) return refuse();
  const bool bare =
      place.ends_with(']') || (place.front() != '[' && place.find(':') == std::string::npos);
  if (bare) place += ":" + std::to_string(kPort);
  auto parsed = transport::splitHostPort(place);
  if (!parsed || parsed->host.empty() || parsed->port == 0) return refuse();
  return place;
}

}  // namespace podlab::cli
