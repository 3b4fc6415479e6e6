#include "node/pod_manager.hpp"

#include <algorithm>
#include <utility>

#include "api/persistent_volumes.hpp"
#include "common/log.hpp"
#include "node/container_id.hpp"
#include "node/until_done.hpp"

namespace podlab::node {

PodManager::PodManager(PodServices services)
    : services_(std::move(services)), tasks_(services_.executor) {
  services_.addressFreed = [this] { retrySetUp(); };
  services_.instanceEnded = [this] { instanceEnded_.notifyAll(); };
  services_.claimIsUsed = [this](const corev1::Pod& pod, const std::string& claim) {
    return std::ranges::any_of(workers_, [&](const auto& entry) {
      const auto& other = entry.second->pod();
      if (entry.first == pod.metadata().uid() || !entry.second->hasVolumes() ||
          other.metadata().namespace_() != pod.metadata().namespace_())
        return false;
      const auto claims = api::claimsOf(other);
      return std::ranges::find(claims, claim) != claims.end();
    });
  };
  services_.runtime.onChange([this](const std::string& id) {
    if (auto* worker = workerOf(id)) worker->containerChanged(id);
  });
}

PodManager::~PodManager() {
  services_.runtime.onChange([](const std::string&) {});
}

Co<Status> PodManager::recover() {
  auto containers = co_await services_.runtime.list();
  if (!containers.ok())
    co_return containers.status().withContext("cannot list the node's containers");
  auto sandboxes = co_await services_.dataplane.listSandboxes();
  if (!sandboxes.ok()) co_return sandboxes.status().withContext("cannot list the node's sandboxes");
  auto loaded = services_.checkpoints.loadPods();
  for (const auto& uid : loaded.unreadable) remains_[uid];
  for (const auto& owner : services_.addresses.owners()) remains_[owner];
  for (auto& status : *containers) remains_[status.podUid].containers.push_back(std::move(status));
  for (const auto& uid : *sandboxes) remains_[uid].sandbox = true;
  for (auto& record : loaded.pods) {
    auto pod = std::make_shared<const corev1::Pod>(record.pod());
    remains_[pod->metadata().uid()].record = std::move(record);
    start(std::move(pod));
  }
  logInfo("pods_recovered", {{"pods", workers_.size()}, {"unclaimed", remains_.size()}});
  co_return Status();
}

void PodManager::start(std::shared_ptr<const corev1::Pod> pod) {
  std::string uid = pod->metadata().uid();
  PodRemains remains;
  if (auto found = remains_.find(uid); found != remains_.end()) {
    remains = std::move(found->second);
    remains_.erase(found);
  }
  auto worker = std::make_unique<PodWorker>(services_, std::move(pod), std::move(remains));
  workers_[uid] = std::move(worker);
  tasks_.spawn("pod " + uid, runWorker(uid));
}

Co<void> PodManager::runWorker(std::string uid) {
  co_await workers_.at(uid)->run();
  if (!workers_.at(uid)->isRemovedAtServer()) gone_.insert(uid);
  workers_.erase(uid);
  instanceEnded_.notifyAll();
}

void PodManager::upsert(const api::ObjectPtr& object) {
  auto pod = api::share<corev1::Pod>(object);
  const auto& uid = pod->metadata().uid();
  if (gone_.contains(uid)) return;
  services_.statuses.observe(object);
  if (auto worker = workers_.find(uid); worker != workers_.end()) {
    worker->second->update(std::move(pod));
  } else {
    start(std::move(pod));
  }
}

void PodManager::removed(const api::ObjectPtr& last) {
  const std::string& uid = api::meta(*last).uid();
  gone_.erase(uid);
  auto worker = workers_.find(uid);
  if (worker != workers_.end()) worker->second->removedAtServer(api::share<corev1::Pod>(last));
}

Co<void> PodManager::reconcile(std::vector<api::ObjectPtr> present) {
  std::set<std::string> uids;
  for (const auto& pod : present) uids.insert(api::meta(*pod).uid());
  for (auto& [uid, worker] : workers_) {
    if (!uids.contains(uid)) worker->removedAtServer(nullptr);
  }
  auto unclaimed = std::exchange(remains_, {});
  for (auto& [uid, remains] : unclaimed) {
    logInfo(
        "remains_removed",
        {{"uid", uid}, {"containers", remains.containers.size()}, {"sandbox", remains.sandbox}});
    auto all = std::make_shared<const PodRemains>(std::move(remains));
    auto step = [this, uid, all] { return removeRemains(uid, all); };
    Status removed = co_await step();
    if (removed.ok()) continue;
    tasks_.spawn("remains " + uid,
                 untilDone(services_.clock, "remains_not_removed", uid, std::move(step)));
  }
}

Co<Status> PodManager::removeRemains(std::string uid, std::shared_ptr<const PodRemains> remains) {
  Status worst;
  auto keep = [&worst](Status status) {
    if (worst.ok()) worst = std::move(status);
  };
  for (const auto& container : remains->containers)
    keep(co_await services_.runtime.remove(container.id));
  keep(co_await services_.runtime.removePidNamespace(uid));
  keep(co_await services_.dataplane.removeSandbox(uid));
  keep(co_await services_.volumes.tearDown(uid));
  keep(co_await services_.addresses.release(uid));
  // The record goes last: until then a restarted agent knows that something is left.
  if (worst.ok()) worst = services_.checkpoints.removePod(uid);
  co_return worst;
}

void PodManager::networkIsUp() {
  services_.networkUp = true;
  retrySetUp();
}

void PodManager::retrySetUp() {
  for (auto& [uid, worker] : workers_) worker->retrySetUp();
}

Co<void> PodManager::stop() {
  co_await tasks_.cancelAndJoin();
  for (auto& [uid, worker] : workers_) co_await worker->stop();
  workers_.clear();
}

const PodWorker* PodManager::find(std::string_view ns, std::string_view name) const {
  const PodWorker* found = nullptr;
  for (const auto& [uid, worker] : workers_) {
    const auto& metadata = worker->pod().metadata();
    if (metadata.namespace_() != ns || metadata.name() != name) continue;
    // The name may be another pod's by now, while this one still ends.
    if (found == nullptr || !worker->isRemovedAtServer()) found = worker.get();
  }
  return found;
}

PodWorker* PodManager::workerOf(const std::string& containerId) const {
  const auto id = ContainerId::parse(containerId);
  const auto worker = id ? workers_.find(id->podUid) : workers_.end();
  return worker == workers_.end() ? nullptr : worker->second.get();
}

const PodWorker* PodManager::findByUid(const std::string& uid) const {
  auto worker = workers_.find(uid);
  return worker == workers_.end() ? nullptr : worker->second.get();
}

Co<void> PodManager::waitUntilEnded(std::string containerId) const {
  for (;;) {
    const auto* worker = workerOf(containerId);
    if (worker == nullptr || !worker->isRunning(containerId)) co_return;
    co_await instanceEnded_.wait();
  }
}

Co<void> PodManager::waitUntilDown(std::string uid) const {
  for (const auto* worker = findByUid(uid); worker != nullptr && worker->hasNetwork();
       worker = findByUid(uid)) {
    co_await instanceEnded_.wait();
  }
}

}  // namespace podlab::node
