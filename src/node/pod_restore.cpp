// What a PodWorker writes down for a later agent, and how it begins from what an earlier one, or an
// earlier worker of this one, left.
#include <google/protobuf/arena.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <utility>

#include "api/arena_object.hpp"
#include "api/codec_wire.hpp"
#include "api/conditions.hpp"
#include "api/ephemeral_containers.hpp"
#include "api/times.hpp"
#include "common/log.hpp"
#include "node/container_id.hpp"
#include "node/pod_container.hpp"

namespace podlab::node {

using Phase = ContainerView::Phase;

void PodWorker::addContainer(std::unique_ptr<Container> container) {
  const corev1::Container& spec = *container->spec;
  container->sidecar = container->init && spec.restartpolicy() == "Always";
  container->view.name = spec.name();
  container->view.image = spec.image();
  container->view.sidecar = container->sidecar;
  container->view.stopSignal = spec.lifecycle().stopsignal();
  addProbes(*container);
  containers_.push_back(std::move(container));
}

void PodWorker::addContainers() {
  const auto& spec = pod_->spec();
  for (int i = 0; i < spec.initcontainers_size(); ++i) {
    auto added =
        std::make_unique<Container>(Container::Spec(pod_, &corev1::PodSpec::initcontainers, i));
    added->init = true;
    addContainer(std::move(added));
  }
  for (int i = 0; i < spec.containers_size(); ++i) {
    addContainer(
        std::make_unique<Container>(Container::Spec(pod_, &corev1::PodSpec::containers, i)));
  }
  addEphemeralContainers();
}

/// Those that the pod has got since.
void PodWorker::addEphemeralContainers() {
  for (const auto& added : pod_->spec().ephemeralcontainers()) {
    auto spec = api::containerOf(added);
    const bool known = std::ranges::any_of(
        containers_, [&](const auto& container) { return container->spec->name() == spec.name(); });
    if (known) continue;
    auto container = std::make_unique<Container>(Container::Spec(std::move(spec)));
    container->ephemeral = true;
    container->target = added.targetcontainername();
    addContainer(std::move(container));
  }
}

void PodWorker::takeOver(const corev1::PodStatus& theirs, const corev1::PodStatus& ours) {
  const auto merged = api::makeLike(ours);
  mergeStatus(static_cast<corev1::PodStatus&>(*merged), theirs, ours);
  status_ = api::share<corev1::PodStatus>(merged);
}

void PodWorker::restore(const PodRemains& remains) {
  const auto& record = remains.record;
  if (record.pod().has_status()) takeOver(*status_, record.pod().status());
  if (api::isSet(status_->starttime())) startTime_ = api::toWallTime(status_->starttime());
  savedRecord_ = remains.savedRecord;
  podIps_.assign(record.addresses().begin(), record.addresses().end());
  stopping_ = record.stopping();
  sandboxFound_ = remains.sandbox;
  addressed_ = !podIps_.empty();
  if (sandboxFound_ && !pod_->spec().hostnetwork()) {
    std::vector<net::IpAddress> addresses;
    for (const auto& ip : podIps_) {
      if (auto address = net::IpAddress::parse(ip)) addresses.push_back(*address);
    }
    services_.policies.add(*pod_, std::move(addresses));
  }
  // Without a record, the server remembers the last report.
  std::map<std::string, records::ContainerRecord, std::less<>> known;
  for (const auto* list : {&status_->initcontainerstatuses(), &status_->containerstatuses(),
                           &status_->ephemeralcontainerstatuses()}) {
    for (const auto& status : *list) known[status.name()] = recordOf(status);
  }
  for (const auto& saved : record.containers()) known[saved.name()] = saved;
  bool begun = false;
  for (auto& container : containers_) {
    restoreContainer(*container, known[container->spec->name()], remains.containers);
    begun = begun || container->attempt >= 0;
    const bool main = !container->init && !container->ephemeral;
    initialized_ = initialized_ || (main && container->attempt >= 0);
  }
  inert_ = !begun && api::isFinished(*pod_);
  const bool failed = status_->phase() == "Failed" && !status_->reason().empty();
  if (!inert_ && (failed || status_->reason() == kEvicted))
    failure_ = PodFailure{status_->reason(), status_->message()};
  if (remains.sandbox || pod_->spec().hostnetwork() || !begun) return;
  auto phase = podPhase(pod_->spec(), view());
  if (phase == "Succeeded" || phase == "Failed") return;
  // The sandbox is gone, as after a reboot: the pod begins anew in another one, init containers
  // included. What was added to it to look at it is not.
  initialized_ = false;
  for (auto& container : containers_) {
    if (container->ephemeral) continue;
    container->outdated = container->running();
    if (!container->init || !container->succeeded()) continue;
    container->view.phase = Phase::kWaiting;
    container->view.previous = std::exchange(container->view.ended, std::nullopt);
  }
}

records::ContainerRecord PodWorker::recordOf(const corev1::ContainerStatus& status) {
  records::ContainerRecord record;
  record.set_name(status.name());
  if (status.containerid().empty()) return record;
  record.set_attempt(status.restartcount());
  record.set_restartcount(status.restartcount());
  record.set_started(true);
  record.set_image(status.image());
  record.set_imageid(status.imageid());
  if (status.state().has_terminated()) {
    *record.mutable_ended() = status.state().terminated();
    if (status.laststate().has_terminated())
      *record.mutable_previous() = status.laststate().terminated();
  } else if (status.state().has_waiting() && status.laststate().has_terminated()) {
    *record.mutable_ended() = status.laststate().terminated();
  } else if (status.laststate().has_terminated()) {
    *record.mutable_previous() = status.laststate().terminated();
  }
  return record;
}

void PodWorker::restoreContainer(Container& container, const records::ContainerRecord& record,
                                 const std::vector<ContainerStatus>& found) {
  if (record.has_attempt()) {
    container.attempt = record.attempt();
    container.started = record.started();
    container.view.restartCount = record.restartcount();
    container.view.image = record.image();
    container.view.imageId = record.imageid();
    container.backoff = RestartBackoff(Duration(record.backoffnanos()));
    if (record.has_previous()) container.view.previous = record.previous();
    if (record.poststartpending()) container.postStart = Step::kTodo;
    if (record.prestopdone()) container.preStop = Step::kDone;
  }
  const ContainerStatus* latest = nullptr;
  for (const auto& status : found) {
    const auto id = ContainerId::parse(status.id);
    if (status.name != container.spec->name() || !id || id->attempt < container.attempt) continue;
    // A newer instance than the record's is one whose beginning could not be recorded.
    if (id->attempt > container.attempt && record.has_ended())
      container.view.previous = record.ended();
    if (id->attempt > container.attempt) container.started = false;
    container.attempt = id->attempt;
    latest = &status;
  }
  for (const auto& status : found) {
    if (status.name == container.spec->name() && &status != latest)
      container.leftovers.insert(status.id);
  }
  if (!container.leftovers.empty()) spawn("remove", removeLeftovers(container));
  if (container.attempt < 0) return;
  if (container.started)
    container.view.containerId = externalId(containerId(container, container.attempt));
  for (const auto* list : {&status_->initcontainerstatuses(), &status_->containerstatuses()}) {
    for (const auto& before : *list) {
      if (before.name() == container.spec->name() &&
          before.containerid() == container.view.containerId)
        container.known = {before.started(), before.ready()};
    }
  }
  if (record.has_ended() && record.attempt() == container.attempt) {
    ended(container, record.ended(), Duration::zero());
  } else if (latest != nullptr && latest->state == ContainerState::kCreated) {
    container.busy = true;
    spawn("discard", discardHalfBegun(container));
  } else if (latest != nullptr) {
    apply(container, *latest);
  } else if (container.started) {
    lost(container);
  } else {
    --container.attempt;  // announced, but never begun
  }
}

/// Whether the pod as the server has it says all that this worker knows, and nothing is under way,
/// due at a time, or waited for.
bool PodWorker::isSettled() const {
  if (!services_.parksPods || dirty_ || operating_ > 0 || nextWake_ || !reported_) return false;
  if (stopping_ || failure_ || !refusal_.empty() || !references_.empty() || !tokens_.empty())
    return false;
  const bool atRest = over_ ? tornDown_ : sandbox_ == Step::kDone && storage_ == Step::kDone;
  return atRest && std::ranges::all_of(containers_, [this](const auto& container) {
           const bool asItStays = container->running() ? !over_ : over_ || container->init;
           return asItStays && isSettled(*container);
         });
}

bool PodWorker::isSettled(const Container& container) {
  return container.started && container.attempt == container.view.restartCount &&
         container.backoff.current() == Duration::zero() && !container.busy &&
         !container.refreshing && !container.ephemeral && !container.outdated &&
         !container.stopAt && container.stopSignal == SIGTERM &&
         container.postStart == Step::kDone && container.leftovers.empty() &&
         (container.probes.empty() || !container.running());
}

PodRemains PodWorker::remainsOf(const corev1::Pod& parked) {
  PodRemains remains;
  remains.accepted = true;
  for (const auto& ip : parked.status().podips()) remains.record.add_addresses(ip.ip());
  for (const auto* list :
       {&parked.status().initcontainerstatuses(), &parked.status().containerstatuses()}) {
    for (const auto& status : *list) {
      if (!status.state().has_running()) continue;
      remains.sandbox = true;
      ContainerStatus found;
      found.podUid = parked.metadata().uid();
      found.name = status.name();
      found.id = ContainerId{found.podUid, found.name, status.restartcount()}.toString();
      found.state = ContainerState::kRunning;
      found.startedAt = api::toWallTime(status.state().running().startedat());
      remains.containers.push_back(std::move(found));
    }
  }
  return remains;
}

void PodWorker::checkpoint() {
  if (!services_.keepsRecords) return;
  // After each step of the pod: what is encoded already is taken as it is.
  const api::PackedPtr known = pod_.share();
  std::string_view metadata =
      api::codec::fieldIn(known->value(), corev1::Pod::kMetadataFieldNumber);
  std::string without;
  if (known->revision() == 0) {
    // The server's, and another after each write of the status.
    metav1::ObjectMeta copy = pod_->metadata();
    copy.clear_resourceversion();
    metadata = without = api::bytesOf(copy);
  }
  std::string pod;
  pod.reserve(known->size() + status_.share()->size());
  api::codec::appendField(pod, corev1::Pod::kMetadataFieldNumber, metadata);
  api::codec::appendField(pod, corev1::Pod::kSpecFieldNumber,
                          api::codec::fieldIn(known->value(), corev1::Pod::kSpecFieldNumber));
  api::codec::appendField(pod, corev1::Pod::kStatusFieldNumber, status_.share()->value());
  google::protobuf::Arena arena;
  auto& record = *google::protobuf::Arena::CreateMessage<records::PodRecord>(&arena);
  record.set_stopping(stopping_);
  for (const auto& ip : podIps_) record.add_addresses(ip);
  for (const auto& container : containers_) {
    auto& saved = *record.add_containers();
    saved.set_name(container->spec->name());
    if (container->attempt < 0) continue;
    saved.set_attempt(container->attempt);
    saved.set_started(container->started);
    saved.set_restartcount(container->view.restartCount);
    saved.set_image(container->view.image);
    saved.set_imageid(container->view.imageId);
    saved.set_backoffnanos(container->backoff.current().count());
    if (container->postStart != Step::kDone) saved.set_poststartpending(true);
    if (container->stopAt && container->preStop == Step::kDone) saved.set_prestopdone(true);
    if (container->view.ended) *saved.mutable_ended() = *container->view.ended;
    if (container->view.previous) *saved.mutable_previous() = *container->view.previous;
  }
  std::string content;
  content.reserve(pod.size() + record.ByteSizeLong() + 8);
  api::codec::appendField(content, records::PodRecord::kPodFieldNumber, pod);
  record.AppendToString(&content);
  Status status = services_.checkpoints.savePod(uid_, content, savedRecord_);
  if (!status.ok()) logError("record_not_written", {{"pod", api::keyOf(*pod_)}, {"error", status}});
}

}  // namespace podlab::node
