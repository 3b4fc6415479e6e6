#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::transport {

/// A private key for signatures of the form ES256 (RFC 7518, 3.4): ECDSA on P-256 with SHA-256.
class SigningKey {
 public:
  static Result<SigningKey> create();
  /// kInvalid when the PEM has no P-256 key.
  static Result<SigningKey> load(std::string_view pem);

  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;
  ~SigningKey();

  /// For storage.
  Result<std::string> pem() const;
  /// 64 bytes: R, then S.
  Result<std::string> sign(std::string_view message) const;
  bool verifies(std::string_view message, std::string_view signature) const;
  /// The coordinates of the public key, 32 bytes each, X first.
  std::string publicPoint() const;
  /// The SHA-256 of the public key (DER SubjectPublicKeyInfo): its name.
  std::string digest() const;

 private:
  struct State;
  explicit SigningKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace podlab::transport
