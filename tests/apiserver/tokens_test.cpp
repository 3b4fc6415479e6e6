#include <gmock/gmock.h>

#include "authentication_v1.pb.h"
#include "core_v1_accounts.pb.h"

#include "apiserver/token_authority.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using authenticationv1::TokenRequest;
using authenticationv1::TokenReview;
using corev1::Pod;
using corev1::ServiceAccount;
using testing::ElementsAre;
using testing::HasSubstr;

/// A service whose namespace "default" has the account "default".
class TokensTest : public ServiceTest {
 protected:
  TokensTest() {
    service_->signTokensWith(std::move(*transport::SigningKey::load(kPem)));
    account("default");
  }
  void account(const std::string& name, const std::string& json = "") {
    ServiceAccount made;
    if (json == "no token") made.set_automountserviceaccounttoken(false);
    if (json == "pull secret") made.add_imagepullsecrets()->set_name("registry");
    made.mutable_metadata()->set_name(name);
    ASSERT_TRUE(create(made).ok());
  }
  Result<TokenRequest> request(api::Api& api, const std::string& name, TokenRequest wanted = {}) {
    auto body = std::make_shared<TokenRequest>(std::move(wanted));
    return unwrap<TokenRequest>(
        run(api.create(id<ServiceAccount>(name, "token"), std::move(body), {})));
  }
  std::string token(const std::string& name, TokenRequest wanted = {}) {
    const auto made = request(*admin_, name, std::move(wanted));
    EXPECT_TRUE(made.ok()) << made.status().toString();
    return made ? made->status().token() : "";
  }
  static TokenRequest boundTo(const std::string& kind, const std::string& name) {
    TokenRequest wanted;
    auto& reference = *wanted.mutable_spec()->mutable_boundobjectref();
    reference.set_kind(kind);
    reference.set_apiversion("v1");
    reference.set_name(name);
    return wanted;
  }
  Status judge(const std::string& text) { return service_->tokens()->authenticate(text).status(); }

  static constexpr const char* kPem =
      "-----BEGIN PRIVATE KEY-----\n"
      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgar7CxvON7bKxfGjX\n"
      "GNOXBC0rrZr9rfI6pBpCwNvXjx2hRANCAATf1uG6yoQRJg/zHnf1cizQNZHR0tw4\n"
      "/R67LFKXvQWuMrWjg6fYXTTTrqJgjJxnPIGXK/nZQVZPK9+L2pYrZWCu\n"
      "-----END PRIVATE KEY-----\n";
};

TEST_F(TokensTest, SaysWhoItIs) {
  const auto made = request(*admin_, "default");
  ASSERT_TRUE(made.ok()) << made.status().toString();
  EXPECT_EQ(made->spec().expirationseconds(), 3600);
  EXPECT_THAT(made->spec().audiences(), ElementsAre(std::string(kTokenIssuer)));
  EXPECT_EQ(made->metadata().name(), "default");
  const auto found = service_->tokens()->authenticate(made->status().token());
  ASSERT_TRUE(found.ok()) << found.status().toString();
  EXPECT_EQ(found->user.name, "system:serviceaccount:default:default");
  EXPECT_EQ(found->user.uid, get<ServiceAccount>("default")->metadata().uid());
  EXPECT_THAT(found->user.groups,
              ElementsAre("system:serviceaccounts", "system:serviceaccounts:default",
                          "system:authenticated"));
  EXPECT_THAT(found->user.extra.at("authentication.kubernetes.io/credential-id").front(),
              testing::StartsWith("JTI="));
}

TEST_F(TokensTest, EndsWithItsTime) {
  const std::string text = token("default");
  clock_.advance(std::chrono::seconds(3599));
  EXPECT_TRUE(judge(text).ok());
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(judge(text), Status(Code::kUnauthorized, "service account token has expired"));
}

TEST_F(TokensTest, EndsWithItsAccount) {
  account("bot");
  const std::string text = token("bot");
  EXPECT_TRUE(judge(text).ok());
  ASSERT_TRUE(remove<ServiceAccount>("bot").ok());
  EXPECT_THAT(judge(text).message(), HasSubstr("the account is gone"));
  account("bot");  // another of the same name
  EXPECT_THAT(judge(text).message(), HasSubstr("the account is gone"));
}

TEST_F(TokensTest, EndsWithItsPod) {
  ASSERT_TRUE(create(pod("a")).ok());
  const std::string text = token("default", boundTo("Pod", "a"));
  const auto found = service_->tokens()->authenticate(text);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->user.extra.at("authentication.kubernetes.io/pod-name").front(), "a");
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<Pod>("a", now).ok());
  EXPECT_THAT(judge(text).message(), HasSubstr("its pod is gone"));
}

