#include "node/seccomp_filters.hpp"

#include <nlohmann/json.hpp>

#include "api/codec_base64.hpp"
#include "node/seccomp_filter.hpp"
#include "node/seccomp_profile.hpp"

namespace podlab::node {

Result<SeccompFilter> SeccompFilters::of(const ContainerSecurity& security,
                                         const std::set<std::string>& capabilities) {
  switch (security.seccomp) {
    case ContainerSecurity::Seccomp::kDefault:
      return defaultFilter(capabilities);
    case ContainerSecurity::Seccomp::kUnconfined:
      return SeccompFilter();
    case ContainerSecurity::Seccomp::kLocal:
      break;
  }
  const std::string file = folder_ + "/" + security.seccompFile;
  auto text = files_.readFile(file);
  if (!text) {
    return Status(Code::kInvalid,
                  "cannot load seccomp profile \"" + file + "\": " + text.status().message());
  }
  const auto profile = nlohmann::json::parse(*text, nullptr, false);
  if (!profile.is_object() || !profile.contains("defaultAction")) {
    return Status(Code::kInvalid,
                  "seccomp profile \"" + file + "\" is not a JSON object with a defaultAction");
  }
  return SeccompFilter{*text, ""};
}

Result<SeccompFilter> SeccompFilters::defaultFilter(const std::set<std::string>& capabilities) {
  auto [found, fresh] = filters_.try_emplace(capabilities);
  if (!fresh) return found->second;
  SeccompFilter& filter = found->second;
  filter.profile = defaultSeccomp(capabilities);
  if (!compiles_) return filter;
  auto program = compileSeccomp(filter.profile);
  if (!program) {
    filters_.erase(found);
    return program.status();
  }
  filter.program = api::codec::base64Encode(*program);
  // crun looks whether there is a profile, and takes the program.
  filter.profile = R"({"defaultAction":"SCMP_ACT_ERRNO"})";
  return filter;
}

}  // namespace podlab::node
