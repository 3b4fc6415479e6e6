#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/filesystem.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"
#include "common/time.hpp"
#include "transport/certificates.hpp"
#include "transport/signing_key.hpp"

namespace podlab::lab {

/// The certificates of a cluster in one folder: made when absent or about to expire, else left
/// alone.
class Pki {
 public:
  /// Loads or makes the CA; the server's certificate, for what every cluster's server is called,
  /// `serverNames`, the loopback addresses and `serverAddresses`; the administrator's
  /// (system:masters), with which the command line calls the API; and the key that signs the tokens
  /// of service accounts.
  static Result<Pki> open(Filesystem& files, std::string folder, WallTime now, Rng& rng,
                          const std::vector<std::string>& serverNames,
                          const std::vector<std::string>& serverAddresses);

  /// A node's certificate (system:node:NAME, system:nodes) in `folder` as ca.crt, node.crt and
  /// node.key.
  Status issueNode(std::string_view node, const std::string& folder);
  /// The one certificate of the hollow nodes of these groups, in `folder` the same way: it speaks
  /// for the nodes NAME1, NAME2 and so on of each.
  Status issueHollow(const std::vector<std::string>& groups, const std::string& folder);

 private:
  Pki(Filesystem& files, std::string folder, WallTime now, Rng& rng,
      transport::CertificateAuthority authority)
      : files_(files),
        folder_(std::move(folder)),
        now_(now),
        rng_(rng),
        authority_(std::move(authority)) {}
  Status issue(const std::string& folder, const transport::LeafSpec& spec);
  Status ensureSigningKey();
  Status ensure(const std::string& folder, std::string_view name, const transport::LeafSpec& spec);

  Filesystem& files_;
  std::string folder_;
  WallTime now_;
  Rng& rng_;
  transport::CertificateAuthority authority_;
};

}  // namespace podlab::lab
