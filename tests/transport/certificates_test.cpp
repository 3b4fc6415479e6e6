#include "transport/certificates.hpp"

#include <gtest/gtest.h>

#include <set>

#include "sim/sim_clock.hpp"

namespace podlab::transport {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr WallTime kNow = sim::SimClock::kStart;

class CertificatesTest : public ::testing::Test {
 protected:
  CertificateAuthority makeCa(std::string_view name = "podlab") {
    auto ca = CertificateAuthority::create(name, kNow, rng_);
    EXPECT_TRUE(ca.ok()) << ca.status().toString();
    return std::move(*ca);
  }
  LeafSpec client(std::string name) {
    LeafSpec spec;
    spec.commonName = std::move(name);
    spec.client = true;
    return spec;
  }

  SeededRng rng_{1};
};

TEST_F(CertificatesTest, TheAuthorityIsACaForTenYears) {
  auto info = inspectCertificate(makeCa().certificatePem());
  ASSERT_TRUE(info.ok());
  EXPECT_TRUE(info->isCa);
  EXPECT_EQ(info->commonName, "podlab");
  EXPECT_EQ(info->notBefore, kNow - minutes(5));
  EXPECT_GE(info->notAfter - kNow, hours(24 * 3650));
}

TEST_F(CertificatesTest, ALeafSaysWhatItsSpecSays) {
  LeafSpec spec;
  spec.commonName = "system:node:n1";
  spec.organizations = {"system:nodes", "lab"};
  spec.dnsNames = {"server", "*.podlab.internal"};
  spec.ipAddresses = {"127.0.0.1", "fd00::1"};
  spec.server = true;
  spec.client = true;
  spec.validity = hours(1);
  auto leaf = makeCa().issue(spec, kNow, rng_);
  ASSERT_TRUE(leaf.ok()) << leaf.status().toString();
  auto info = inspectCertificate(leaf->certificatePem);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->commonName, spec.commonName);
  EXPECT_EQ(info->organizations, spec.organizations);
  EXPECT_EQ(info->dnsNames, spec.dnsNames);
  EXPECT_EQ(info->ipAddresses, (std::vector<std::string>{"127.0.0.1", "fd00:0:0:0:0:0:0:1"}));
  EXPECT_EQ(info->notBefore, kNow - minutes(5));
  EXPECT_EQ(info->notAfter, kNow + hours(1));
  EXPECT_FALSE(info->isCa);
}

TEST_F(CertificatesTest, ALeafNeverOutlivesItsAuthority) {
  auto ca = makeCa();
  auto spec = client("x");
  spec.validity = hours(24 * 365 * 50);
  auto leaf = ca.issue(spec, kNow, rng_);
  ASSERT_TRUE(leaf.ok());
  EXPECT_EQ(inspectCertificate(leaf->certificatePem)->notAfter,
            inspectCertificate(ca.certificatePem())->notAfter);
}

TEST_F(CertificatesTest, VerificationSaysWhatIsWrong) {
  auto ca = makeCa();
  auto other = makeCa("podlab");
  auto spec = client("alice");
  spec.validity = hours(1);
  auto leaf = ca.issue(spec, kNow, rng_);
  ASSERT_TRUE(leaf.ok());
  struct Case {
    std::string ca;
    WallTime at;
    std::string says;
  };
  for (const auto& [caPem, at, says] : std::vector<Case>{
           {ca.certificatePem(), kNow, ""},
           {ca.certificatePem(), kNow - minutes(4), ""},
           {ca.certificatePem(), kNow + hours(2), "\"alice\" expired at 2026-01-01T01:00:00Z"},
           {ca.certificatePem(), kNow - minutes(6), "not valid before 2025-12-31T23:55:00Z"},
           {other.certificatePem(), kNow, "not issued by this cluster's CA"}}) {
    Status status = verifyCertificate(leaf->certificatePem, caPem, at);
    EXPECT_EQ(status.ok(), says.empty()) << status.message();
    EXPECT_NE(status.message().find(says), std::string::npos) << status.message();
    if (!says.empty()) EXPECT_EQ(status.code(), Code::kUnauthorized);
  }
}

TEST_F(CertificatesTest, AStoredAuthorityIssuesAfterLoading) {
  auto ca = makeCa();
  auto loaded = CertificateAuthority::load(ca.credentials());
  ASSERT_TRUE(loaded.ok());
  auto leaf = loaded->issue(client("x"), kNow, rng_);
  ASSERT_TRUE(leaf.ok());
  EXPECT_TRUE(verifyCertificate(leaf->certificatePem, ca.certificatePem(), kNow).ok());
}

TEST_F(CertificatesTest, LoadRefusesWhatIsNoAuthority) {
  auto ca = makeCa();
  auto other = makeCa();
  auto leaf = ca.issue(client("x"), kNow, rng_);
  ASSERT_TRUE(leaf.ok());
  std::string cut = ca.certificatePem().substr(0, 200);
  for (const auto& [stored, says] : std::vector<std::pair<Credentials, std::string>>{
           {{"", ""}, "CA certificate: not a PEM certificate"},
           {{cut, ca.credentials().keyPem}, "CA certificate: not a PEM certificate"},
           {{ca.certificatePem(), "nonsense"}, "CA key: not a PEM private key"},
           {{ca.certificatePem(), other.credentials().keyPem}, "does not belong"},
           {*leaf, "not one of a CA"}}) {
    auto loaded = CertificateAuthority::load(stored);
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.status().code(), Code::kInvalid);
    EXPECT_NE(loaded.status().message().find(says), std::string::npos) << loaded.status().message();
  }
}

