#include "node/pod_manager.hpp"

#include <algorithm>
#include <utility>

#include "api/persistent_volumes.hpp"
#include "common/log.hpp"
#include "node/container_id.hpp"
#include "node/shared_limits.hpp"
#include "node/until_done.hpp"

namespace podlab::node {
namespace {

/// A pod's turn: so often does all that is ready run, which is enough for a start without delays.
constexpr int kRoundsOfATurn = 32;
/// Statuses that may wait for their write while further pods get their turn.
constexpr std::size_t kStatusBacklog = 512;

}  // namespace

PodManager::PodManager(PodServices services)
    : services_(std::move(services)), tasks_(services_.executor) {
  services_.addressFreed = [this] { retrySetUp(); };
  services_.instanceEnded = [this] { instanceEnded_.notifyAll(); };
  services_.claimIsUsed = [this](const corev1::Pod& pod, const std::string& claim) {
    return std::ranges::any_of(pods_, [&](const auto& entry) {
      const auto& [uid, other] = entry;
      // What has no worker refers to no claim.
      if (uid == pod.metadata().uid() || other.worker == nullptr || !other.worker->hasVolumes() ||
          other.worker->pod().metadata().namespace_() != pod.metadata().namespace_())
        return false;
      const auto claims = api::claimsOf(other.worker->pod());
      return std::ranges::find(claims, claim) != claims.end();
    });
  };
  services_.runtime.onChange([this](const std::string& id) {
    if (auto* worker = workerOfContainer(id)) worker->containerChanged(id);
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
    auto& remains = remains_[pod->metadata().uid()];
    remains.record = std::move(record);
    start(pod, remains);
    remains_.erase(pod->metadata().uid());
  }
  logInfo("pods_recovered", {{"pods", pods_.size()}, {"unclaimed", remains_.size()}});
  co_return Status();
}

PodWorker* PodManager::start(const api::ObjectPtr& object, const PodRemains& remains) {
  auto pod = api::share<corev1::Pod>(object);
  const std::string uid = pod->metadata().uid();
  auto& entry = pods_[uid];
  entry.worker = std::make_unique<PodWorker>(services_, std::move(pod), remains);
  entry.parked = entry.news = nullptr;
  tasks_.spawn("pod " + uid, runWorker(uid));
  return entry.worker.get();
}

Co<void> PodManager::runWorker(std::string uid) {
  auto& entry = pods_.at(uid);
  co_await entry.worker->run();
  if (entry.worker->finished()) {
    if (!entry.worker->isRemovedAtServer()) gone_.insert(uid);
    pods_.erase(uid);
    instanceEnded_.notifyAll();
  } else {
    entry.parked = entry.worker->parked();
    entry.savedRecord = entry.worker->savedRecord();
    entry.tornDown = entry.worker->isTornDown();
    entry.worker = nullptr;
    services_.statuses.forget(uid);
  }
}

void PodManager::upsert(const api::ObjectPtr& object) {
  const auto& uid = api::meta(*object).uid();
  if (gone_.contains(uid)) return;
  auto& entry = pods_[uid];
  if (entry.worker != nullptr) {
    services_.statuses.observe(object);
    entry.worker->update(api::share<corev1::Pod>(object));
    return;
  }
  const bool waits = entry.news != nullptr;
  entry.news = api::Packed::of(object);
  if (services_.limits == nullptr) {
    workerOf(uid);
    return;
  }
  if (waits) return;
  if (waiting_.empty()) tasks_.spawn("turns", takeTurns());
  waiting_.push_back(uid);
}

Co<void> PodManager::takeTurns() {
  auto& limits = *services_.limits;
  while (!waiting_.empty()) {
    const auto turn = co_await limits.podTurns.acquire();
    co_await limits.statusWrites.untilFewWait(kStatusBacklog);
    workerOf(waiting_.front());
    for (int i = 0; i < kRoundsOfATurn; ++i) co_await giveWay();
    waiting_.pop_front();
  }
  turnsTaken_.notifyAll();
}

Co<void> PodManager::untilTurnsTaken() {
  while (!waiting_.empty()) co_await turnsTaken_.wait();
}

void PodManager::removed(const api::ObjectPtr& last) {
  const std::string& uid = api::meta(*last).uid();
  gone_.erase(uid);
  const auto known = pods_.find(uid);
  const bool tornDown = known != pods_.end() && known->second.worker == nullptr &&
                        known->second.news == nullptr && known->second.tornDown;
  if (tornDown && services_.checkpoints.removePod(uid).ok()) {
    pods_.erase(known);
    instanceEnded_.notifyAll();
    return;
  }
  if (auto* worker = workerOf(uid)) worker->removedAtServer(api::share<corev1::Pod>(last));
}

Co<void> PodManager::reconcile(std::vector<api::ObjectPtr> present) {
  std::set<std::string> uids;
  for (const auto& pod : present) uids.insert(api::meta(*pod).uid());
  for (const auto& [uid, pod] : pods_) {
    if (!uids.contains(uid)) workerOf(uid)->removedAtServer(nullptr);
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
  for (auto& [uid, pod] : pods_) {
    if (pod.worker != nullptr) pod.worker->retrySetUp();
  }
}

void PodManager::report() {
  for (auto& [uid, pod] : pods_) {
    if (pod.worker != nullptr) pod.worker->report();
  }
}

Co<void> PodManager::stop() {
  co_await tasks_.cancelAndJoin();
  for (auto& [uid, pod] : pods_) {
    if (pod.worker != nullptr) co_await pod.worker->stop();
  }
  pods_.clear();
}

const PodWorker* PodManager::find(std::string_view ns, std::string_view name) {
  const PodWorker* found = nullptr;
  for (const auto& [uid, pod] : pods_) {
    const auto& packed = pod.parked != nullptr ? pod.parked : pod.news;
    const api::ObjectPtr atRest = pod.worker != nullptr ? nullptr : packed->decode();
    const auto& metadata = api::meta(atRest == nullptr ? pod.worker->pod() : *atRest);
    if (metadata.namespace_() != ns || metadata.name() != name) continue;
    // The name may be another pod's by now, while this one still ends.
    if (found == nullptr || atRest != nullptr || !pod.worker->isRemovedAtServer())
      found = workerOf(uid);
  }
  return found;
}

std::size_t PodManager::parked() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(pods_, [](const auto& pod) { return pod.second.worker == nullptr; }));
}

PodWorker* PodManager::workerOf(const std::string& uid) {
  const auto pod = pods_.find(uid);
  if (pod == pods_.end()) return nullptr;
  if (pod->second.worker != nullptr) return pod->second.worker.get();
  const api::ObjectPtr parked = pod->second.parked ? pod->second.parked->decode() : nullptr;
  const api::ObjectPtr news = pod->second.news ? pod->second.news->decode() : nullptr;
  services_.statuses.observe(news ? news : parked);
  if (parked == nullptr) {
    auto found = remains_.extract(uid);
    return start(news, found ? found.mapped() : PodRemains());
  }
  auto remains = PodWorker::remainsOf(api::as<corev1::Pod>(parked));
  remains.savedRecord = pod->second.savedRecord;
  auto* worker = start(parked, remains);
  if (news != nullptr) worker->update(api::share<corev1::Pod>(news));
  return worker;
}

PodWorker* PodManager::workerOfContainer(const std::string& containerId) {
  const auto id = ContainerId::parse(containerId);
  return id ? workerOf(id->podUid) : nullptr;
}

Co<void> PodManager::waitUntilEnded(std::string containerId) {
  for (;;) {
    const auto* worker = workerOfContainer(containerId);
    if (worker == nullptr || !worker->isRunning(containerId)) co_return;
    co_await instanceEnded_.wait();
  }
}

Co<void> PodManager::waitUntilDown(std::string uid) {
  for (const auto* worker = findByUid(uid); worker != nullptr && worker->hasNetwork();
       worker = findByUid(uid)) {
    co_await instanceEnded_.wait();
  }
}

}  // namespace podlab::node
