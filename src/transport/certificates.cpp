#include "transport/certificates.hpp"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>

#include "transport/openssl.hpp"

namespace podlab::transport {
namespace {

constexpr Duration kCaValidity = std::chrono::hours(24 * 3652);

Status opensslStatus(std::string_view what) {
  return Status(Code::kInternal, std::string(what) + ": " + takeOpensslError());
}

std::time_t toSeconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

WallTime toWallTime(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

std::string bioText(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<std::string> certificateText(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return opensslStatus("write certificate");
  return bioText(bio.get());
}

Result<std::string> keyText(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return opensslStatus("write key");
  return bioText(bio.get());
}

Result<Credentials> toPem(X509* certificate, EVP_PKEY* key) {
  auto first = certificateText(certificate);
  if (!first) return first.status();
  auto second = keyText(key);
  if (!second) return second.status();
  return Credentials{std::move(*first), std::move(*second)};
}

bool setSerial(X509* certificate, Rng& rng) {
  std::array<std::byte, 16> bytes{};
  rng.fill(bytes);
  // RFC 5280, 4.1.2.2: positive, at most 20 octets.
  bytes[0] = (bytes[0] & std::byte{0x7f}) | std::byte{0x40};
  BignumPtr number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

/// Null when a value is refused.
X509NamePtr makeName(std::string_view commonName, const std::vector<std::string>& organizations) {
  X509NamePtr name(X509_NAME_new());
  auto add = [&](int nid, std::string_view value) {
    return X509_NAME_add_entry_by_NID(
               name.get(), nid, MBSTRING_UTF8,
               reinterpret_cast<unsigned char*>(const_cast<char*>(value.data())),
               static_cast<int>(value.size()), -1, 0) == 1;
  };
  for (const auto& organization : organizations) {
    if (!add(NID_organizationName, organization)) return nullptr;
  }
  return add(NID_commonName, commonName) ? std::move(name) : nullptr;
}

bool addExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509ExtensionPtr extension(X509V3_EXT_nconf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// A certificate without extensions and signature.
Result<X509Ptr> newCertificate(EVP_PKEY* key, std::string_view commonName,
                               const std::vector<std::string>& organizations, WallTime notBefore,
                               WallTime notAfter, Rng& rng) {
  X509Ptr certificate(X509_new());
  const X509NamePtr subject = makeName(commonName, organizations);
  bool done = subject && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
              setSerial(certificate.get(), rng) &&
              X509_set_subject_name(certificate.get(), subject.get()) == 1 &&
              ASN1_TIME_set(X509_getm_notBefore(certificate.get()), toSeconds(notBefore)) &&
              ASN1_TIME_set(X509_getm_notAfter(certificate.get()), toSeconds(notAfter)) &&
              X509_set_pubkey(certificate.get(), key) == 1;
  if (!done) return opensslStatus("make certificate");
  return certificate;
}

bool validDnsName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '*';
  });
}

Status invalidField(std::string field, std::string_view value, std::string why) {
  std::string message = field + ": \"" + std::string(value) + "\" " + why;
  return Status(Code::kInvalid, std::move(message),
                {{"FieldValueInvalid", std::move(field), std::move(why)}});
}

Status checkSpec(const LeafSpec& spec) {
  // RFC 5280's upper bounds ub-common-name and ub-organization-name.
  if (spec.commonName.empty() || spec.commonName.size() > 64) {
    return invalidField("commonName", spec.commonName, "must have 1 to 64 characters");
  }
  for (const auto& organization : spec.organizations) {
    if (organization.empty() || organization.size() > 64) {
      return invalidField("organizations", organization, "must have 1 to 64 characters");
    }
  }
  for (const auto& name : spec.dnsNames) {
    if (!validDnsName(name)) return invalidField("dnsNames", name, "is no DNS name");
  }
  if (!spec.server && !spec.client) {
    return Status(Code::kInvalid, "a certificate must be for a server, a client or both");
  }
  return Status();
}

/// The subjectAltName extension; a null pointer when there are no names.
Result<GeneralNamesPtr> altNames(const LeafSpec& spec) {
  GeneralNamesPtr names;
  auto push = [&](int type, ASN1_STRING* value) {
    if (!names) names.reset(GENERAL_NAMES_new());
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names.get(), name);
  };
  for (const auto& dns : spec.dnsNames) {
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, dns.data(), static_cast<int>(dns.size()));
    push(GEN_DNS, value);
  }
  for (const auto& ip : spec.ipAddresses) {
    ASN1_OCTET_STRING* value = a2i_IPADDRESS(ip.c_str());
    if (value == nullptr) {
      takeOpensslError();
      return invalidField("ipAddresses", ip, "is no IPv4 or IPv6 address");
    }
    push(GEN_IPADD, value);
  }
  return names;
}

std::string ipText(const ASN1_OCTET_STRING* ip) {
  const unsigned char* bytes = ASN1_STRING_get0_data(ip);
  int size = ASN1_STRING_length(ip);
  std::string text;
  char part[8];
  for (int i = 0; i < size; i += size == 4 ? 1 : 2) {
    if (!text.empty()) text += size == 4 ? "." : ":";
    if (size == 4) {
      std::snprintf(part, sizeof part, "%d", bytes[i]);
    } else {
      std::snprintf(part, sizeof part, "%x", bytes[i] << 8 | bytes[i + 1]);
    }
    text += part;
  }
  return text;
}

}  // namespace

