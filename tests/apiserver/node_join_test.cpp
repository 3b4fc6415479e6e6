#include "apiserver/node_join.hpp"

#include <gmock/gmock.h>

#include "api/bootstrap_tokens.hpp"
#include "apiserver/rpc_server.hpp"
#include "tests/apiserver/fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::apiserver {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

const api::BootstrapToken kToken{"abcdef", "0123456789abcdef"};

class NodeJoinTest : public ServiceTest {
 protected:
  NodeJoinTest() {
    auto authority = transport::CertificateAuthority::create("ca", clock_.wallNow(), rng_);
    caPem_ = authority->certificatePem();
    relay_ = std::make_unique<StreamRelay>(*service_, clock_, rng_);
    NodeJoinOptions options;
    options.settings.set_backend("host-gw");
    join_ = std::make_unique<NodeJoin>(*service_, *relay_, std::move(*authority), clock_, rng_,
                                       options);
    const auto byPeer = [](const ByteStream& stream) {
      const std::string name = stream.peer();
      if (name.starts_with(kNodeUserPrefix)) return User{name, {std::string(kNodes)}};
      return userOf(stream.peerIdentity());
    };
    server_ = std::make_unique<RpcServer>(*service_, *relay_, clock_, io_.get_executor(), byPeer);
    server_->offer(*join_);
    server_->serve(*network_.listen("server"));
    client_ = connect("stranger");
  }
  ~NodeJoinTest() override {
    client_.reset();
    run(server_->stop());
    clock_.runUntilIdle();
  }

  std::shared_ptr<rpc::Connection> connect(const std::string& user) {
    auto dialer = network_.dialer(user);
    auto stream = run(dialer->dial("server"));
    EXPECT_TRUE(stream.ok());
    auto made = rpc::makeConnection(io_.get_executor(), clock_, std::move(*stream), false, nullptr);
    clock_.advance(seconds(1));
    return made;
  }

  void addToken(std::optional<WallTime> expiration, const std::string& usage = "true") {
    corev1::Secret secret = api::toSecret(kToken, expiration, "");
    (*secret.mutable_data())["usage-bootstrap-authentication"] = usage;
    ASSERT_TRUE(create(std::move(secret)).ok());
  }

  static std::string requestFor(const std::string& node) {
    return *transport::makeSigningRequest(*transport::makeKey(), nodeCertificate(node));
  }
  Result<rpc::CertificateAnswer> join(const std::string& node, const std::string& signingRequest,
                                      const std::string& token = kToken.text()) {
    rpc::JoinRequest request;
    request.set_token(token);
    request.set_node(node);
    request.set_signingrequest(signingRequest);
    rpc::CertificateAnswer answer;
    const Status status = run(client_->call("join", request, answer));
    if (!status) return status;
    return answer;
  }
  Status joinAs(const std::string& node) { return join(node, requestFor(node)).status(); }

  transport::MemoryNetwork network_;
  std::string caPem_;
  std::unique_ptr<StreamRelay> relay_;
  std::unique_ptr<NodeJoin> join_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<rpc::Connection> client_;
};

TEST_F(NodeJoinTest, AStrangerLearnsTheAuthority) {
  rpc::AuthorityAnswer answer;
  ASSERT_TRUE(run(client_->call("authority", rpc::AuthorityRequest(), answer)).ok());
  EXPECT_EQ(answer.certificate(), caPem_);
}

TEST_F(NodeJoinTest, ATokenMakesACertificateOfTheNode) {
  addToken(clock_.wallNow() + hours(1));
  auto answer = join("n1", requestFor("n1"));
  ASSERT_TRUE(answer.ok()) << answer.status().toString();
  EXPECT_EQ(answer->settings().backend(), "host-gw");
  EXPECT_TRUE(transport::verifyCertificate(answer->certificate(), caPem_, clock_.wallNow()).ok());
  const auto info = transport::inspectCertificate(answer->certificate());
  EXPECT_EQ(info->commonName, "system:node:n1");
  EXPECT_EQ(info->organizations, std::vector<std::string>{"system:nodes"});
}

TEST_F(NodeJoinTest, BadTokensAreRefusedWithTheReason) {
  EXPECT_THAT(joinAs("n1").message(), HasSubstr("is not one of this cluster"));
  addToken(clock_.wallNow() + hours(1));
  const auto refusal = [&](const std::string& token) {
    return join("n1", requestFor("n1"), token).status();
  };
  EXPECT_TRUE(refusal("abcdef.0123456789abcdeX").is(Code::kBadRequest));
  EXPECT_TRUE(refusal("").is(Code::kBadRequest));
  const Status wrong = refusal("abcdef.0123456789abcdeg");
  EXPECT_TRUE(wrong.is(Code::kUnauthorized));
  EXPECT_THAT(wrong.message(), HasSubstr("is not one of this cluster"));
  EXPECT_TRUE(joinAs("n1").ok());
}

TEST_F(NodeJoinTest, ATokenThatIsNotForJoiningIsRefused) {
  addToken(std::nullopt, "false");
  EXPECT_THAT(joinAs("n1").message(), HasSubstr("usage-bootstrap-authentication"));
}

