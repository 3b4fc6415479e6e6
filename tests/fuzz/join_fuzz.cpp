// Whatever a stranger sends to join: a token is refused or reads back the same, a signing request
// is refused with a reason or gives a certificate of the CA for the name that was asked for, and a
// Secret lets in only whom it names.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "core_v1.pb.h"

#include "api/bootstrap_tokens.hpp"
#include "transport/certificates.hpp"

namespace {

using namespace podlab;

const WallTime kNow{std::chrono::seconds(1'790'000'000)};

void require(bool holds, std::string_view what, std::string_view input) {
  if (holds) return;
  std::cerr << what << ": " << input << "\n";
  std::abort();
}

void signWhatComes(std::string_view text) {
  static SeededRng rng(1);
  static const auto authority = transport::CertificateAuthority::create("ca", kNow, rng);
  transport::LeafSpec spec;
  spec.commonName = "system:node:n1";
  spec.organizations = {"system:nodes"};
  spec.client = true;
  const auto signedFor = authority->sign(text, spec, kNow, rng);
  if (!signedFor) {
    require(!signedFor.status().message().empty(), "no reason", text);
    return;
  }
  require(transport::verifyCertificate(*signedFor, authority->certificatePem(), kNow).ok(),
          "not of this CA", text);
  const auto info = transport::inspectCertificate(*signedFor);
  require(info.ok() && info->commonName == spec.commonName, "another name", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto token = api::parseBootstrapToken(text))
    require(token->text() == text, "another token", text);
  if (const auto join = api::parseJoinToken(text))
    require(join->token.text() + "@" + join->caHash == text, "another token", text);
  signWhatComes(text);

  corev1::Secret secret;
  if (!secret.ParseFromArray(data, static_cast<int>(size))) return 0;
  const api::BootstrapToken token{"abcdef", "0123456789abcdef"};
  const bool letsIn = api::checkToken(secret, token, kNow).ok();
  require(!letsIn || api::tokenField(secret, "token-secret") == token.secret, "let in", text);
  require(!letsIn || !api::isExpiredToken(secret, kNow), "let in too late", text);
  return 0;
}
