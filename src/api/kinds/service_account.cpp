#include "core_v1_accounts.pb.h"

#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind serviceAccountKind() {
  using corev1::ServiceAccount;
  return {
      .group = "",
      .version = "v1",
      .kind = "ServiceAccount",
      .plural = "serviceaccounts",
      .singular = "serviceaccount",
      .shortNames = {"sa"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &ServiceAccount::default_instance(),
      .columns = {nameColumn(),
                  column<ServiceAccount>("Secrets", 0,
                                         [](const ServiceAccount& account) {
                                           return std::to_string(account.secrets_size());
                                         }),
                  ageColumn()},
      .strategy = {},
      .actions = {{.name = "token",
                   .verb = "create",
                   .group = "authentication.k8s.io",
                   .version = "v1",
                   .kind = "TokenRequest"}},
  };
}

}  // namespace podlab::api
