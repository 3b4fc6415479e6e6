#include "api/managed_fields.hpp"

#include <gtest/gtest.h>

#include <set>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/managed_document.hpp"
#include "api/typed_value.hpp"
#include "common/rng.hpp"
#include "tests/api/codec_random.hpp"

namespace podlab::api {
namespace {

using corev1::ConfigMap;
using corev1::Pod;

constexpr WallTime kNow{std::chrono::seconds(1'000'000)};

ApplyOptions by(const std::string& manager, bool force = false) {
  return {{manager, "", kNow}, force, FieldValidation::kStrict};
}

std::string fieldsBy(const google::protobuf::Message& object, const std::string& manager,
                     const std::string& operation) {
  for (const auto& entry : meta(object).managedfields()) {
    if (entry.manager() == manager && entry.operation() == operation) return entry.fieldsv1().raw();
  }
  return "";
}

Pod podFrom(const char* json) {
  Pod pod;
  const Status read = fromJson(json, pod, {.strict = true});
  EXPECT_TRUE(read.ok()) << read.toString();
  return pod;
}

Result<Pod> apply(const Pod* live, const std::string& spec, const ApplyOptions& options) {
  auto made = applyConfiguration(
      kindFor<Pod>(), live,
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":)" + spec + "}", options);
  if (!made) return made.status();
  return as<Pod>(made->object);
}

TEST(ManagedFields, ListsMergeByAllTheirKeys) {
  const auto first = apply(nullptr,
                           R"({"containers":[{"name":"a","image":"i","ports":[
                             {"containerPort":53,"protocol":"UDP","name":"u"},{"containerPort":53}]}]})",
                           by("one"));
  ASSERT_TRUE(first.ok()) << first.status().toString();
  ASSERT_EQ(first->spec().containers(0).ports_size(), 2);
  const auto second = apply(&*first,
                            R"({"containers":[{"name":"b","image":"j"},{"name":"a","ports":[
                              {"containerPort":53,"protocol":"TCP","name":"t"}]}]})",
                            by("two"));
  ASSERT_TRUE(second.ok()) << second.status().toString();
  ASSERT_EQ(second->spec().containers_size(), 2);
  EXPECT_EQ(second->spec().containers(0).name(), "b");
  const auto& ports = second->spec().containers(1).ports();
  ASSERT_EQ(ports.size(), 2);
  EXPECT_EQ(ports[0].name(), "u");
  EXPECT_EQ(ports[1].name(), "t");
  // Without its owner goes the whole element, with what nobody owns in it.
  Pod defaulted = *second;
  defaulted.mutable_spec()->mutable_containers(0)->set_imagepullpolicy("Always");
  const auto third = apply(&defaulted, R"({"containers":[{"name":"a"}]})", by("two"));
  ASSERT_TRUE(third.ok()) << third.status().toString();
  ASSERT_EQ(third->spec().containers_size(), 1);
  EXPECT_EQ(third->spec().containers(0).name(), "a");
  EXPECT_EQ(third->spec().containers(0).image(), "i");
}

TEST(ManagedFields, ConflictsNameManagersAndFields) {
  auto live =
      apply(nullptr, R"({"nodeName":"n","containers":[{"name":"a","image":"i"}]})", by("one"));
  ASSERT_TRUE(live.ok());
  Pod changed = *live;
  changed.mutable_spec()->set_nodename("m");
  trackUpdate(kindFor<Pod>(), &*live, changed.metadata(), changed, {"edit", "", kNow});
  EXPECT_EQ(fieldsBy(changed, "edit", "Update"), R"({"f:spec":{"f:nodeName":{}}})");
  EXPECT_EQ(
      fieldsBy(changed, "one", "Apply"),
      R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},"f:name":{}}}}})");

  const char* const config = R"({"nodeName":"x","containers":[{"name":"a","image":"j"}]})";
  const auto refused = apply(&changed, config, by("two"));
  EXPECT_EQ(refused.status().code(), Code::kConflict);
  EXPECT_EQ(refused.status().message(),
            "Apply failed with 2 conflicts: conflicts with \"one\":\n"
            "- .spec.containers[name=\"a\"].image\n"
            "conflicts with \"edit\" using v1:\n- .spec.nodeName");
  ASSERT_EQ(refused.status().causes().size(), 2U);
  EXPECT_EQ(refused.status().causes()[1],
            (Cause{"FieldManagerConflict", ".spec.nodeName", "conflict with \"edit\" using v1"}));
  const auto alone = apply(&changed, R"({"nodeName":"x"})", by("two"));
  EXPECT_EQ(alone.status().message(),
            "Apply failed with 1 conflict: conflict with \"edit\" using v1: .spec.nodeName");

  const auto forced = apply(&changed, config, by("two", true));
  ASSERT_TRUE(forced.ok());
  EXPECT_EQ(forced->spec().containers(0).image(), "j");
  EXPECT_EQ(fieldsBy(*forced, "edit", "Update"), "");
  EXPECT_EQ(fieldsBy(*forced, "one", "Apply"),
            R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:name":{}}}}})");
}

