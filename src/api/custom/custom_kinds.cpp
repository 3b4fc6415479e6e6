#include "api/custom/custom_kinds.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>

#include "api/conditions.hpp"
#include "api/custom/custom_kind.hpp"

namespace podlab::api {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;

struct Definition {
  const void* owner = nullptr;
  Kind resource;  ///< of the version that is stored
  std::map<std::string, std::unique_ptr<Kind>> others;
  std::vector<const Kind*> served;
  bool listed = false;
};

struct Registry {
  std::map<std::string, std::unique_ptr<Definition>, std::less<>> definitions;
  std::unordered_map<std::string, const Kind*> byType;  ///< by apiVersion and kind, for good
  std::vector<const Kind*> resources;
  std::vector<const Kind*> served;
  std::uint64_t generation = 0;

  void changed() {
    ++generation;
    resources.clear();
    served.clear();
    for (const auto& [name, definition] : definitions) {
      if (!definition->listed) continue;
      resources.push_back(&definition->resource);
      served.insert(served.end(), definition->served.begin(), definition->served.end());
    }
  }
};

Registry& registry() {
  static Registry& kinds = *new Registry;  // outlives every user at exit
  return kinds;
}

std::string typeKey(std::string_view apiVersion, std::string_view kind) {
  return std::string(apiVersion) + " " + std::string(kind);
}

void update(Definition& to, const Crd& from) {
  Registry& all = registry();
  to.served.clear();
  for (const auto& version : from.spec().versions()) {
    Kind* kind = &to.resource;
    if (!version.storage()) {
      auto& other = to.others[version.name()];
      if (!other) other = std::make_unique<Kind>();
      kind = other.get();
    }
    *kind = makeCustomKind(from, version, &to.resource);
    all.byType[typeKey(kind->apiVersion(), kind->kind)] = kind;
    if (version.served()) to.served.push_back(kind);
  }
  std::ranges::sort(to.served, [](const Kind* a, const Kind* b) {
    return isPreferredVersion(a->version, b->version);
  });
}

/// Stage (general, beta, alpha, none), then numbers.
std::tuple<int, int, int> rankOf(std::string_view version) {
  const auto number = [&](int& value) {
    const auto [end, error] =
        std::from_chars(version.data(), version.data() + version.size(), value);
    if (error != std::errc() || value < 1) return false;
    version.remove_prefix(static_cast<std::size_t>(end - version.data()));
    return true;
  };
  constexpr std::tuple kNone{3, 0, 0};
  int major = 0;
  int minor = 0;
  if (!version.starts_with('v')) return kNone;
  version.remove_prefix(1);
  if (!number(major)) return kNone;
  if (version.empty()) return {0, -major, 0};
  const int stage = version.starts_with("beta") ? 1 : 2;
  const std::string_view word = stage == 1 ? "beta" : "alpha";
  if (!version.starts_with(word)) return kNone;
  version.remove_prefix(word.size());
  if (!number(minor) || !version.empty()) return kNone;
  return {stage, -major, -minor};
}

}  // namespace

const Kind* listCustomKinds(const Crd& definition, const void* owner) {
  Registry& all = registry();
  const std::string& name = definition.metadata().name();
  auto found = all.definitions.find(name);
  if (!isTrue(definition.status(), "Established")) {
    unlistCustomKinds(name, owner);
    return found == all.definitions.end() ? nullptr : &found->second->resource;
  }
  if (found == all.definitions.end())
    found = all.definitions.emplace(name, std::make_unique<Definition>()).first;
  Definition& known = *found->second;
  update(known, definition);
  known.owner = owner;
  known.listed = true;
  all.changed();
  return &known.resource;
}

void unlistCustomKinds(std::string_view definition, const void* owner) {
  const auto found = registry().definitions.find(definition);
  if (found == registry().definitions.end() || found->second->owner != owner) return;
  if (!std::exchange(found->second->listed, false)) return;
  registry().changed();
}

void unlistCustomKinds(const void* owner) {
  for (const auto& [name, definition] : registry().definitions) unlistCustomKinds(name, owner);
}

const Kind* customResource(std::string_view definition) {
  const auto found = registry().definitions.find(definition);
  const bool listed = found != registry().definitions.end() && found->second->listed;
  return listed ? &found->second->resource : nullptr;
}

const std::vector<const Kind*>& customResources() {
  return registry().resources;
}

const std::vector<const Kind*>& servedCustomKinds() {
  return registry().served;
}

const Kind* customKindOf(const CustomObject& object) {
  const auto found = registry().byType.find(typeKey(object.apiversion(), object.kind()));
  return found == registry().byType.end() ? nullptr : found->second;
}

std::uint64_t customKindsGeneration() {
  return registry().generation;
}

bool isPreferredVersion(std::string_view a, std::string_view b) {
  return std::tuple(rankOf(a), a) < std::tuple(rankOf(b), b);
}

}  // namespace podlab::api