TEST_F(TokensTest, WhatIsWrongWithARequestIsSaid) {
  TokenRequest brief;
  brief.mutable_spec()->set_expirationseconds(10);
  EXPECT_THAT(
      request(*admin_, "default", brief).status().message(),
      HasSubstr("spec.expirationSeconds: Invalid value: 10: may not specify a duration less "
                "than 10 minutes"));
  EXPECT_EQ(request(*admin_, "none").status().message(), "serviceaccounts \"none\" not found");
  EXPECT_EQ(request(*admin_, "default", boundTo("Pod", "none")).status().code(), Code::kNotFound);
  EXPECT_THAT(request(*admin_, "default", boundTo("Lease", "x")).status().message(),
              HasSubstr("cannot bind token to object of type v1, Kind=Lease"));
  account("bot");
  ASSERT_TRUE(create(pod("a")).ok());
  EXPECT_THAT(request(*admin_, "bot", boundTo("Pod", "a")).status().message(),
              HasSubstr("to pod running with different serviceaccount name"));
  auto other = boundTo("Pod", "a");
  other.mutable_spec()->mutable_boundobjectref()->set_uid("x");
  EXPECT_EQ(request(*admin_, "default", other).status().code(), Code::kConflict);
}

TEST_F(TokensTest, ForgedOnesAreRefused) {
  const std::string good = token("default");
  EXPECT_TRUE(judge(good).ok());
  std::vector<std::string> bad{"",
                               "x",
                               "a.b.c",
                               good + "x",
                               good.substr(0, good.size() - 4),
                               "." + good,
                               good.substr(0, good.rfind('.') + 1)};
  const auto second = good.find('.') + 10;
  std::string claims = good;
  claims[second] = claims[second] == 'A' ? 'B' : 'A';
  bad.push_back(claims);
  // "none" as the algorithm, with the claims that were signed.
  bad.push_back("eyJhbGciOiJub25lIn0" + good.substr(good.find('.')));
  bad.push_back(std::string(100000, 'a'));
  for (const auto& text : bad) EXPECT_EQ(judge(text).code(), Code::kUnauthorized) << text;
  // Of another cluster.
  auto key = transport::SigningKey::create();
  ASSERT_TRUE(key.ok());
  service_->signTokensWith(std::move(*key));
  EXPECT_EQ(judge(good).code(), Code::kUnauthorized);
}

TEST_F(TokensTest, IsForThoseWhomItNames) {
  TokenRequest wanted;
  wanted.mutable_spec()->add_audiences("vault");
  const std::string text = token("default", wanted);
  EXPECT_EQ(judge(text).message(), "the token is for another audience");
  const auto review = [&](const std::string& given, const std::string& audience) {
    auto body = std::make_shared<TokenReview>();
    body->mutable_spec()->set_token(given);
    if (!audience.empty()) body->mutable_spec()->add_audiences(audience);
    api::ResourceId target{&api::kindFor<TokenReview>(), "", "", ""};
    return unwrap<TokenReview>(run(admin_->create(target, body, {})));
  };
  const auto good = review(text, "vault");
  ASSERT_TRUE(good.ok()) << good.status().toString();
  EXPECT_TRUE(good->status().authenticated());
  EXPECT_EQ(good->status().user().username(), "system:serviceaccount:default:default");
  EXPECT_THAT(good->status().audiences(), ElementsAre("vault"));
  EXPECT_FALSE(review(text, "")->status().authenticated());
  EXPECT_EQ(review("nonsense", "")->status().error(), "invalid bearer token");
  EXPECT_EQ(review("", "").status().code(), Code::kBadRequest);
}

TEST_F(TokensTest, NodesAskForThoseOfTheirPodsAlone) {
  ASSERT_TRUE(create(pod("mine", "n1")).ok());
  ASSERT_TRUE(create(pod("theirs", "n2")).ok());
  const auto node = service_->as({"system:node:n1", {std::string(kNodes)}});
  auto wanted = boundTo("Pod", "mine");
  wanted.mutable_spec()->mutable_boundobjectref()->set_uid(get<Pod>("mine")->metadata().uid());
  EXPECT_TRUE(request(*node, "default", wanted).ok());
  EXPECT_EQ(request(*node, "default").status().code(), Code::kForbidden);
  EXPECT_EQ(request(*node, "default", boundTo("Pod", "mine")).status().code(), Code::kForbidden);
  auto theirs = boundTo("Pod", "theirs");
  theirs.mutable_spec()->mutable_boundobjectref()->set_uid(get<Pod>("theirs")->metadata().uid());
  EXPECT_EQ(request(*node, "default", theirs).status().code(), Code::kForbidden);
}

