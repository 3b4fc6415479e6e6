#include "node/status_writer.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "api/arena_object.hpp"
#include "api/kinds.hpp"
#include "api/packed.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"
#include "common/sync.hpp"
#include "node/pod_status.hpp"

namespace podlab::node {
namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLastRetry = std::chrono::seconds(10);

/// Whether trying again can help.
bool permanent(const Status& status) {
  return status.is(Code::kInvalid) || status.is(Code::kBadRequest);
}

}  // namespace

struct StatusWriter::State {
  struct Entry {
    api::PackedPtr latest;  // it is looked at for each write, and kept for long
    std::uint64_t revision = 0;
    api::PackedPtr wanted;                  // not yet at the server; thousands may wait
    std::array<api::ObjectPtr, 2> awake{};  // both decoded, of a write that begins at once
    bool writing = false;
    bool gone = false;
    Duration retry = kFirstRetry;

    /// Unless it is older than what is known. Of the same revision the later is taken: the watch's,
    /// which others have as well.
    void take(const api::ObjectPtr& pod) {
      const std::uint64_t itsRevision = client::revisionOf(*pod);
      if (latest != nullptr && itsRevision < revision) return;
      revision = itsRevision;
      latest = api::Packed::of(pod);
    }
  };

  State(api::Api& a, Clock& c, asio::any_io_executor executor, std::shared_ptr<SharedLimits> l)
      : api(a), clock(c), limits(std::move(l)), tasks(std::move(executor)) {}

  void begin(const std::string& uid, Entry& entry);
  Co<void> write(std::string uid);
  /// One try; whether it is over with what was wanted at its begin.
  Co<bool> tryWrite(std::string uid);
  Entry* find(const std::string& uid) {
    auto it = entries.find(uid);
    return it == entries.end() ? nullptr : &it->second;
  }

  api::Api& api;
  Clock& clock;
  const std::shared_ptr<SharedLimits> limits;
  std::map<std::string, Entry> entries;
  WaitQueue written;
  TaskGroup tasks;
};

void StatusWriter::State::begin(const std::string& uid, Entry& entry) {
  if (std::exchange(entry.writing, true)) return;
  if (limits == nullptr) entry.awake = {entry.latest->decode(), entry.wanted->decode()};
  tasks.spawn("status " + uid, write(uid));
}

Co<void> StatusWriter::State::write(std::string uid) {
  for (;;) {
    bool settled = co_await tryWrite(uid);
    auto* entry = find(uid);
    if (entry == nullptr) break;
    if (settled && entry->wanted != nullptr) continue;  // set anew meanwhile
    if (settled) {
      entry->writing = false;
      break;
    }
    Duration delay = entry->retry;
    entry->retry = std::min(2 * entry->retry, kLastRetry);
    co_await clock.sleepFor(delay);
  }
  written.notifyAll();
}

Co<bool> StatusWriter::State::tryWrite(std::string uid) {
  // Nothing is decoded before.
  std::optional<Semaphore::Permit> permit;
  if (limits != nullptr) permit.emplace(co_await limits->statusWrites.acquire());
  auto* entry = find(uid);
  if (entry == nullptr || entry->wanted == nullptr) co_return true;
  const auto wanted = entry->wanted;
  auto replaced = std::make_shared<bool>(false);
  const api::ObjectPtr known = entry->latest->decode();
  const auto& metadata = api::meta(*known);
  api::ResourceId id{&api::kindFor<corev1::Pod>(), metadata.namespace_(), metadata.name(),
                     "status"};
  const auto status = std::static_pointer_cast<const corev1::PodStatus>(wanted->decode());
  entry->awake = {};
  client::Replacement replacement =
      [uid, status, replaced](const google::protobuf::Message& object) -> api::MutableObjectPtr {
    const auto& pod = static_cast<const corev1::Pod&>(object);
    *replaced = pod.metadata().uid() != uid;
    if (*replaced) return nullptr;
    // Of what else an update of the status says nothing is taken; a server in the same process
    // makes the pod's next state of it.
    auto next = api::makeLike(pod);
    auto& body = static_cast<corev1::Pod&>(*next);
    mergeStatus(*body.mutable_status(), pod.status(), *status);
    if (api::isSame(body.status(), pod.status())) return nullptr;
    auto& metadata = *body.mutable_metadata();
    metadata.set_namespace_(pod.metadata().namespace_());
    metadata.set_name(pod.metadata().name());
    metadata.set_uid(uid);
    metadata.set_resourceversion(pod.metadata().resourceversion());
    return next;
  };
  auto result = co_await client::replace(api, std::move(id), known, std::move(replacement));
  entry = find(uid);
  if (entry == nullptr) co_return true;
  // The server does not tell a node of pods that are not its own: forbidden means gone, too.
  if (*replaced || result.status().is(Code::kNotFound) || result.status().is(Code::kForbidden)) {
    entry->gone = true;
    entry->wanted.reset();
    co_return true;
  }
  if (!result.ok() && !permanent(result.status())) {
    logDebug("pod_status_retry", {{"uid", uid}, {"error", result.status()}});
    co_return false;
  }
  if (result.ok()) {
    entry->take(*result);
  } else {
    logError("pod_status_refused", {{"uid", uid}, {"error", result.status()}});
  }
  entry->retry = kFirstRetry;
  if (entry->wanted == wanted) entry->wanted.reset();
  co_return true;
}

StatusWriter::StatusWriter(api::Api& api, Clock& clock, asio::any_io_executor executor,
                           std::shared_ptr<SharedLimits> limits)
    : state_(std::make_shared<State>(api, clock, std::move(executor), std::move(limits))) {}

StatusWriter::~StatusWriter() = default;

void StatusWriter::observe(const api::ObjectPtr& pod) {
  state_->entries[api::meta(*pod).uid()].take(pod);
}

void StatusWriter::set(const std::string& uid, api::PackedPtr status) {
  auto* entry = state_->find(uid);
  if (entry == nullptr || entry->latest == nullptr || entry->gone) return;
  entry->wanted = std::move(status);
  state_->begin(uid, *entry);
}

Co<void> StatusWriter::flush(std::string uid) {
  for (;;) {
    auto* entry = state_->find(uid);
    if (entry == nullptr || entry->wanted == nullptr) co_return;
    co_await state_->written.wait();
  }
}

void StatusWriter::forget(const std::string& uid) {
  auto* entry = state_->find(uid);
  if (entry == nullptr) return;
  state_->entries.erase(uid);
  state_->written.notifyAll();
}

Co<void> StatusWriter::stop() {
  co_await state_->tasks.cancelAndJoin();
}

}  // namespace podlab::node
