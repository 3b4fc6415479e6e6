#include "cli/hosts_plan.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "transport/tcp.hpp"

namespace podlab::cli {

std::vector<HostNode> hostNodes(const lab::Cluster& cluster) {
  std::vector<HostNode> nodes;
  for (int i = 0; i < cluster.nodes_size(); ++i) {
    const auto& node = cluster.nodes(i);
    auto host = lab::parseNodeHost(node.host());
    if (!host) continue;  // validateCluster() has refused it
    nodes.push_back(
        {node, std::move(*host),
         node.name() + ": nodes[" + std::to_string(i) + "].host \"" + node.host() + "\""});
  }
  return nodes;
}

Result<HostsPlan> planHosts(const std::optional<lab::Cluster>& stored, const lab::Cluster& wanted) {
  HostsPlan plan;
  plan.nodes = hostNodes(wanted);
  if (!stored) return plan;
  if (lab::formatCluster(lab::serverPart(*stored)) != lab::formatCluster(lab::serverPart(wanted))) {
    return Status(Code::kConflict,
                  "the cluster \"" + wanted.name() +
                      "\" exists with another network or other images; only its nodes can be "
                      "changed. Delete it first: podlab down --purge");
  }
  for (const auto& old : hostNodes(*stored)) {
    bool kept = false;
    for (const auto& node : plan.nodes) {
      const bool sameMachine = lab::isSameMachine(node.host, old.host);
      if (node.name() == old.name() && !sameMachine) {
        return Status(Code::kConflict, node.origin + ": the node is on host " + old.node.host() +
                                           "; remove it there first: podlab node rm " + old.name());
      }
      if (node.name() != old.name() && sameMachine) {
        return Status(Code::kConflict, node.origin + ": the host is node \"" + old.name() +
                                           "\"; remove that one first: podlab node rm " +
                                           old.name());
      }
      kept |= node.name() == old.name();
    }
    if (!kept) plan.gone.push_back(old.name());
  }
  return plan;
}

lab::Cluster withNodes(const std::optional<lab::Cluster>& stored, const lab::Cluster& wanted,
                       const std::vector<HostNode>& nodes) {
  lab::Cluster cluster = stored ? *stored : lab::serverPart(wanted);
  for (const auto& node : nodes) {
    const auto found = std::ranges::find_if(
        *cluster.mutable_nodes(), [&](const auto& old) { return old.name() == node.name(); });
    (found == cluster.mutable_nodes()->end() ? *cluster.add_nodes() : *found) = node.node;
  }
  return cluster;
}

std::string chooseAddress(const std::string& flag, const std::string& stored,
                          const std::vector<net::IpAddress>& own,
                          const std::vector<std::string>& seen) {
  if (!flag.empty()) return flag;
  const auto isOwn = [&own](const std::string& text) {
    const auto address = net::IpAddress::parse(text);
    return address && std::ranges::find(own, *address) != own.end();
  };
  // A name was given by a flag once.
  const auto last = transport::splitHostPort(stored);
  if (last && (isOwn(last->host) || !net::IpAddress::parse(last->host))) return stored;
  std::map<std::string, int> votes;
  std::string best;
  for (const auto& address : seen) {
    if (isOwn(address) && ++votes[address] > (best.empty() ? 0 : votes[best])) best = address;
  }
  return best;
}

Result<std::optional<lab::Cluster>> readCluster(Filesystem& files, const lab::LabPaths& paths) {
  auto text = files.readFile(paths.clusterFile());
  if (text.status().is(Code::kNotFound)) return std::optional<lab::Cluster>();
  if (!text) return text.status();
  auto cluster = lab::parseCluster(*text);
  if (!cluster) return cluster.status().withContext(paths.clusterFile());
  return std::optional(std::move(*cluster));
}

Status makeHostsFolder(Filesystem& files, const lab::LabPaths& paths) {
  Status status = files.createDirectories(paths.root, 0755);
  if (!status.ok()) return status;
  // Not replaced: another podlab may have made it in this moment, and hold it (lockHosts).
  const UniqueFd made(::open(paths.standalone().c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
  return made ? Status() : errnoStatus(errno, "cannot create " + paths.standalone());
}

Status storeHostsCluster(Filesystem& files, const lab::LabPaths& paths,
                         const lab::Cluster& cluster) {
  // In this order: a folder with a cluster file and without the other one is a lab's.
  Status status = makeHostsFolder(files, paths);
  if (status.ok()) status = files.writeFileAtomic(paths.clusterFile(), lab::formatCluster(cluster));
  return status;
}

Result<UniqueFd> lockHosts(const lab::LabPaths& paths) {
  UniqueFd fd(::open(paths.standalone().c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errnoStatus(errno, "cannot open " + paths.standalone());
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return errnoStatus(errno, "cannot lock " + paths.standalone());
  return Status(
      Code::kConflict,
      "another podlab brings this cluster up or down, or removes a node; wait for its end");
}

}  // namespace podlab::cli