std::string takeOpensslError() {
  unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (error == 0) return "unknown OpenSSL error";
  const char* reason = ERR_reason_error_string(error);
  if (reason != nullptr) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

Result<X509Ptr> parseCertificate(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) {
    return Status(Code::kInvalid, "not a PEM certificate: " + takeOpensslError());
  }
  return certificate;
}

Result<KeyPtr> parseKey(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // An encrypted key fails instead of asking the terminal for its password.
  auto noPassword = [](char*, int, int, void*) { return -1; };
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, noPassword, nullptr));
  if (!key) return Status(Code::kInvalid, "not a PEM private key: " + takeOpensslError());
  return key;
}

namespace {

std::vector<std::string> nameValues(const X509_NAME* name, int nid) {
  std::vector<std::string> values;
  for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
    unsigned char* text = nullptr;
    int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
    if (size < 0) continue;
    values.emplace_back(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
    OPENSSL_free(text);
  }
  return values;
}

}  // namespace

std::vector<std::string> subjectValues(const X509* certificate, int nid) {
  return nameValues(X509_get_subject_name(certificate), nid);
}

std::string describeVerifyError(int error, const X509* certificate, WallTime now) {
  std::string who = "certificate";
  if (certificate != nullptr) {
    auto names = subjectValues(certificate, NID_commonName);
    if (!names.empty()) who += " of \"" + names.front() + "\"";
  }
  std::string clock = ", this machine's clock says " + formatTime(now);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return who + " expired at " + formatTime(toWallTime(X509_get0_notAfter(certificate))) +
             clock + "; renew it, or set the clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return who + " is not valid before " +
             formatTime(toWallTime(X509_get0_notBefore(certificate))) + clock + "; set the clock";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return who + " was not issued by this cluster's CA; use credentials of the same cluster";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return who +
             " is not for the address that was dialled; dial a name or address that the "
             "certificate lists";
    case X509_V_ERR_INVALID_PURPOSE:
      return who + " is not for this use (a client's presented by a server, or the reverse)";
    default:
      return who + " is refused: " + X509_verify_cert_error_string(error);
  }
}

struct CertificateAuthority::State {
  X509Ptr certificate;
  KeyPtr key;
  Credentials pem;
};

