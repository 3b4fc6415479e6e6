#include "cli/doctor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/param_name.hpp"

namespace podlab::cli {
namespace {

using ::testing::HasSubstr;

/// A host that has everything.
HostFacts goodHost() {
  HostFacts facts;
  facts.user = "ada";
  for (const char* trial :
       {kTryUser, kTryNetwork, kTryProc, kTryBridge, kTryVeth, kTryVxlan, kTryNftables,
        kTryBridgeFilter, kTryTbf, kTryIpv6, kTryNetem, kTryOverlay})
    facts.trials[trial] = "";
  facts.cgroups = Cgroups({{"/sys/fs/cgroup", {"cpu", "memory", "pids"}, true}}, "");
  facts.runtimeVersion = "crun version 1.8.1";
  facts.idMapTools = true;
  facts.subordinateIds = true;
  facts.openFiles = 1 << 20;
  facts.stateFolder = "/state";
  facts.freeBytes = std::uint64_t{10} << 30;
  return facts;
}

Check find(const std::vector<Check>& checks, const std::string& name) {
  for (const auto& check : checks) {
    if (check.name == name) return check;
  }
  ADD_FAILURE() << "no check " << name;
  return {};
}

TEST(Doctor, AGoodHostIsOkThroughout) {
  const auto checks = judgeHost(goodHost());
  for (const auto& check : checks) EXPECT_EQ(check.result, CheckResult::kOk) << check.name;
  EXPECT_TRUE(canRunLabs(checks));
}

struct Lack {
  const char* check;
  void (*remove)(HostFacts&);
  CheckResult result;
  const char* remedy;
};

class DoctorLacks : public testing::TestWithParam<Lack> {};

TEST_P(DoctorLacks, AreToldWithTheRemedy) {
  HostFacts facts = goodHost();
  GetParam().remove(facts);
  const auto checks = judgeHost(facts);
  const Check check = find(checks, GetParam().check);
  EXPECT_EQ(check.result, GetParam().result);
  EXPECT_THAT(check.detail, HasSubstr(GetParam().remedy));
  EXPECT_EQ(canRunLabs(checks), GetParam().result != CheckResult::kMissing);
}

INSTANTIATE_TEST_SUITE_P(
    All, DoctorLacks,
    testing::Values(Lack{kTryUser, [](HostFacts& f) { f.trials[kTryUser] = "EPERM"; },
                         CheckResult::kMissing, "user.max_user_namespaces"},
                    Lack{kTryUser,
                         [](HostFacts& f) {
                           f.root = true;
                           f.trials[kTryUser] = "EPERM";
                         },
                         CheckResult::kWarn, "ordinary users"},
                    Lack{kTryVxlan, [](HostFacts& f) { f.trials[kTryVxlan] = "ENOTSUP"; },
                         CheckResult::kMissing, "ENOTSUP; remedy: as root, modprobe vxlan"},
                    Lack{kTryBridge, [](HostFacts& f) { f.trials.erase(kTryBridge); },
                         CheckResult::kMissing, "not tried"},
                    Lack{kTryNetem, [](HostFacts& f) { f.trials[kTryNetem] = "ENOENT"; },
                         CheckResult::kWarn, "faults of delay will not be available"},
                    Lack{kTryIpv6, [](HostFacts& f) { f.trials[kTryIpv6] = "off"; },
                         CheckResult::kWarn, "ipFamily: ipv4"},
                    Lack{"cgroups", [](HostFacts& f) { f.cgroups = Cgroups({}, "none here"); },
                         CheckResult::kWarn, "none here"},
                    Lack{"crun",
                         [](HostFacts& f) {
                           f.runtimeVersion = "";
                           f.runtimeError = "not found";
                         },
                         CheckResult::kMissing, "not found; remedy: apt-get install crun"},
                    Lack{"subordinate ids", [](HostFacts& f) { f.subordinateIds = false; },
                         CheckResult::kWarn,
                         "--add-subuids 100000-165535 --add-subgids 100000-165535 ada"},
                    Lack{kTryOverlay, [](HostFacts& f) { f.trials[kTryOverlay] = "EPERM"; },
                         CheckResult::kWarn, "a copy of its image"},
                    Lack{"image tools", [](HostFacts& f) { f.missingTools = "umoci"; },
                         CheckResult::kWarn, "apt-get install umoci"},
                    Lack{"state folder", [](HostFacts& f) { f.stateFileSystem = "NFS"; },
                         CheckResult::kWarn, "on NFS no overlay"},
                    Lack{"open files", [](HostFacts& f) { f.openFiles = 1024; }, CheckResult::kWarn,
                         "ulimit -n"},
                    Lack{"state folder", [](HostFacts& f) { f.stateError = "read-only"; },
                         CheckResult::kMissing, "PODLAB_STATE_DIR"},
                    Lack{"state folder", [](HostFacts& f) { f.freeBytes = 1 << 20; },
                         CheckResult::kMissing, "1 MiB free"},
                    Lack{"state folder", [](HostFacts& f) { f.freeBytes = 500 << 20; },
                         CheckResult::kWarn, "500 MiB free"}),
    [](const auto& info) { return paramName(info.param.check, info.index); });

TEST(Doctor, Output) {
  const std::vector<Check> checks{{"one", CheckResult::kOk, "fine"},
                                  {"two", CheckResult::kMissing, "gone"}};
  EXPECT_EQ(formatChecks(checks),
            "CHECK   STATUS    DETAIL\n"
            "one     ok        fine\n"
            "two     missing   gone\n");
  EXPECT_THAT(checksJson(checks), HasSubstr("\"ok\": false"));
  EXPECT_THAT(checksJson(checks), HasSubstr("\"status\": \"missing\""));
}

}  // namespace
}  // namespace podlab::cli