TEST_F(CertificatesTest, WrongSpecsAreRefusedByField) {
  auto ca = makeCa();
  auto expect = [&](const LeafSpec& wrong, std::string_view field) {
    auto leaf = ca.issue(wrong, kNow, rng_);
    ASSERT_FALSE(leaf.ok()) << field;
    EXPECT_EQ(leaf.status().code(), Code::kInvalid);
    if (field.empty()) return;
    ASSERT_EQ(leaf.status().causes().size(), 1U);
    EXPECT_EQ(leaf.status().causes()[0].field, field);
  };
  expect(client(""), "commonName");
  expect(client(std::string(65, 'x')), "commonName");
  expect(client("podlab"), "commonName");
  auto spec = client("x");
  spec.organizations = {"ok", ""};
  expect(spec, "organizations");
  spec = client("x");
  spec.dnsNames = {"a b"};
  expect(spec, "dnsNames");
  spec = client("x");
  spec.ipAddresses = {"127.0.0.1", "localhost"};
  expect(spec, "ipAddresses");
  spec = client("x");
  spec.client = false;
  expect(spec, "");
}

TEST_F(CertificatesTest, TheHashIsThatOfThePublicKeyAlone) {
  auto ca = makeCa();
  auto hash = publicKeyHash(ca.certificatePem());
  ASSERT_TRUE(hash.ok());
  EXPECT_EQ(hash->size(), 7 + 64U);
  EXPECT_TRUE(hash->starts_with("sha256:"));
  EXPECT_NE(*publicKeyHash(makeCa().certificatePem()), *hash);
  // `openssl x509 -pubkey | openssl pkey -pubin -outform der | sha256sum` of this certificate.
  constexpr std::string_view kKnown = R"(-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUNCKPGYpQT53xH3sSkm8d/Ud4ifQwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFa25vd24wHhcNMjYxMTIzMjMzNDUwWhcNMzYxMTIwMjMzNDUw
WjAQMQ4wDAYDVQQDDAVrbm93bjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCuj
A+GJQHAZbMcydvmsi3Xdw05w1/FNmteYPtPHb7PSnLOkEXFMrwAEf2eh1y/Hpd1d
F3LVrkgNTIR5OsazREWjUzBRMB0GA1UdDgQWBBQnDTrKgJIg/d6FlVO5seI0BlqP
LTAfBgNVHSMEGDAWgBQnDTrKgJIg/d6FlVO5seI0BlqPLTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQDhJYeI9ROL2VZp6IndkASABns1ZVPPxFYD
px203BTY+AIgA42WPMntaL4hRZhuFxtqLekU44SgbGkBe6maBWcAUnk=
-----END CERTIFICATE-----)";
  EXPECT_EQ(*publicKeyHash(kKnown),
            "sha256:9dc12e11964110f0ac9866c181667419ee5bf42255292a229d4b43c37d0bcc79");
}

TEST_F(CertificatesTest, SerialsComeFromTheRng) {
  std::set<std::string> bodies;
  auto ca = makeCa();
  for (int i = 0; i < 20; ++i) bodies.insert(ca.issue(client("x"), kNow, rng_)->certificatePem);
  EXPECT_EQ(bodies.size(), 20U);
}

TEST_F(CertificatesTest, ASigningRequestIsSignedForItsOwnKeyAndName) {
  auto ca = makeCa();
  const std::string key = *makeKey();
  auto spec = client("system:node:n1");
  spec.organizations = {"system:nodes"};
  const std::string request = *makeSigningRequest(key, spec);
  auto certificate = ca.sign(request, spec, kNow, rng_);
  ASSERT_TRUE(certificate.ok()) << certificate.status().toString();
  EXPECT_TRUE(verifyCertificate(*certificate, ca.certificatePem(), kNow).ok());
  EXPECT_EQ(inspectCertificate(*certificate)->organizations, spec.organizations);

  EXPECT_EQ(ca.sign(request, client("system:node:n1"), kNow, rng_).status().code(), Code::kInvalid);
  EXPECT_EQ(ca.sign("nonsense", spec, kNow, rng_).status().code(), Code::kInvalid);
  EXPECT_EQ(makeSigningRequest("nonsense", spec).status().code(), Code::kInvalid);
  std::string changed = request;
  for (std::size_t at = request.size() / 2; changed == request; ++at) {
    if (changed[at] != '\n') changed[at] = changed[at] == 'A' ? 'B' : 'A';
  }
  EXPECT_EQ(ca.sign(changed, spec, kNow, rng_).status().code(), Code::kInvalid);
}

TEST_F(CertificatesTest, RotationComesLateInLife) {
  CertificateInfo info;
  info.notBefore = kNow - minutes(5);
  info.notAfter = kNow + hours(100);
  WallTime first = info.notAfter;
  WallTime last = info.notBefore;
  for (int i = 0; i < 1000; ++i) {
    const WallTime at = rotationTime(info, rng_);
    first = std::min(first, at);
    last = std::max(last, at);
  }
  EXPECT_GE(first, kNow + hours(70));
  EXPECT_LT(first, kNow + hours(71));
  EXPECT_GT(last, kNow + hours(89));
  EXPECT_LE(last, kNow + hours(90));
}

}  // namespace
}  // namespace podlab::transport
