#include "client/event_recorder.hpp"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "api/kinds.hpp"
#include "api/times.hpp"
#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab::client {
namespace {

// As client-go's event correlator (tools/record/events_cache.go).
constexpr double kBurst = 25;
constexpr Duration kRefill = std::chrono::minutes(5);
constexpr std::size_t kSimilarToCombine = 10;
constexpr Duration kSimilarWithin = std::chrono::minutes(10);
constexpr const char* kCombined = "(combined from similar events): ";
constexpr std::size_t kMaxKnown = 1024;  // upstream: 4096
constexpr std::size_t kMaxQueue = 1000;
constexpr std::size_t kMaxMessage = 1024;
constexpr std::size_t kMaxObjectName = 253 - 17;  // of an object's name, less ".<time>"
constexpr int kTries = 5;
constexpr Duration kRetryDelay = std::chrono::seconds(1);

/// Of one source about one object.
struct Bucket {
  double tokens = kBurst;
  MonoTime refilled;

  bool take(MonoTime now) {
    double earned =
        std::chrono::duration<double>(now - refilled) / std::chrono::duration<double>(kRefill);
    tokens = std::min(kBurst, tokens + earned);
    refilled = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }
};

/// What events are told apart by, as hashes: there are many for a long time.
using Key = std::uint64_t;

/// Events that differ in nothing but their messages.
struct Similar {
  std::set<Key> messages;
  MonoTime last;
};

/// An event that was recorded, and what makes it the same when it comes again.
struct Known {
  std::uint64_t name = 0;  ///< what follows the object's name in its own
  metav1::Time first;
  std::int32_t count = 0;
  bool created = false;                       ///< at the server, under its name
  std::shared_ptr<const corev1::Event> next;  ///< to be written
};

/// `key`, with one text more.
Key with(Key key, std::string_view text) {
  key = (key ^ std::hash<std::string_view>()(text)) * 0x9e3779b97f4a7c15;  // of Knuth's hashing
  return key ^ (key >> 32);
}

Key keyOf(std::initializer_list<std::string_view> parts) {
  Key key = 0;
  for (const auto part : parts) key = with(key, part);
  return key;
}

/// What makes events similar: all but the message.
Key groupOf(const corev1::Event& event) {
  const auto& about = event.involvedobject();
  return keyOf({about.kind(), about.namespace_(), about.name(), about.uid(), about.fieldpath(),
                event.type(), event.reason()});
}

/// Cuts between characters of UTF-8.
void shorten(std::string& text, std::size_t limit) {
  if (text.size() <= limit) return;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  text.resize(limit);
}

/// Values by key, of which the least recently used makes place for a new one when there are many.
template <typename Value>
class Recent {
 public:
  /// The value of the key, and whether it is new.
  std::pair<Value*, bool> use(Key key) {
    if (const auto found = index_.find(key); found != index_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return {&found->second->second, false};
    }
    if (entries_.size() >= kMaxKnown) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, Value());
    index_.emplace(key, entries_.begin());
    return {&entries_.front().second, true};
  }
  /// Null when it is not, or no longer, there.
  Value* find(Key key) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &found->second->second;
  }

 private:
  using Entries = std::list<std::pair<const Key, Value>>;  // the latest first
  Entries entries_;
  std::unordered_map<Key, typename Entries::iterator> index_;
};

}  // namespace

struct EventRecorder::State {
  State(api::Api& a, Clock& c, asio::any_io_executor executor, std::string component,
        std::string host)
      : api(a),
        clock(c),
        component(std::move(component)),
        host(std::move(host)),
        tasks(std::move(executor)) {}

  /// What is not wanted, and what comes while many wait: before it is compared to others, as
  /// client-go's broadcaster does.
  bool drops(EventClass type) const {
    return (warningsOnly && type == EventClass::kNormal) || queue.size() >= kMaxQueue;
  }
  void add(corev1::ObjectReference about, EventClass type, std::string_view reason,
           std::string message);
  Key count(corev1::Event& event);
  void begin(Known& one);
  void complete(corev1::Event& event, const Known& one) const;
  Co<void> writeAll();
  Co<Status> write(Key key, std::shared_ptr<const corev1::Event> event);

  api::Api& api;
  Clock& clock;
  std::string component;
  std::string host;
  Recent<Bucket> buckets;   // by object
  Recent<Similar> similar;  // by groupOf()
  Recent<Known> known;      // by count()
  std::deque<Key> queue;    // to write
  std::uint64_t lastName = 0;
  bool warningsOnly = false;
  bool writing = false;
  WaitQueue drained;
  TaskGroup tasks;
};

// Counts the message among its like, and says under which key the event is known: too many
// different ones share one, under the key of the group.
Key EventRecorder::State::count(corev1::Event& event) {
  const Key group = groupOf(event);
  const MonoTime now = clock.now();
  auto [like, fresh] = similar.use(group);
  if (now - like->last > kSimilarWithin) like->messages.clear();
  like->last = now;
  const Key message = with(group, event.message());
  if (like->messages.size() < kSimilarToCombine) like->messages.insert(message);
  if (like->messages.size() < kSimilarToCombine) return message;
  event.set_message(kCombined + event.message());
  return group;
}

void EventRecorder::State::begin(Known& one) {
  // Unique for the source: the time, made strictly increasing.
  const auto nanos = static_cast<std::uint64_t>(clock.wallNow().time_since_epoch().count());
  lastName = std::max(nanos, lastName + 1);
  one.name = lastName;
  one.first = api::toTime(clock.wallNow());
}

