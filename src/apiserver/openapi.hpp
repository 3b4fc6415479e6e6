#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace podlab::apiserver {

/// The OpenAPI documents of what is served, made from the kinds table and the descriptors of its
/// messages, and from definitions, when they are first asked for, and kept until these change.
class OpenApi {
 public:
  /// /openapi/v3: where the documents are, with a hash of each.
  const std::string& index();
  /// The v3 document of a group and version; nullptr when they are not served.
  const std::string* v3(std::string_view group, std::string_view version);
  /// The v2 document of everything, as an encoded openapi.v2.Document.
  const std::string& v2();

 private:
  /// What custom kinds have changed since is made anew.
  void forgetChanged();

  std::uint64_t generation_ = 0;       // api::customKindsGeneration()
  std::set<std::string> customPaths_;  // keys of v3_
  std::string index_;
  std::map<std::string, std::string> v3_;  // by "api/v1", "apis/apps/v1"
  std::string v2_;
};

}  // namespace podlab::apiserver
