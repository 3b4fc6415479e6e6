#include "apiserver/node_join.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "api/bootstrap_tokens.hpp"
#include "api/kinds.hpp"
#include "api/names.hpp"
#include "common/log.hpp"

namespace podlab::apiserver {
namespace {

/// Major and minor number; nullopt when the text does not begin with them.
std::optional<std::pair<int, int>> parseVersion(const std::string& text) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(text.c_str(), "%4d.%4d", &major, &minor) != 2) return std::nullopt;
  return std::pair(major, minor);
}

/// How long a machine that has its certificate may take to connect.
constexpr Duration kPromise = std::chrono::minutes(1);

}  // namespace

Status checkVersions(const std::string& server, const std::string& agent) {
  const auto ours = parseVersion(server);
  const auto theirs = parseVersion(agent);
  if (!ours || !theirs) return {};
  if (ours->first == theirs->first && std::abs(ours->second - theirs->second) <= 1) return {};
  return Status(Code::kConflict, "the agent is of podlab " + agent + ", the server of " + server +
                                     ": they may be one minor version apart; upgrade the older");
}

transport::LeafSpec nodeCertificate(const std::string& node) {
  transport::LeafSpec spec;
  spec.commonName = std::string(kNodeUserPrefix) + node;
  spec.organizations = {std::string(kNodes)};
  spec.client = true;
  return spec;
}

NodeJoin::NodeJoin(ApiService& service, const StreamRelay& relay,
                   transport::CertificateAuthority authority, Clock& clock, Rng& rng,
                   NodeJoinOptions options)
    : relay_(relay),
      api_(service.as(systemUser("bootstrap-signer"))),
      authority_(std::move(authority)),
      clock_(clock),
      rng_(rng),
      options_(std::move(options)) {}

bool NodeJoin::serves(std::string_view method) {
  return method == "authority" || method == "join" || method == "renew";
}

Co<Status> NodeJoin::serve(User user, rpc::Stream& stream) {
  auto message = co_await stream.receive();
  if (!message) co_return message.status();
  if (stream.method() == "authority") {
    rpc::AuthorityAnswer answer;
    answer.set_certificate(authority_.certificatePem());
    co_return co_await stream.send(rpc::encode(answer));
  }
  Result<rpc::CertificateAnswer> answer = Status(Code::kForbidden, "only nodes renew certificates");
  if (stream.method() == "join") {
    rpc::JoinRequest request;
    if (Status bad = rpc::decode(*message, request); !bad) co_return bad;
    answer = co_await join(std::move(request));
  } else if (const std::string node = user.nodeName(); !node.empty()) {
    rpc::RenewRequest request;
    if (Status bad = rpc::decode(*message, request); !bad) co_return bad;
    answer = certify(node, request.signingrequest());
    if (answer) logInfo("node_certificate_renewed", {{"node", node}});
  }
  if (!answer) co_return answer.status();
  co_return co_await stream.send(rpc::encode(*answer));
}

Co<Result<rpc::CertificateAnswer>> NodeJoin::join(rpc::JoinRequest request) {
  if (Status fits = checkVersions(options_.version, request.version()); !fits) co_return fits;
  const auto token = api::parseBootstrapToken(request.token());
  if (!token) co_return Status(Code::kBadRequest, "the token is not of the form ID.SECRET");
  const api::ResourceId id{&api::kindFor<corev1::Secret>(),
                           std::string(api::kBootstrapTokenNamespace), token->secretName(), ""};
  const auto found = co_await api_->get(id);
  if (!found && !found.status().is(Code::kNotFound)) co_return found.status();
  const corev1::Secret none;
  const auto& secret = found ? api::as<corev1::Secret>(*found) : none;
  if (Status refused = api::checkToken(secret, *token, clock_.wallNow()); !refused) {
    logWarning("join_refused", {{"node", request.node()}, {"error", refused}});
    co_return refused;
  }
  const std::string& node = request.node();
  if (Status taken = co_await checkName(node, request.signingrequest()); !taken) {
    logWarning("join_refused", {{"node", node}, {"error", taken}});
    co_return taken;
  }
  auto answer = certify(node, request.signingrequest());
  if (!answer) co_return answer.status();
  promised_[node] = {request.signingrequest(), clock_.now() + kPromise};
  logInfo("node_joined", {{"node", node}, {"token", token->id}});
  co_return answer;
}

/// Whether a new machine may take the name.
Co<Status> NodeJoin::checkName(std::string node, std::string signingRequest) {
  if (const auto faults = api::faultsOfDns1123Subdomain(node); !faults.empty()) {
    co_return Status(Code::kInvalid, "the node name \"" + node + "\" is invalid: " +
                                         faults.front() + "; give another one by --node-name");
  }
  std::erase_if(promised_,
                [now = clock_.now()](const auto& entry) { return entry.second.until <= now; });
  const api::ResourceId id{&api::kindFor<corev1::Node>(), "", node, ""};
  const auto found = co_await api_->get(id);
  if (!found && !found.status().is(Code::kNotFound)) co_return found.status();
  // The same machine asks again when it has not heard the answer.
  const auto promise = promised_.find(node);
  if (promise != promised_.end() && promise->second.signingRequest == signingRequest)
    co_return Status();
  const std::string name = "node \"" + node + "\"";
  if (!found) {
    if (promise == promised_.end() && !relay_.isConnected(node)) co_return Status();
    co_return Status(Code::kAlreadyExists,
                     "another machine is joining as " + name +
                         " at this moment; give each its own name by --node-name");
  }
  if (relay_.isConnected(node)) {
    co_return Status(Code::kAlreadyExists,
                     name +
                         " is in the cluster and alive, on another machine; give this one "
                         "another name by --node-name");
  }
  co_return Status(Code::kAlreadyExists,
                   name +
                       " is in the cluster already, though not alive; if this machine is to take "
                       "its place, remove that one first: podlab node rm " +
                       node + "; else give another name by --node-name");
}

Result<rpc::CertificateAnswer> NodeJoin::certify(const std::string& node,
                                                 const std::string& signingRequest) {
  transport::LeafSpec spec = nodeCertificate(node);
  spec.validity = options_.certificateLife;
  auto certificate = authority_.sign(signingRequest, spec, clock_.wallNow(), rng_);
  if (!certificate) return certificate.status();
  rpc::CertificateAnswer answer;
  answer.set_certificate(std::move(*certificate));
  *answer.mutable_settings() = options_.settings;
  return answer;
}

}  // namespace podlab::apiserver
