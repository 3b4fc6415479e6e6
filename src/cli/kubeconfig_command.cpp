#include "cli/kubeconfig_command.hpp"

#include <cstdio>

#include "api/codec_base64.hpp"
#include "common/filesystem.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {
namespace {

int printKubeconfig(const Context& context) {
  const auto paths = existingLab(context);
  if (!paths) return fail(paths.status());
  auto files = makeRealFilesystem();
  auto address = files->readFile(paths->apiAddress());
  auto ca = files->readFile(paths->pki("ca.crt"));
  auto certificate = files->readFile(paths->pki("admin.crt"));
  auto key = files->readFile(paths->pki("admin.key"));
  for (const auto* part : {&address, &ca, &certificate, &key}) {
    if (!*part) return fail(part->status());
  }
  const std::string name = "podlab-" + context.lab;
  const auto base64 = [](const std::string& text) { return api::codec::base64Encode(text); };
  std::printf(
      "apiVersion: v1\n"
      "kind: Config\n"
      "clusters:\n"
      "- name: %s\n"
      "  cluster:\n"
      "    server: https://%s\n"
      "    certificate-authority-data: %s\n"
      "contexts:\n"
      "- name: %s\n"
      "  context:\n"
      "    cluster: %s\n"
      "    user: %s\n"
      "current-context: %s\n"
      "users:\n"
      "- name: %s\n"
      "  user:\n"
      "    client-certificate-data: %s\n"
      "    client-key-data: %s\n",
      name.c_str(), address->c_str(), base64(*ca).c_str(), name.c_str(), name.c_str(), name.c_str(),
      name.c_str(), name.c_str(), base64(*certificate).c_str(), base64(*key).c_str());
  return kDone;
}

}  // namespace

void addKubeconfigCommand(CLI::App& app, Context& context) {
  app.add_subcommand("kubeconfig",
                     "Print how kubectl reaches the lab: > FILE, and export KUBECONFIG=FILE")
      ->callback([&context] { context.exitCode = printKubeconfig(context); });
}

}  // namespace podlab::cli