CertificateAuthority::CertificateAuthority(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority& CertificateAuthority::operator=(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;

Result<CertificateAuthority> CertificateAuthority::create(std::string_view commonName, WallTime now,
                                                          Rng& rng) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return opensslStatus("generate key");
  auto certificate =
      newCertificate(key.get(), commonName, {}, now - kBackdate, now + kCaValidity, rng);
  if (!certificate) return certificate.status();
  X509* raw = certificate->get();
  bool done = X509_set_issuer_name(raw, X509_get_subject_name(raw)) == 1 &&
              addExtension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              addExtension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              addExtension(raw, raw, NID_subject_key_identifier, "hash") &&
              X509_sign(raw, key.get(), EVP_sha256()) > 0;
  if (!done) return opensslStatus("sign CA certificate");
  auto pem = toPem(raw, key.get());
  if (!pem) return pem.status();
  return load(*pem);
}

Result<CertificateAuthority> CertificateAuthority::load(const Credentials& stored) {
  auto certificate = parseCertificate(stored.certificatePem);
  if (!certificate) return certificate.status().withContext("CA certificate");
  auto key = parseKey(stored.keyPem);
  if (!key) return key.status().withContext("CA key");
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    takeOpensslError();
    return Status(Code::kInvalid, "the CA's key does not belong to its certificate");
  }
  if (X509_check_ca(certificate->get()) != 1) {
    return Status(Code::kInvalid, "the CA's certificate is not one of a CA");
  }
  auto state = std::make_unique<State>();
  state->certificate = std::move(*certificate);
  state->key = std::move(*key);
  state->pem = stored;
  return CertificateAuthority(std::move(state));
}

const Credentials& CertificateAuthority::credentials() const {
  return state_->pem;
}

namespace {

/// A certificate of the CA for whoever has `key`.
Result<X509Ptr> certify(X509* ca, EVP_PKEY* caKey, EVP_PKEY* key, const LeafSpec& spec,
                        WallTime now, Rng& rng) {
  if (auto status = checkSpec(spec); !status) return status;
  auto names = altNames(spec);
  if (!names) return names.status();
  WallTime end = std::min(now + spec.validity, toWallTime(X509_get0_notAfter(ca)));
  auto certificate =
      newCertificate(key, spec.commonName, spec.organizations, now - kBackdate, end, rng);
  if (!certificate) return certificate.status();
  X509* raw = certificate->get();
  if (X509_NAME_cmp(X509_get_subject_name(raw), X509_get_subject_name(ca)) == 0) {
    // Verifiers would take it for self-signed.
    return invalidField("commonName", spec.commonName, "is the CA's own name");
  }
  const char* usage = !spec.client   ? "serverAuth"
                      : !spec.server ? "clientAuth"
                                     : "serverAuth,clientAuth";
  bool done = X509_set_issuer_name(raw, X509_get_subject_name(ca)) == 1 &&
              addExtension(raw, ca, NID_basic_constraints, "critical,CA:FALSE") &&
              addExtension(raw, ca, NID_key_usage, "critical,digitalSignature") &&
              addExtension(raw, ca, NID_ext_key_usage, usage) &&
              addExtension(raw, ca, NID_authority_key_identifier, "keyid:always") &&
              (!*names || X509_add1_ext_i2d(raw, NID_subject_alt_name, names->get(), 0, 0) == 1) &&
              X509_sign(raw, caKey, EVP_sha256()) > 0;
  if (!done) return opensslStatus("sign certificate of \"" + spec.commonName + "\"");
  return certificate;
}

/// NIST SP 800-57: the least that is good for now; RSA with 2,048 bits, P-224.
constexpr int kMinSecurityBits = 112;

}  // namespace

Result<Credentials> CertificateAuthority::issue(const LeafSpec& spec, WallTime now,
                                                Rng& rng) const {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return opensslStatus("generate key");
  auto certificate =
      certify(state_->certificate.get(), state_->key.get(), key.get(), spec, now, rng);
  if (!certificate) return certificate.status();
  return toPem(certificate->get(), key.get());
}

Result<std::string> CertificateAuthority::sign(std::string_view requestPem, const LeafSpec& spec,
                                               WallTime now, Rng& rng) const {
  BioPtr bio(BIO_new_mem_buf(requestPem.data(), static_cast<int>(requestPem.size())));
  X509RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) {
    return Status(Code::kInvalid, "not a PEM certificate signing request: " + takeOpensslError());
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    takeOpensslError();
    return Status(Code::kInvalid,
                  "the certificate signing request is not signed with the key that it names");
  }
  if (EVP_PKEY_get_security_bits(key) < kMinSecurityBits) {
    return Status(Code::kInvalid,
                  "the key of the certificate signing request is too weak; use ECDSA P-256");
  }
  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  const auto names = nameValues(subject, NID_commonName);
  if (names != std::vector<std::string>{spec.commonName} ||
      nameValues(subject, NID_organizationName) != spec.organizations) {
    return Status(Code::kInvalid, "the certificate signing request is for \"" +
                                      (names.empty() ? "" : names.front()) + "\", not for \"" +
                                      spec.commonName + "\"");
  }
  auto certificate = certify(state_->certificate.get(), state_->key.get(), key, spec, now, rng);
  if (!certificate) return certificate.status();
  return certificateText(certificate->get());
}

