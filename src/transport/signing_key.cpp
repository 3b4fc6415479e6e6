#include "transport/signing_key.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <utility>

#include "transport/openssl.hpp"

namespace podlab::transport {
namespace {

constexpr int kCoordinate = 32;

using ContextPtr = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, OpensslDeleter<ECDSA_SIG_free>>;

Status failure(std::string_view what) {
  return Status(Code::kInternal, std::string(what) + ": " + takeOpensslError());
}

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

bool isP256(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size(),
                                        nullptr) == 1 &&
         std::string_view(name.data()) == "prime256v1";
}

}  // namespace

struct SigningKey::State {
  KeyPtr key;
};

SigningKey::SigningKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

Result<SigningKey> SigningKey::create() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return failure("make a signing key");
  return SigningKey(std::make_unique<State>(State{std::move(key)}));
}

Result<SigningKey> SigningKey::load(std::string_view pem) {
  auto key = parseKey(pem);
  if (!key) return key.status();
  if (!isP256(key->get())) return Status(Code::kInvalid, "the key is not of the curve P-256");
  return SigningKey(std::make_unique<State>(State{std::move(*key)}));
}

Result<std::string> SigningKey::pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), state_->key.get(), nullptr, nullptr, 0, nullptr,
                               nullptr) != 1)
    return failure("write the signing key");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<std::string> SigningKey::sign(std::string_view message) const {
  ContextPtr context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, state_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes(message), message.size()) != 1)
    return failure("sign");
  std::string der(size, '\0');
  if (EVP_DigestSign(context.get(), bytes(der), &size, bytes(message), message.size()) != 1)
    return failure("sign");
  const unsigned char* in = bytes(std::string_view(der));
  const SignaturePtr parts(d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(size)));
  if (!parts) return failure("sign");
  std::string signature(2UL * kCoordinate, '\0');
  if (BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), bytes(signature), kCoordinate) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), bytes(signature) + kCoordinate, kCoordinate) < 0)
    return failure("sign");
  return signature;
}

bool SigningKey::verifies(std::string_view message, std::string_view signature) const {
  if (signature.size() != 2UL * kCoordinate) return false;
  const SignaturePtr parts(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes(signature), kCoordinate, nullptr);
  BIGNUM* s = BN_bin2bn(bytes(signature) + kCoordinate, kCoordinate, nullptr);
  // With success they are the signature's.
  if (!parts || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return false;
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  if (size <= 0) return false;
  const ContextPtr context(EVP_MD_CTX_new());
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, state_->key.get()) == 1 &&
      EVP_DigestVerify(context.get(), der, static_cast<std::size_t>(size), bytes(message),
                       message.size()) == 1;
  OPENSSL_free(der);
  if (!good) (void)takeOpensslError();
  return good;
}

std::string SigningKey::publicPoint() const {
  std::string point(2UL * kCoordinate, '\0');
  std::size_t offset = 0;
  for (const char* name : {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y}) {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(state_->key.get(), name, &number) == 1)
      BN_bn2binpad(number, bytes(point) + offset, kCoordinate);
    BN_free(number);
    offset += kCoordinate;
  }
  return point;
}

std::string SigningKey::digest() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(state_->key.get(), &der);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(der, static_cast<std::size_t>(std::max(size, 0)), bytes(digest));
  OPENSSL_free(der);
  return digest;
}

}  // namespace podlab::transport