TEST(ManagedFields, WhatNobodyTrackedBelongsToBeforeFirstApply) {
  const Pod live = podFrom(R"({"metadata":{"name":"p"},"spec":{"nodeName":"n"}})");
  EXPECT_EQ(apply(&live, R"({"nodeName":"m"})", by("one")).status().message(),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: "
            ".spec.nodeName");
  const auto same = apply(&live, R"({"nodeName":"n"})", by("one"));
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->metadata().managedfields_size(), 2);
  Pod next = live;
  next.mutable_spec()->set_nodename("m");
  trackUpdate(kindFor<Pod>(), &live, next.metadata(), next, {"edit", "", kNow});
  EXPECT_EQ(next.metadata().managedfields_size(), 0) << "an update does not begin to track";
}

TEST(ManagedFields, OneValueIsOwnedAsAWhole) {
  const auto live = apply(nullptr, R"({"affinity":{"podAffinity":{}},"nodeSelector":{"a":"1"},
      "tolerations":[{"key":"k"}],"volumes":[{"name":"v","configMap":{"name":"c"}}]})",
                          by("one"));
  ASSERT_TRUE(live.ok()) << live.status().toString();
  EXPECT_EQ(
      fieldsBy(*live, "one", "Apply"),
      R"({"f:spec":{"f:affinity":{"f:podAffinity":{}},"f:nodeSelector":{},"f:tolerations":{},"f:volumes":{"k:{\"name\":\"v\"}":{".":{},"f:configMap":{"f:name":{}},"f:name":{}}}}})");
}

TEST(ManagedFields, ClientsCanReplaceOrResetThem) {
  auto live = apply(nullptr, R"({"nodeName":"n"})", by("one"));
  ASSERT_TRUE(live.ok());
  const auto update = [&](metav1::ObjectMeta wanted) {
    Pod next = *live;
    trackUpdate(kindFor<Pod>(), &*live, wanted, next, {"edit", "", kNow});
    return next;
  };
  metav1::ObjectMeta wanted = live->metadata();
  wanted.mutable_managedfields(0)->set_manager("renamed");
  EXPECT_EQ(fieldsBy(update(wanted), "renamed", "Apply"), R"({"f:spec":{"f:nodeName":{}}})");
  wanted.clear_managedfields();
  EXPECT_EQ(fieldsBy(update(wanted), "one", "Apply"), R"({"f:spec":{"f:nodeName":{}}})");
  wanted.add_managedfields()->set_operation("nosuch");
  EXPECT_EQ(fieldsBy(update(wanted), "one", "Apply"), R"({"f:spec":{"f:nodeName":{}}})");
  wanted.clear_managedfields();
  wanted.add_managedfields();
  EXPECT_EQ(update(wanted).metadata().managedfields_size(), 0);
}

TEST(ManagedFields, OldUpdatersAreSummedUp) {
  ConfigMap live;
  live.mutable_metadata()->set_name("c");
  (*live.mutable_data())["first"] = "1";
  trackUpdate(kindFor<ConfigMap>(), nullptr, live.metadata(), live, {"maker", "", kNow});
  for (int i = 0; i < 30; ++i) {
    ConfigMap next = live;
    (*next.mutable_data())["k" + std::to_string(i)] = "v";
    trackUpdate(kindFor<ConfigMap>(), &live, next.metadata(), next,
                {"m" + std::to_string(i), "", kNow + std::chrono::seconds(i + 1)});
    live = next;
  }
  EXPECT_EQ(live.metadata().managedfields_size(), 10);
  EXPECT_NE(fieldsBy(live, "m29", "Update"), "");
  EXPECT_NE(fieldsBy(live, "ancient-changes", "Update").find("f:first"), std::string::npos);
}

