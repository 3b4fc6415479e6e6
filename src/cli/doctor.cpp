#include "cli/doctor.hpp"

#include "cli/table.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kFewOpenFiles = 4096;

const char* nameOf(CheckResult result) {
  switch (result) {
    case CheckResult::kOk:
      return "ok";
    case CheckResult::kWarn:
      return "warn";
    case CheckResult::kMissing:
      return "missing";
  }
  return "";
}

/// What a trial tells, and what its failure means.
struct TrialRule {
  const char* trial;
  const char* works;
  CheckResult otherwise;
  const char* remedy;
};

const TrialRule kRules[] = {
    {kTryNetwork, "can be made", CheckResult::kMissing,
     "remedy: a kernel with CONFIG_NET_NS, outside of containers that forbid it"},
    {kTryProc, "can be mounted", CheckResult::kMissing,
     "each node has a PID namespace of its own; remedy: run podlab outside of containers that "
     "cover parts of /proc"},
    {kTryBridge, "works", CheckResult::kMissing,
     "remedy: as root, modprobe bridge, or a kernel with CONFIG_BRIDGE"},
    {kTryVeth, "works", CheckResult::kMissing,
     "remedy: as root, modprobe veth, or a kernel with CONFIG_VETH"},
    {kTryVxlan, "works", CheckResult::kMissing,
     "remedy: as root, modprobe vxlan, or set networking.backend: host-gw in the cluster file"},
    {kTryOverlay, "works", CheckResult::kWarn,
     "each container gets a copy of its image, which costs time and disk; remedy: kernel 5.11 or "
     "later with CONFIG_OVERLAY_FS (as root, modprobe overlay)"},
    {kTryNftables, "works", CheckResult::kWarn,
     "network policies will not be available; remedy: as root, modprobe nf_tables"},
    {kTryIpv6, "works", CheckResult::kWarn,
     "only networking.ipFamily: ipv4 works; remedy: boot without ipv6.disable=1"},
    {kTryBridgeFilter, "works", CheckResult::kWarn,
     "faults of partition and loss will not be available"},
    {kTryTbf, "works", CheckResult::kWarn, "faults of rate will not be available"},
    {kTryNetem, "works", CheckResult::kWarn, "faults of delay will not be available"},
};

Check checkUserNamespaces(const HostFacts& facts) {
  const auto found = facts.trials.find(kTryUser);
  const std::string error = found == facts.trials.end() ? "not tried" : found->second;
  if (error.empty())
    return {kTryUser, CheckResult::kOk,
            facts.root ? "can be made (not needed as root)" : "can be made"};
  const std::string remedy =
      error +
      "; remedy: as root, sysctl -w user.max_user_namespaces=15000 "
      "kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 (those "
      "that exist)";
  if (facts.root) return {kTryUser, CheckResult::kWarn, remedy + "; needed by ordinary users only"};
  return {kTryUser, CheckResult::kMissing, remedy + ", or run podlab as root"};
}

Check checkCgroups(const Cgroups& cgroups) {
  if (!cgroups.reason().empty()) {
    return {"cgroups", CheckResult::kWarn,
            "limits are not enforced, and podlab top has no figures: " + cgroups.reason()};
  }
  return {"cgroups", CheckResult::kOk, cgroups.isUnified() ? "version 2" : "version 1"};
}

Check checkIdMaps(const HostFacts& facts) {
  if (facts.idMapTools && facts.subordinateIds)
    return {"subordinate ids", CheckResult::kOk, "newuidmap, newgidmap and ids for " + facts.user};
  std::string detail = "rootless containers have one user id, root";
  if (!facts.idMapTools) detail += "; remedy: apt-get install uidmap";
  if (!facts.subordinateIds) {
    detail +=
        "; remedy: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + facts.user;
  }
  // As root all ids are there.
  if (facts.root) return {"subordinate ids", CheckResult::kOk, "not needed as root"};
  return {"subordinate ids", CheckResult::kWarn, detail};
}

