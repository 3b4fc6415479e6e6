#include "node/volume_reclaimer.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"

namespace podlab::node {
namespace {

constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLastRetry = std::chrono::minutes(1);

bool hasFolder(const google::protobuf::Message& volume) {
  const auto& finalizers = api::meta(volume).finalizers();
  return std::ranges::find(finalizers, api::kVolumeFolder) != finalizers.end();
}

}  // namespace

VolumeReclaimer::VolumeReclaimer(api::Api& api, Clock& clock, Rng& rng,
                                 asio::any_io_executor executor, PodVolumes& volumes,
                                 const std::string& nodeName, std::string volumesFolder)
    : api_(api),
      clock_(clock),
      volumes_(volumes),
      volumesFolder_(std::move(volumesFolder)),
      informer_(api, clock, rng, executor, {&api::kindFor<corev1::PersistentVolume>(), "", "", ""},
                std::string(api::kReclaimLabel) + "=" + nodeName),
      tasks_(executor) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& volume) { observe(volume); };
  handlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& volume) {
    observe(volume);
  };
  informer_.addHandlers(std::move(handlers));
}

void VolumeReclaimer::start() {
  informer_.start();
}

Co<void> VolumeReclaimer::stop() {
  co_await tasks_.cancelAndJoin();
  co_await informer_.stop();
}

void VolumeReclaimer::observe(const api::ObjectPtr& volume) {
  const std::string& name = api::meta(*volume).name();
  if (!hasFolder(*volume) || !busy_.insert(name).second) return;
  tasks_.spawn("reclaim " + name, reclaim(volume));
}

Co<void> VolumeReclaimer::reclaim(api::ObjectPtr volume) {
  const std::string name = api::meta(*volume).name();
  const std::string folder = volumesFolder_ + "/" + name;
  const auto& source = api::as<corev1::PersistentVolume>(volume).spec().persistentvolumesource();
  Duration retry = kFirstRetry;
  for (;;) {
    Status status(Code::kForbidden, source.hostpath().path() + " is not the node's to remove");
    if (source.hostpath().path() == folder) status = co_await volumes_.removeFolder(folder);
    if (status.ok()) {
      api::ResourceId id{&api::kindFor<corev1::PersistentVolume>(), "", name, ""};
      client::Change change = [](google::protobuf::Message& object) {
        auto& finalizers = *api::mutableMeta(object).mutable_finalizers();
        const auto end = std::remove(finalizers.begin(), finalizers.end(), api::kVolumeFolder);
        const bool changed = end != finalizers.end();
        finalizers.erase(end, finalizers.end());
        return changed;
      };
      auto written = co_await client::modify(api_, id, nullptr, change);
      status = written.status();
    }
    if (status.ok() || status.is(Code::kNotFound)) break;
    logWarning("volume_not_reclaimed", {{"volume", name}, {"error", status}});
    // Another node's by now, or never this one's.
    if (status.is(Code::kForbidden)) break;
    co_await clock_.sleepFor(retry);
    retry = std::min(2 * retry, kLastRetry);
  }
  busy_.erase(name);
}

}  // namespace podlab::node
