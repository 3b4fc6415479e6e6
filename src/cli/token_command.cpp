#include "cli/token_command.hpp"

#include <cstdio>

#include "api/bootstrap_tokens.hpp"
#include "api/kinds.hpp"
#include "cli/kubeconfig.hpp"
#include "cli/session.hpp"
#include "cli/table.hpp"
#include "transport/certificates.hpp"

namespace podlab::cli {
namespace {

api::ResourceId secretId(const std::string& name) {
  return {&api::kindFor<corev1::Secret>(), std::string(api::kBootstrapTokenNamespace), name, ""};
}

/// Where machines find the server, and whom they are to trust.
Co<Result<ClusterAddress>> clusterAddress(Session& session) {
  const api::ResourceId id{&api::kindFor<corev1::ConfigMap>(), kClusterInfoNamespace, kClusterInfo,
                           ""};
  auto found = co_await session.api.get(id);
  if (found.status().is(Code::kNotFound)) {
    co_return Status(Code::kNotFound, "the nodes of the lab \"" + session.context.lab +
                                          "\" are of this host alone, no machine can join; add " +
                                          "one with: podlab node add NAME" +
                                          nameFlag(session.context));
  }
  if (!found) co_return found.status();
  const auto& data = api::as<corev1::ConfigMap>(*found).data();
  const auto text = data.find("kubeconfig");
  auto address = readClusterInfo(text == data.end() ? "" : text->second);
  if (!address) {
    co_return address.status().withContext(std::string("ConfigMap ") + kClusterInfoNamespace + "/" +
                                           kClusterInfo);
  }
  co_return address;
}

Co<int> create(Session& session, Duration ttl, std::string description) {
  const auto offer = co_await makeJoinToken(session, ttl, std::move(description));
  if (!offer) co_return failRequest(offer.status());
  std::printf("podlab agent --join %s --token %s\n", offer->server.c_str(), offer->token.c_str());
  co_return kDone;
}

/// "23h" as `kubeadm token list`.
std::string timeLeft(const std::string& expiration, WallTime now) {
  if (expiration.empty()) return "<forever>";
  const auto end = parseTime(expiration);
  if (!end || *end <= now) return "<invalid>";
  const Duration left = *end - now;
  if (left >= std::chrono::hours(1)) return std::to_string(left / std::chrono::hours(1)) + "h";
  if (left >= std::chrono::minutes(1)) return std::to_string(left / std::chrono::minutes(1)) + "m";
  return std::to_string(left / std::chrono::seconds(1)) + "s";
}

Co<int> list(Session& session) {
  api::ListOptions options;
  options.fieldSelector = "type=" + std::string(api::kBootstrapTokenType);
  auto found = co_await session.api.list(secretId(""), std::move(options));
  if (!found) co_return failRequest(found.status());
  Table table({"TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION"});
  const auto orNone = [](const std::string& text) { return text.empty() ? "<none>" : text; };
  for (const auto& item : found->items) {
    const auto& secret = api::as<corev1::Secret>(item);
    const std::string expiration = api::tokenField(secret, "expiration");
    const bool joins = api::tokenField(secret, "usage-bootstrap-authentication") == "true";
    table.add({api::tokenField(secret, "token-id") + "." + api::tokenField(secret, "token-secret"),
               timeLeft(expiration, session.clock.wallNow()),
               expiration.empty() ? "<never>" : expiration, joins ? "authentication" : "<none>",
               orNone(api::tokenField(secret, "description"))});
  }
  if (table.empty()) {
    std::fputs("No tokens. Make one with: podlab token create\n", stderr);
  } else {
    std::fputs(table.text().c_str(), stdout);
  }
  co_return kDone;
}

/// By id, or whole, as it was printed.
Co<int> remove(Session& session, std::string given) {
  api::BootstrapToken token;
  token.id = given.substr(0, given.find_first_of(".@"));
  if (token.id.size() != 6)
    co_return failUsage("\"" + given + "\" is no token: ID, ID.SECRET or as it was printed");
  const Status removed = co_await removeJoinToken(session, token.id);
  if (removed.is(Code::kNotFound)) {
    co_return fail(Status(Code::kNotFound,
                          "there is no token " + token.id + ".*; podlab token ls lists them"));
  }
  if (!removed) co_return failRequest(removed);
  std::printf("bootstrap token \"%s\" deleted\n", token.id.c_str());
  co_return kDone;
}

}  // namespace

Co<Result<JoinOffer>> makeJoinToken(Session& session, Duration ttl, std::string description) {
  const auto address = co_await clusterAddress(session);
  if (!address) co_return address.status();
  const auto hash = transport::publicKeyHash(address->caPem);
  if (!hash) co_return hash.status();
  const auto token = api::makeBootstrapToken(session.rng);
  std::optional<WallTime> expiration;
  if (ttl > Duration(0)) expiration = session.clock.wallNow() + ttl;
  auto secret = std::make_shared<corev1::Secret>(api::toSecret(token, expiration, description));
  api::WriteOptions options;
  auto made = co_await session.api.create(secretId(""), secret, std::move(options));
  if (!made) co_return made.status();
  co_return JoinOffer{address->server, token.text() + "@" + *hash, token.id};
}

Co<Status> removeJoinToken(Session& session, std::string id) {
  api::BootstrapToken token;
  token.id = std::move(id);
  api::DeleteOptions options;
  auto removed = co_await session.api.remove(secretId(token.secretName()), std::move(options));
  co_return removed.status();
}

void addTokenCommand(CLI::App& app, Context& context) {
  auto* token = app.add_subcommand("token", "Make, list or remove what lets machines join");
  token->require_subcommand(1);

  struct CreateFlags {
    std::string ttl = "24h";
    std::string description;
  };
  auto flags = std::make_shared<CreateFlags>();
  auto* make = token->add_subcommand("create", "Make a token, and print how a machine joins by it");
  make->add_option("--ttl", flags->ttl, "How long it is good for; 0 for ever")
      ->capture_default_str();
  make->add_option("--description", flags->description, "What it is for");
  make->callback([&context, flags] {
    const auto ttl = parseDuration(flags->ttl == "0" ? "0s" : flags->ttl);
    if (!ttl || *ttl < Duration(0)) {
      context.exitCode =
          failUsage("--ttl: \"" + flags->ttl + "\" is not a duration such as 30m or 24h");
      return;
    }
    context.exitCode = withSession(
        context, [&](Session& session) { return create(session, *ttl, flags->description); });
  });

  token->add_subcommand("ls", "List the tokens")->callback([&context] {
    context.exitCode = withSession(context, [](Session& session) { return list(session); });
  });

  auto given = std::make_shared<std::string>();
  auto* rm = token->add_subcommand("rm", "Remove a token; machines that joined by it stay");
  rm->add_option("TOKEN", *given, "Its id, or all of it")->required();
  rm->callback([&context, given] {
    context.exitCode =
        withSession(context, [&](Session& session) { return remove(session, *given); });
  });
}

}  // namespace podlab::cli