Check checkImageTools(const HostFacts& facts) {
  if (facts.missingTools.empty()) return {"image tools", CheckResult::kOk, "skopeo and umoci"};
  return {"image tools", CheckResult::kWarn,
          "podlab image cannot load, pull, import or build without them; remedy: apt-get install " +
              facts.missingTools};
}

Check checkDisk(const HostFacts& facts) {
  if (!facts.stateError.empty())
    return {"state folder", CheckResult::kMissing,
            facts.stateFolder + ": " + facts.stateError +
                "; remedy: make it writable, or set PODLAB_STATE_DIR"};
  const std::string free =
      facts.stateFolder + ": " + std::to_string(facts.freeBytes / kMiB) + " MiB free";
  if (facts.freeBytes < 64 * kMiB)
    return {"state folder", CheckResult::kMissing,
            free + "; remedy: free at least 64 MiB, or set PODLAB_STATE_DIR"};
  if (facts.freeBytes < 1024 * kMiB)
    return {"state folder", CheckResult::kWarn, free + "; logs and emptyDir volumes need room"};
  if (!facts.stateFileSystem.empty())
    return {"state folder", CheckResult::kWarn,
            free + "; on " + facts.stateFileSystem +
                " no overlay can be written, so each container gets a copy of its image; remedy: "
                "PODLAB_STATE_DIR on ext4, xfs or btrfs"};
  return {"state folder", CheckResult::kOk, free};
}

}  // namespace

std::vector<Check> judgeHost(const HostFacts& facts) {
  std::vector<Check> checks{checkUserNamespaces(facts)};
  for (const auto& rule : kRules) {
    const auto trial = facts.trials.find(rule.trial);
    if (trial == facts.trials.end()) {
      checks.push_back({rule.trial, rule.otherwise, "not tried, for lack of namespaces"});
    } else if (trial->second.empty()) {
      checks.push_back({rule.trial, CheckResult::kOk, rule.works});
    } else {
      checks.push_back({rule.trial, rule.otherwise, trial->second + "; " + rule.remedy});
    }
  }
  checks.push_back(checkCgroups(facts.cgroups));
  if (facts.runtimeVersion.empty()) {
    checks.push_back(
        {"crun", CheckResult::kMissing, facts.runtimeError + "; remedy: apt-get install crun"});
  } else {
    checks.push_back({"crun", CheckResult::kOk, facts.runtimeVersion});
  }
  checks.push_back(checkImageTools(facts));
  checks.push_back(checkIdMaps(facts));
  const std::string files = std::to_string(facts.openFiles);
  if (facts.openFiles < kFewOpenFiles) {
    checks.push_back({"open files", CheckResult::kWarn,
                      "at most " + files +
                          " a process, too few for hundreds of pods; remedy: ulimit -n 65536, or "
                          "nofile in /etc/security/limits.conf"});
  } else {
    checks.push_back({"open files", CheckResult::kOk, "up to " + files + " a process"});
  }
  checks.push_back(checkDisk(facts));
  return checks;
}

bool canRunLabs(const std::vector<Check>& checks) {
  for (const auto& check : checks) {
    if (check.result == CheckResult::kMissing) return false;
  }
  return true;
}

std::string formatChecks(const std::vector<Check>& checks) {
  Table table({"CHECK", "STATUS", "DETAIL"});
  for (const auto& check : checks) table.add({check.name, nameOf(check.result), check.detail});
  return table.text();
}

std::string checksJson(const std::vector<Check>& checks) {
  std::string out;
  JsonWriter writer(out, 4);
  writer.beginObject();
  writer.key("ok");
  writer.boolean(canRunLabs(checks));
  writer.key("checks");
  writer.beginArray();
  for (const auto& check : checks) {
    writer.beginObject();
    writer.key("name");
    writer.string(check.name);
    writer.key("status");
    writer.string(nameOf(check.result));
    writer.key("detail");
    writer.string(check.detail);
    writer.endObject();
  }
  writer.endArray();
  writer.endObject();
  return out + "\n";
}

}  // namespace podlab::cli