TEST_F(TokensTest, PodsGetATokenVolume) {
  ASSERT_TRUE(create(pod("a")).ok());
  const auto made = get<Pod>("a");
  ASSERT_EQ(made->spec().volumes_size(), 1);
  const auto& volume = made->spec().volumes(0);
  EXPECT_THAT(volume.name(), testing::MatchesRegex("kube-api-access-[a-z0-9]{5}"));
  const auto& projected = volume.volumesource().projected();
  ASSERT_EQ(projected.sources_size(), 3);
  EXPECT_EQ(projected.sources(0).serviceaccounttoken().expirationseconds(), 3607);
  EXPECT_EQ(projected.sources(1).configmap().localobjectreference().name(), "kube-root-ca.crt");
  EXPECT_EQ(projected.sources(2).downwardapi().items(0).path(), "namespace");
  const auto& mount = made->spec().containers(0).volumemounts(0);
  EXPECT_EQ(mount.name(), volume.name());
  EXPECT_EQ(mount.mountpath(), "/var/run/secrets/kubernetes.io/serviceaccount");
  EXPECT_TRUE(mount.readonly());
}

TEST_F(TokensTest, PodsAndAccountsMayDoWithout) {
  account("quiet", "no token");
  account("puller", "pull secret");
  auto without = pod("without");
  without.mutable_spec()->set_automountserviceaccounttoken(false);
  auto quiet = pod("quiet");
  quiet.mutable_spec()->set_serviceaccountname("quiet");
  auto loud = pod("loud");
  loud.mutable_spec()->set_serviceaccountname("quiet");
  loud.mutable_spec()->set_automountserviceaccounttoken(true);
  auto own = pod("own");
  own.mutable_spec()->set_serviceaccountname("puller");
  auto& mount = *own.mutable_spec()->mutable_containers(0)->add_volumemounts();
  mount.set_name("mine");
  mount.set_mountpath("/var/run/secrets/kubernetes.io/serviceaccount");
  auto& volume = *own.mutable_spec()->add_volumes();
  volume.set_name("mine");
  for (const auto& one : {without, quiet, loud, own}) {
    const auto made = create(one);
    ASSERT_TRUE(made.ok()) << made.status().toString();
  }
  EXPECT_EQ(get<Pod>("without")->spec().volumes_size(), 0);
  EXPECT_EQ(get<Pod>("quiet")->spec().volumes_size(), 0);
  EXPECT_EQ(get<Pod>("loud")->spec().volumes_size(), 1);
  EXPECT_EQ(get<Pod>("own")->spec().volumes_size(), 1);
  EXPECT_EQ(get<Pod>("own")->spec().imagepullsecrets(0).name(), "registry");
}

TEST_F(TokensTest, APodWithoutItsAccountIsRefused) {
  auto lost = pod("lost");
  lost.mutable_spec()->set_serviceaccountname("none");
  EXPECT_EQ(create(lost).status(),
            Status(Code::kForbidden,
                   "pods \"lost\" is forbidden: error looking up service account default/none: "
                   "serviceaccount \"none\" not found"));
}

TEST_F(TokensTest, APodWaitsForItsNamespacesFirstAccount) {
  corev1::Namespace fresh;
  fresh.mutable_metadata()->set_name("fresh");
  ASSERT_TRUE(create(fresh).ok());
  auto early = pod("early");
  early.mutable_metadata()->set_namespace_("fresh");
  Result<Pod> made = Status(Code::kUnavailable, "");
  auto target = id<Pod>("");
  target.ns = "fresh";
  auto create = [](api::Api& api, api::ResourceId where, Pod wanted, Result<Pod>& out) -> Co<void> {
    auto written = co_await api.create(std::move(where), std::make_shared<Pod>(wanted), {});
    out = written ? Result<Pod>(api::as<Pod>(written->object)) : Result<Pod>(written.status());
  };
  TaskGroup tasks(io_.get_executor());
  tasks.spawn("early", create(*admin_, target, early, made));
  clock_.runUntilIdle();
  EXPECT_TRUE(made.status().is(Code::kUnavailable));
  ServiceAccount first;
  first.mutable_metadata()->set_name("default");
  first.mutable_metadata()->set_namespace_("fresh");
  ASSERT_TRUE(this->create(first).ok());
  clock_.runUntilIdle();
  EXPECT_TRUE(made.ok()) << made.status().toString();
  run(tasks.join());
}

}  // namespace
}  // namespace podlab::apiserver
