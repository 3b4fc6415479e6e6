#include "lab/pki.hpp"

#include <algorithm>

#include "transport/tls.hpp"

namespace podlab::lab {
namespace {

using std::chrono::hours;
constexpr Duration kRenewBefore = hours(24 * 30);

/// Whether the stored certificate still says what `spec` asks for, long enough.
bool fits(const transport::CertificateInfo& info, const transport::LeafSpec& spec, WallTime now) {
  const auto covers = [](std::vector<std::string> have, const std::vector<std::string>& want) {
    return std::all_of(want.begin(), want.end(), [&](const std::string& name) {
      return std::find(have.begin(), have.end(), name) != have.end();
    });
  };
  return info.notAfter - now > kRenewBefore && info.commonName == spec.commonName &&
         covers(info.organizations, spec.organizations) && covers(info.dnsNames, spec.dnsNames) &&
         covers(info.ipAddresses, spec.ipAddresses);
}

}  // namespace

Result<Pki> Pki::open(Filesystem& files, std::string folder, WallTime now, Rng& rng,
                      const std::vector<std::string>& serverNames,
                      const std::vector<std::string>& serverAddresses) {
  const std::string certificateFile = folder + "/ca.crt";
  const std::string keyFile = folder + "/ca.key";
  if (Status status = files.createDirectories(folder, 0700); !status.ok()) return status;
  Result<transport::CertificateAuthority> authority = Status(Code::kNotFound, "no CA yet");
  if (files.exists(keyFile)) {
    auto certificate = files.readFile(certificateFile);
    auto key = files.readFile(keyFile);
    if (!certificate) return certificate.status();
    if (!key) return key.status();
    authority = transport::CertificateAuthority::load({*certificate, *key});
  } else {
    authority = transport::CertificateAuthority::create("podlab-ca", now, rng);
    if (authority) {
      // The key last: its presence says that both are there.
      const auto& stored = authority->credentials();
      Status status = files.writeFileAtomic(certificateFile, stored.certificatePem);
      if (status.ok()) status = files.writeFileAtomic(keyFile, stored.keyPem, 0600);
      if (!status.ok()) return status;
    }
  }
  if (!authority) return authority.status().withContext(folder);

  Pki pki(files, std::move(folder), now, rng, std::move(*authority));
  transport::LeafSpec server;
  server.commonName = transport::kServerName;
  // Agents know the server by the last of these names, wherever it is.
  server.dnsNames = {"localhost",
                     "kubernetes",
                     "kubernetes.default",
                     "kubernetes.default.svc",
                     "kubernetes.default.svc.cluster.local",
                     transport::kServerName};
  server.dnsNames.insert(server.dnsNames.end(), serverNames.begin(), serverNames.end());
  server.ipAddresses = {"127.0.0.1", "::1"};
  server.ipAddresses.insert(server.ipAddresses.end(), serverAddresses.begin(),
                            serverAddresses.end());
  server.server = true;
  if (Status status = pki.ensure(pki.folder_, "server", server); !status.ok()) return status;
  transport::LeafSpec admin;
  admin.commonName = "podlab-admin";
  admin.organizations = {"system:masters"};
  admin.client = true;
  if (Status status = pki.ensure(pki.folder_, "admin", admin); !status.ok()) return status;
  if (Status status = pki.ensureSigningKey(); !status.ok()) return status;
  return pki;
}

// Never made anew: tokens that pods hold would be refused.
Status Pki::ensureSigningKey() {
  const std::string path = folder_ + "/service-accounts.key";
  if (files_.exists(path)) return {};
  auto key = transport::SigningKey::create();
  if (!key) return key.status();
  auto pem = key->pem();
  if (!pem) return pem.status();
  return files_.writeFileAtomic(path, *pem, 0600);
}

Status Pki::issueNode(std::string_view node, const std::string& folder) {
  transport::LeafSpec spec;
  spec.commonName = "system:node:" + std::string(node);
  spec.organizations = {"system:nodes"};
  return issue(folder, spec);
}

Status Pki::issueHollow(const std::vector<std::string>& groups, const std::string& folder) {
  transport::LeafSpec spec;
  spec.commonName = "podlab:hollow";
  for (const auto& group : groups) spec.organizations.push_back("podlab:hollow-nodes:" + group);
  return issue(folder, spec);
}

Status Pki::issue(const std::string& folder, const transport::LeafSpec& client) {
  if (Status status = files_.createDirectories(folder, 0700); !status.ok()) return status;
  transport::LeafSpec spec = client;
  spec.client = true;
  if (Status status = ensure(folder, "node", spec); !status.ok()) return status;
  return files_.writeFileAtomic(folder + "/ca.crt", authority_.certificatePem(), 0644, false);
}

Status Pki::ensure(const std::string& folder, std::string_view name,
                   const transport::LeafSpec& spec) {
  const std::string base = folder + "/" + std::string(name);
  if (files_.exists(base + ".key")) {
    auto certificate = files_.readFile(base + ".crt");
    if (!certificate) return certificate.status();
    auto info = transport::inspectCertificate(*certificate);
    if (info && fits(*info, spec, now_) &&
        transport::verifyCertificate(*certificate, authority_.certificatePem(), now_).ok())
      return {};
  }
  auto issued = authority_.issue(spec, now_, rng_);
  if (!issued) return issued.status();
  // What is lost here can be issued again: no fsync.
  if (Status status = files_.removeFile(base + ".key"); !status.ok() && !status.is(Code::kNotFound))
    return status;
  if (Status status = files_.writeFileAtomic(base + ".crt", issued->certificatePem, 0644, false);
      !status.ok())
    return status;
  return files_.writeFileAtomic(base + ".key", issued->keyPem, 0600, false);
}

}  // namespace podlab::lab