Result<std::string> makeKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return opensslStatus("generate key");
  return keyText(key.get());
}

Result<std::string> makeSigningRequest(std::string_view keyPem, const LeafSpec& spec) {
  auto key = parseKey(keyPem);
  if (!key) return key.status();
  X509RequestPtr request(X509_REQ_new());
  const X509NamePtr subject = makeName(spec.commonName, spec.organizations);
  BioPtr bio(BIO_new(BIO_s_mem()));
  bool done = subject && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
              X509_REQ_set_subject_name(request.get(), subject.get()) == 1 &&
              X509_REQ_set_pubkey(request.get(), key->get()) == 1 &&
              X509_REQ_sign(request.get(), key->get(), EVP_sha256()) > 0 &&
              PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1;
  if (!done) return opensslStatus("make certificate signing request");
  return bioText(bio.get());
}

WallTime rotationTime(const CertificateInfo& certificate, Rng& rng) {
  const WallTime issued = certificate.notBefore + kBackdate;
  const auto life = std::chrono::duration<double, std::nano>(certificate.notAfter - issued);
  return issued + std::chrono::duration_cast<Duration>(life * (0.7 + 0.2 * rng.unit()));
}

Result<std::string> publicKeyHash(std::string_view certificatePem) {
  auto certificate = parseCertificate(certificatePem);
  if (!certificate) return certificate.status();
  unsigned char* der = nullptr;
  int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate->get()), &der);
  if (size <= 0) return opensslStatus("read public key");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  bool done = EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), &length, EVP_sha256(),
                         nullptr) == 1;
  OPENSSL_free(der);
  if (!done) return opensslStatus("hash public key");
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "sha256:";
  for (unsigned int i = 0; i < length; ++i) {
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

Result<CertificateInfo> inspectCertificate(std::string_view certificatePem) {
  auto certificate = parseCertificate(certificatePem);
  if (!certificate) return certificate.status();
  X509* raw = certificate->get();
  CertificateInfo info;
  auto names = subjectValues(raw, NID_commonName);
  if (!names.empty()) info.commonName = names.front();
  info.organizations = subjectValues(raw, NID_organizationName);
  info.notBefore = toWallTime(X509_get0_notBefore(raw));
  info.notAfter = toWallTime(X509_get0_notAfter(raw));
  info.isCa = X509_check_ca(raw) == 1;
  GeneralNamesPtr alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(raw, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    int type = 0;
    void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(alternatives.get(), i), &type);
    const auto* text = static_cast<const ASN1_STRING*>(value);
    if (type == GEN_DNS) {
      info.dnsNames.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                 static_cast<std::size_t>(ASN1_STRING_length(text)));
    } else if (type == GEN_IPADD) {
      info.ipAddresses.push_back(ipText(text));
    }
  }
  return info;
}

Status verifyCertificate(std::string_view certificatePem, std::string_view caPem, WallTime now) {
  auto certificate = parseCertificate(certificatePem);
  if (!certificate) return certificate.status();
  auto ca = parseCertificate(caPem);
  if (!ca) return ca.status().withContext("CA");
  X509StorePtr store(X509_STORE_new());
  X509StoreCtxPtr context(X509_STORE_CTX_new());
  if (X509_STORE_add_cert(store.get(), ca->get()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate->get(), nullptr) != 1) {
    return opensslStatus("verify certificate");
  }
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), toSeconds(now));
  if (X509_verify_cert(context.get()) == 1) return Status();
  Status status(Code::kUnauthorized,
                describeVerifyError(X509_STORE_CTX_get_error(context.get()),
                                    X509_STORE_CTX_get_current_cert(context.get()), now));
  takeOpensslError();
  return status;
}

}  // namespace podlab::transport