void EventRecorder::State::complete(corev1::Event& event, const Known& one) const {
  char suffix[17];
  std::snprintf(suffix, sizeof suffix, "%llx", static_cast<unsigned long long>(one.name));
  const auto& object = event.involvedobject();
  event.mutable_metadata()->set_name(object.name().substr(0, kMaxObjectName) + "." + suffix);
  event.mutable_metadata()->set_namespace_(object.namespace_().empty() ? "default"
                                                                       : object.namespace_());
  event.mutable_source()->set_component(component);
  if (!host.empty()) event.mutable_source()->set_host(host);
  event.set_reportingcomponent(component);
  event.set_reportinginstance(host);
  *event.mutable_firsttimestamp() = one.first;
  *event.mutable_lasttimestamp() = api::toTime(clock.wallNow());
  event.set_count(one.count);
}

void EventRecorder::State::add(corev1::ObjectReference about, EventClass type,
                               std::string_view reason, std::string message) {
  if (drops(type)) return;
  corev1::Event event;
  shorten(message, kMaxMessage);
  event.set_type(type == EventClass::kNormal ? "Normal" : "Warning");
  event.set_reason(std::string(reason));
  event.set_message(std::move(message));
  *event.mutable_involvedobject() = std::move(about);

  const MonoTime now = clock.now();
  const Key key = count(event);
  auto [stored, fresh] = known.use(key);
  if (fresh) begin(*stored);
  ++stored->count;
  complete(event, *stored);

  const auto& object = event.involvedobject();
  auto [bucket, first] = buckets.use(keyOf({object.kind(), object.namespace_(), object.name()}));
  if (first) bucket->refilled = now;
  const bool isQueued = stored->next != nullptr;
  const bool mayQueue = bucket->take(now);
  if (!isQueued && !mayQueue) return;
  stored->next = std::make_shared<const corev1::Event>(std::move(event));
  if (isQueued) return;
  queue.push_back(key);
  if (writing) return;
  writing = true;
  tasks.spawn("events", writeAll());
}

Co<void> EventRecorder::State::writeAll() {
  while (!queue.empty()) {
    const Key key = queue.front();
    queue.pop_front();
    Known* one = known.find(key);
    if (one == nullptr) continue;
    const std::shared_ptr<const corev1::Event> event = std::move(one->next);
    for (int attempt = 1;; ++attempt) {
      Status status = co_await write(key, event);
      bool final = status.ok() || status.is(Code::kForbidden) || status.is(Code::kInvalid) ||
                   attempt == kTries;
      if (!status.ok()) logDebug("event_write_failed", {{"error", status}, {"dropped", final}});
      // An event of a namespace that is gone has no place to go to.
      if (final || status.is(Code::kNotFound)) break;
      co_await clock.sleepFor(attempt * kRetryDelay);
    }
  }
  writing = false;
  drained.notifyAll();
}

Co<Status> EventRecorder::State::write(Key key, std::shared_ptr<const corev1::Event> event) {
  Known* one = known.find(key);
  if (one == nullptr) co_return Status();
  api::ResourceId id{&api::kindFor<corev1::Event>(), event->metadata().namespace_(), "", ""};
  api::WriteOptions options;
  if (one->created) {
    id.name = event->metadata().name();
    auto updated = co_await api.update(id, event, options);
    // Events expire at the server: then the same one begins anew.
    if (!updated.status().is(Code::kNotFound)) co_return updated.status();
    id.name.clear();
  }
  auto created = co_await api.create(id, event, options);
  one = known.find(key);
  bool there = created.ok() || created.status().is(Code::kAlreadyExists);
  if (one != nullptr && there) one->created = true;
  co_return there ? Status() : created.status();
}

EventRecorder::EventRecorder(api::Api& api, Clock& clock, asio::any_io_executor executor,
                             std::string component, std::string host)
    : state_(std::make_shared<State>(api, clock, std::move(executor), std::move(component),
                                     std::move(host))) {}

EventRecorder::~EventRecorder() = default;

void EventRecorder::recordWarningsOnly() {
  state_->warningsOnly = true;
}

void EventRecorder::record(const google::protobuf::Message& object, EventClass type,
                           std::string_view reason, std::string message) {
  record(object, "", type, reason, std::move(message));
}

void EventRecorder::record(const google::protobuf::Message& object, std::string_view fieldPath,
                           EventClass type, std::string_view reason, std::string message) {
  if (state_->drops(type)) return;
  const auto& metadata = api::meta(object);
  corev1::ObjectReference about;
  if (const auto* kind = api::kindOf(object)) {
    about.set_kind(std::string(kind->kind));
    about.set_apiversion(kind->apiVersion());
  }
  if (!metadata.namespace_().empty()) about.set_namespace_(metadata.namespace_());
  about.set_name(metadata.name());
  about.set_uid(metadata.uid());
  about.set_resourceversion(metadata.resourceversion());
  if (!fieldPath.empty()) about.set_fieldpath(std::string(fieldPath));
  state_->add(std::move(about), type, reason, std::move(message));
}

void EventRecorder::record(corev1::ObjectReference about, EventClass type, std::string_view reason,
                           std::string message) {
  state_->add(std::move(about), type, reason, std::move(message));
}

Co<void> EventRecorder::flush() {
  while (state_->writing) co_await state_->drained.wait();
}

Co<void> EventRecorder::stop() {
  co_await state_->tasks.cancelAndJoin();
}

corev1::ObjectReference referenceToNode(const std::string& name) {
  corev1::ObjectReference reference;
  reference.set_apiversion("v1");
  reference.set_kind("Node");
  reference.set_name(name);
  reference.set_uid(name);
  return reference;
}

}  // namespace podlab::client
