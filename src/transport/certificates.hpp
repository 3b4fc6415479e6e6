#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/rng.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::transport {

/// Certificates are valid from so long before they are issued, for machines whose clocks lag.
inline constexpr Duration kBackdate = std::chrono::minutes(5);

/// A certificate and its private key, both PEM.
struct Credentials {
  std::string certificatePem;
  std::string keyPem;
};

/// What a leaf certificate says and may be used for.
struct LeafSpec {
  std::string commonName;                  ///< a client's user name
  std::vector<std::string> organizations;  ///< a client's groups
  std::vector<std::string> dnsNames;       ///< names under which a server is reached
  std::vector<std::string> ipAddresses;
  bool server = false;
  bool client = false;
  Duration validity = std::chrono::hours(24 * 365);  ///< never beyond the CA's own end
};

/// The cluster's certificate authority: ECDSA P-256, self-signed, valid for ten years.
class CertificateAuthority {
 public:
  static Result<CertificateAuthority> create(std::string_view commonName, WallTime now, Rng& rng);
  /// kInvalid when the key does not belong to the certificate or the certificate is no CA's.
  static Result<CertificateAuthority> load(const Credentials& stored);

  CertificateAuthority(CertificateAuthority&&) noexcept;
  CertificateAuthority& operator=(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  /// For storage; whoever reads the key can impersonate anybody.
  const Credentials& credentials() const;
  const std::string& certificatePem() const { return credentials().certificatePem; }
  /// A new key with a certificate of this CA. kInvalid names the wrong field of `spec`.
  Result<Credentials> issue(const LeafSpec& spec, WallTime now, Rng& rng) const;
  /// A certificate for the key of a signing request (PKCS #10, PEM), whose subject must be that of
  /// `spec`. kInvalid when it is not, or when the request is not signed with its own key.
  Result<std::string> sign(std::string_view requestPem, const LeafSpec& spec, WallTime now,
                           Rng& rng) const;

 private:
  struct State;
  explicit CertificateAuthority(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A new private key (ECDSA P-256), PEM.
Result<std::string> makeKey();
/// A certificate signing request (PKCS #10, PEM) for that key, with the subject of `spec`.
Result<std::string> makeSigningRequest(std::string_view keyPem, const LeafSpec& spec);

/// "sha256:<hex>" of the certificate's public key (DER SubjectPublicKeyInfo), as in kubeadm's
/// discovery-token-ca-cert-hash: pins a CA in a join token.
Result<std::string> publicKeyHash(std::string_view certificatePem);

struct CertificateInfo {
  std::string commonName;
  std::vector<std::string> organizations;
  std::vector<std::string> dnsNames;
  std::vector<std::string> ipAddresses;
  WallTime notBefore;
  WallTime notAfter;
  bool isCa = false;
};
Result<CertificateInfo> inspectCertificate(std::string_view certificatePem);

/// When to replace it: at 70 to 90 % of its life, by chance, as kubelet
/// (client-go/util/certificate), so that nodes which joined together do not come together.
WallTime rotationTime(const CertificateInfo& certificate, Rng& rng);

/// OK when the certificate was issued by the CA and is valid at `now`; else kUnauthorized, with the
/// reason (expired, not yet valid, other CA) and the remedy.
Status verifyCertificate(std::string_view certificatePem, std::string_view caPem, WallTime now);

}  // namespace podlab::transport