TEST_F(NodeJoinTest, TokensExpireAndGo) {
  addToken(clock_.wallNow() + seconds(90));
  EXPECT_TRUE(joinAs("n1").ok());
  clock_.advance(seconds(59));
  client_ = connect("stranger");
  EXPECT_TRUE(joinAs("n2").ok());
  clock_.advance(seconds(31));
  client_ = connect("stranger");
  const Status late = joinAs("n3");
  EXPECT_TRUE(late.is(Code::kUnauthorized));
  EXPECT_THAT(late.message(), HasSubstr("expired at 2026-01-01T00:01:3"));
  clock_.advance(minutes(1));
  api::ResourceId id{&api::kindFor<corev1::Secret>(), "kube-system", kToken.secretName(), ""};
  EXPECT_TRUE(run(admin_->get(id)).status().is(Code::kNotFound));
}

TEST_F(NodeJoinTest, ANameThatIsTakenIsRefused) {
  addToken(std::nullopt);
  corev1::Node node;
  node.mutable_metadata()->set_name("n1");
  ASSERT_TRUE(create(node).ok());
  EXPECT_THAT(joinAs("n1").message(), HasSubstr("podlab node rm n1"));
  auto agent = connect("system:node:n1");
  const Status alive = joinAs("n1");
  EXPECT_TRUE(alive.is(Code::kAlreadyExists));
  EXPECT_THAT(alive.message(), HasSubstr("alive, on another machine"));
  EXPECT_THAT(alive.message(), HasSubstr("--node-name"));
  EXPECT_THAT(joinAs("N 2").message(), HasSubstr("--node-name"));
  agent.reset();
  clock_.advance(seconds(2));
}

TEST_F(NodeJoinTest, OfTwoThatJoinByOneNameAtATimeTheFirstGetsIt) {
  addToken(std::nullopt);
  const std::string first = requestFor("n1");
  EXPECT_TRUE(join("n1", first).ok());
  EXPECT_TRUE(join("n1", first).ok());  // it has not heard the answer
  EXPECT_THAT(joinAs("n1").message(), HasSubstr("another machine is joining"));
  clock_.advance(seconds(61));
  client_ = connect("stranger");
  EXPECT_TRUE(joinAs("n1").ok());  // the first never came
}

TEST_F(NodeJoinTest, ANameIsFreeAgainWhenItsNodeHasComeAndGone) {
  addToken(clock_.wallNow() + hours(1));
  ASSERT_TRUE(joinAs("n1").ok());
  auto agent = connect("system:node:n1");
  EXPECT_THAT(joinAs("n1").message(), HasSubstr("at this moment"));
  agent->close();
  clock_.advance(seconds(1));
  EXPECT_TRUE(joinAs("n1").ok());
}

TEST_F(NodeJoinTest, ACertificateIsOnlyForTheNameThatWasChecked) {
  addToken(std::nullopt);
  EXPECT_THAT(join("n1", requestFor("n2")).status().message(), HasSubstr("not for"));
  EXPECT_TRUE(join("n1", "nonsense").status().is(Code::kInvalid));
  auto masters = nodeCertificate("n1");
  masters.organizations = {"system:masters"};
  const auto request = transport::makeSigningRequest(*transport::makeKey(), masters);
  EXPECT_TRUE(join("n1", *request).status().is(Code::kInvalid));
}

TEST_F(NodeJoinTest, ANodeRenewsItsOwnCertificateAndNoOther) {
  rpc::CertificateAnswer answer;
  rpc::RenewRequest request;
  request.set_signingrequest(requestFor("n1"));
  EXPECT_TRUE(run(client_->call("renew", request, answer)).is(Code::kForbidden));
  auto agent = connect("system:node:n1");
  ASSERT_TRUE(run(agent->call("renew", request, answer)).ok());
  EXPECT_EQ(transport::inspectCertificate(answer.certificate())->commonName, "system:node:n1");
  request.set_signingrequest(requestFor("n2"));
  EXPECT_TRUE(run(agent->call("renew", request, answer)).is(Code::kInvalid));
  agent.reset();
  clock_.advance(seconds(2));
}

TEST(NodeJoinVersions, MayBeOneMinorVersionApart) {
  struct Case {
    std::string server;
    std::string agent;
    bool fits;
  };
  for (const auto& [server, agent, fits] : std::vector<Case>{{"0.1.0", "0.1.7 (abc)", true},
                                                             {"0.1.0", "0.2.0", true},
                                                             {"0.3.0", "0.2.0", true},
                                                             {"0.1.0", "0.3.0", false},
                                                             {"1.1.0", "0.1.0", false},
                                                             {"0.1.0", "", true},
                                                             {"0.1.0", "nonsense", true}}) {
    const Status status = checkVersions(server, agent);
    EXPECT_EQ(status.ok(), fits) << server << " " << agent;
    if (!fits) EXPECT_THAT(status.message(), HasSubstr("upgrade the older"));
  }
}

TEST_F(NodeJoinTest, WhoDoesNotJoinIsSentAway) {
  clock_.advance(minutes(2));
  rpc::AuthorityAnswer answer;
  EXPECT_TRUE(
      run(client_->call("authority", rpc::AuthorityRequest(), answer)).is(Code::kUnavailable));
  EXPECT_EQ(server_->connections(), 0u);
}

}  // namespace
}  // namespace podlab::apiserver