TEST(ManagedFields, RefusesMalformedConfigurations) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"", "error decoding YAML"},
      {"a: [", "error decoding YAML"},
      {"{}", "Incorrect version specified in apply patch"},
      {R"({"apiVersion":"v1","kind":"Node"})", "Incorrect version specified in apply patch"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"nosuch":1}})",
       ".spec.nosuch: field not declared in schema"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"x"}]}})",
       "omits key field \"name\""},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"x"},{"name":"x"}]}})",
       "duplicate entries for key"},
      {R"({"apiVersion":"v1","kind":"Pod","metadata":{"managedFields":[{"manager":"x"}]}})",
       "metadata.managedFields must be nil"},
  };
  for (const Case& each : cases) {
    const auto made = applyConfiguration(kindFor<Pod>(), nullptr, each.text, by("one"));
    EXPECT_EQ(made.status().code(), Code::kBadRequest) << each.text;
    EXPECT_NE(made.status().message().find(each.message), std::string::npos)
        << made.status().toString();
  }
}

TEST(ManagedFields, WhatIsMadeIsOwnedAsWhatIsAdded) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    for (const Kind& kind : kinds()) {
      const auto made = kind.make();
      RandomMessage(rng, static_cast<int>(rng.below(4))).fill(*made);
      mutableMeta(*made).clear_managedfields();
      const ValueType type = ValueType::of(made->GetDescriptor());
      const FieldSet expected =
          compare(nlohmann::json::object(), managedDocument(kind, made.get(), ""), type).added;
      trackUpdate(kind, nullptr, meta(*made), *made, {"maker", "", kNow});
      const auto managers = readManagers(meta(*made));
      ASSERT_TRUE(managers.ok()) << managers.status().toString();
      const FieldSet fields = managers->empty() ? FieldSet() : managers->begin()->second.fields;
      ASSERT_EQ(fields.toFieldsV1(), expected.toFieldsV1()) << kind.kind << toJson(*made);
    }
  }
}

// The same by plain maps of paths, for pods of a few fields.

using Paths = std::map<std::string, std::string>;

Paths flatten(const Pod& pod) {
  Paths paths;
  for (const auto& [key, value] : pod.metadata().labels()) paths[".metadata.labels." + key] = value;
  if (pod.spec().has_nodename()) paths[".spec.nodeName"] = pod.spec().nodename();
  std::string tolerations;
  for (const auto& each : pod.spec().tolerations()) tolerations += each.key() + ",";
  if (!tolerations.empty()) paths[".spec.tolerations"] = tolerations;
  for (const auto& container : pod.spec().containers()) {
    const std::string at = ".spec.containers[name=\"" + container.name() + "\"]";
    paths[at] = "";
    paths[at + ".name"] = container.name();
    paths[at + ".resources"] = "";
    if (container.has_image()) paths[at + ".image"] = container.image();
    for (const auto& env : container.env()) {
      const std::string item = at + ".env[name=\"" + env.name() + "\"]";
      paths[item] = "";
      paths[item + ".name"] = env.name();
      if (env.has_value()) paths[item + ".value"] = env.value();
    }
  }
  return paths;
}

class NaiveOwnership {
 public:
  using Owners = std::map<std::string, std::set<std::string>>;

  void update(const std::string& manager, const Paths& next) {
    for (const auto& [path, value] : values_) {
      if (!next.contains(path)) owners_.erase(path);
    }
    for (const auto& [path, value] : next) {
      const auto known = values_.find(path);
      if (known == values_.end() || known->second != value) owners_[path] = {manager};
    }
    values_ = next;
  }

  /// The conflicts; when there are any, nothing has changed.
  std::set<std::string> apply(const std::string& manager, const Paths& config, bool force) {
    std::set<std::string> conflicts;
    for (const auto& [path, value] : config) {
      const auto known = values_.find(path);
      if (known == values_.end() || known->second == value) continue;
      for (const auto& owner : owners_[path]) {
        if (owner != manager) conflicts.insert(path);
      }
    }
    if (!conflicts.empty() && !force) return conflicts;
    Paths next = values_;
    for (const auto& [path, value] : config) {
      if (!next.contains(path) || next[path] != value) owners_[path].clear();
      next[path] = value;
    }
    std::vector<std::string> gone;
    for (auto& [path, owners] : owners_) {
      if (config.contains(path)) {
        owners.insert(manager);
      } else if (owners.erase(manager) > 0 && owners.empty()) {
        gone.push_back(path);
      }
    }
    for (const auto& path : gone) {
      const bool item = path.ends_with("]");
      std::erase_if(next, [&](const auto& entry) {
        return entry.first == path || (item && entry.first.starts_with(path));
      });
    }
    std::erase_if(owners_, [&](const auto& entry) {
      return entry.second.empty() || !next.contains(entry.first);
    });
    values_ = next;
    return {};
  }

  const Paths& values() const { return values_; }
  const Owners& owners() const { return owners_; }

 private:
  Paths values_;
  Owners owners_;
};

Pod randomPod(SeededRng& rng) {
  const auto chance = [&](int one) { return rng.below(static_cast<std::uint64_t>(one)) == 0; };
  const auto letter = [&](const char* from) {
    return std::string(1, from[rng.below(std::string_view(from).size())]);
  };
  Pod pod;
  pod.mutable_metadata()->set_name("p");
  for (const char* label : {"a", "b", "c"}) {
    if (chance(2)) (*pod.mutable_metadata()->mutable_labels())[label] = letter("12");
  }
  if (chance(2)) pod.mutable_spec()->set_nodename(letter("xy"));
  if (chance(3)) pod.mutable_spec()->add_tolerations()->set_key(letter("tu"));
  for (const char* name : {"m", "n"}) {
    if (chance(2)) continue;
    auto& container = *pod.mutable_spec()->add_containers();
    container.set_name(name);
    container.mutable_resources();
    if (chance(2)) container.set_image(letter("ij"));
    for (const char* variable : {"A", "B"}) {
      if (chance(2)) continue;
      auto& env = *container.add_env();
      env.set_name(variable);
      if (!chance(3)) env.set_value(letter("12"));
    }
  }
  return pod;
}

NaiveOwnership::Owners ownersOf(const Pod& pod) {
  NaiveOwnership::Owners owners;
  const auto managers = readManagers(pod.metadata());
  EXPECT_TRUE(managers.ok());
  for (const auto& [id, entry] : *managers) {
    for (const auto& path : entry.fields.paths()) {
      // Which lists and maps are there at all is upstream's to know.
      const bool container = path.ends_with(".labels") || path.ends_with(".env") ||
                             path.ends_with(".containers") || path == ".spec";
      if (!container) owners[path].insert(id.operation + " " + id.manager);
    }
  }
  return owners;
}

TEST(ManagedFields, AgreeWithPlainMapsOfPaths) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    NaiveOwnership naive;
    Pod live;
    bool exists = false;
    for (int step = 0; step < 30; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      const Pod wanted = randomPod(rng);
      const std::string manager(1, "ABC"[rng.below(3)]);
      if (rng.below(3) == 0) {
        Pod next = wanted;
        trackUpdate(kindFor<Pod>(), exists ? &live : nullptr, wanted.metadata(), next,
                    {manager, "", kNow});
        naive.update("Update " + manager, flatten(wanted));
        if (exists && live.metadata().managedfields().empty()) break;
        live = next;
        exists = true;
      } else {
        const bool force = rng.below(2) == 0;
        if (exists && live.metadata().managedfields().empty()) break;
        const std::string config = toJson(wanted, {.type = {"v1", "Pod"}});
        const auto made = applyConfiguration(kindFor<Pod>(), exists ? &live : nullptr, config,
                                             by(manager, force));
        const auto conflicts = naive.apply("Apply " + manager, flatten(wanted), force);
        std::set<std::string> told;
        const Status status = made.status();
        for (const auto& cause : status.causes()) told.insert(cause.field);
        ASSERT_EQ(told, conflicts);
        if (!made) continue;
        live = as<Pod>(made->object);
        exists = true;
        // The same again changes nothing.
        const auto again = applyConfiguration(kindFor<Pod>(), &live, config, by(manager));
        ASSERT_TRUE(again.ok()) << again.status().toString();
        ASSERT_EQ(toJson(*again->object), toJson(live));
      }
      ASSERT_EQ(flatten(live), naive.values()) << toJson(live);
      ASSERT_EQ(ownersOf(live), naive.owners()) << toJson(live);
    }
  }
}

}  // namespace
}  // namespace podlab::api
