#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authentication_v1.pb.h"

#include "api/api.hpp"
#include "api/kinds.hpp"
#include "api/selectors.hpp"
#include "common/sync.hpp"

namespace podlab::fakes {

enum class Verb { kGet, kList, kWatch, kCreate, kUpdate, kPatch, kRemove };

/// An Api over a map: revisions, optimistic concurrency, the status and binding subresources, paged
/// lists, watches with history, and failures on demand. It neither defaults nor validates, and
/// knows no patches. A graceful delete waits for a second one without grace; the last finalizer's
/// removal removes. Single-threaded.
class FakeApi final : public api::Api {
 public:
  /// Writes as somebody else would: creates or replaces whole; sets uid and resourceVersion.
  api::ObjectPtr put(const google::protobuf::Message& object) {
    return commit(*api::kindOf(object), clone(object));
  }
  /// Removes without grace; false when absent.
  bool erase(const api::Kind& kind, const std::string& key) {
    auto it = state_->objects.find({&kind, key});
    if (it == state_->objects.end()) return false;
    drop(it);
    return true;
  }
  /// nullptr when absent.
  api::ObjectPtr find(const api::Kind& kind, const std::string& key) const {
    auto it = state_->objects.find({&kind, key});
    return it == state_->objects.end() ? nullptr : it->second;
  }
  template <typename T>
  std::shared_ptr<const T> find(const std::string& key) const {
    return api::share<T>(find(api::kindFor<T>(), key));
  }
  std::int64_t revision() const { return state_->revision; }

  /// The next `times` calls of the verb fail with `status`.
  void failNext(Verb verb, const Status& status, int times = 1) {
    for (int i = 0; i < times; ++i) failures_[verb].push_back(status);
  }
  void clearFailures() { failures_.clear(); }
  /// The calls of a verb so far, failed ones included.
  int calls(Verb verb) const {
    auto it = calls_.find(verb);
    return it == calls_.end() ? 0 : it->second;
  }
  /// Ends every open watch with `status`.
  void breakWatches(Status status) {
    ++state_->generation;
    state_->breakReason = std::move(status);
    state_->changed.notifyAll();
  }
  /// Forgets the history: watches and continued lists from before now get kExpired.
  void compact() {
    state_->compacted = state_->revision;
    state_->history.clear();
    state_->changed.notifyAll();
  }
  /// Sends a bookmark of the current revision to all watches that want them.
  void bookmark(const api::Kind& kind) {
    record(api::EventType::kBookmark, kind, bookmarkOf(kind, state_->revision));
  }

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    if (auto failure = injected(Verb::kGet)) co_return *failure;
    auto object = find(*id.kind, keyOf(id));
    if (!object) co_return notFound(id);
    co_return object;
  }

  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options) override {
    if (auto failure = injected(Verb::kList)) co_return *failure;
    auto filter = Filter::make(collection, options.labelSelector, options.fieldSelector);
    if (!filter) co_return filter.status();
    api::ListResult result;
    result.resourceVersion = std::to_string(state_->revision);
    std::string after;
    if (!options.continueToken.empty()) {
      // The token is "<revision> <last key>"; the fake's later pages are of now, not of then.
      const auto space = options.continueToken.find(' ');
      result.resourceVersion = options.continueToken.substr(0, space);
      after = options.continueToken.substr(space + 1);
      if (std::stoll(result.resourceVersion) < state_->compacted) co_return expired();
    }
    std::int64_t left = 0;
    for (const auto& [id, object] : state_->objects) {
      if (id.second <= after || !filter->matches(*object)) continue;
      if (options.limit > 0 && std::ssize(result.items) == options.limit) {
        ++left;
        continue;
      }
      result.items.push_back(object);
    }
    if (left > 0) {
      result.continueToken = result.resourceVersion + " " + api::keyOf(*result.items.back());
      result.remainingItemCount = left;
    }
    co_return result;
  }

  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId collection,
                                                api::WatchOptions options) override {
    if (auto failure = injected(Verb::kWatch)) co_return *failure;
    auto filter = Filter::make(collection, options.labelSelector, options.fieldSelector);
    if (!filter) co_return filter.status();
    std::unique_ptr<api::Watch> result =
        std::make_unique<FakeWatch>(state_, *std::move(filter), std::move(options));
    co_return result;
  }

  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    if (auto failure = injected(Verb::kCreate)) co_return *failure;
    if (id.subresource == "binding") co_return bind(id, *object);
    if (id.subresource == "token") co_return giveToken(*object);
    auto copy = clone(*object);
    auto& meta = api::mutableMeta(*copy);
    if (meta.namespace_().empty() && id.kind->namespaced()) meta.set_namespace_(id.ns);
    if (meta.name().empty()) {
      meta.set_name(meta.generatename() + std::to_string(state_->revision + 1));
    }
    if (find(*id.kind, api::keyOf(*copy))) {
      co_return Status(Code::kAlreadyExists,
                       id.kind->resource() + " \"" + meta.name() + "\" already exists");
    }
    meta.clear_uid();
    api::WriteResult result;
    result.object = options.dryRun ? api::ObjectPtr(copy) : commit(*id.kind, copy);
    co_return result;
  }

  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    if (auto failure = injected(Verb::kUpdate)) co_return *failure;
    auto before = find(*id.kind, keyOf(id));
    if (!before) co_return notFound(id);
    const auto& wanted = api::meta(*object).resourceversion();
    if (!wanted.empty() && wanted != api::meta(*before).resourceversion()) {
      co_return Status(Code::kConflict,
                       id.kind->resource() + " \"" + id.name + "\": the object has been modified");
    }
    auto copy = clone(id.subresource == "status" ? *before : *object);
    if (id.subresource == "status") {
      copyStatus(*object, *copy);
    } else {
      copyStatus(*before, *copy);
      api::mutableMeta(*copy).set_uid(api::meta(*before).uid());
    }
    api::WriteResult result;
    result.object = options.dryRun ? api::ObjectPtr(copy) : commit(*id.kind, copy);
    co_return result;
  }

  Co<Result<api::WriteResult>> patch(api::ResourceId, api::PatchType, std::string,
                                     api::WriteOptions) override {
    if (auto failure = injected(Verb::kPatch)) co_return *failure;
    co_return Status(Code::kUnsupportedMediaType, "the fake API knows no patches");
  }

  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    if (auto failure = injected(Verb::kRemove)) co_return *failure;
    auto it = state_->objects.find({id.kind, keyOf(id)});
    if (it == state_->objects.end()) co_return notFound(id);
    const api::ObjectPtr object = it->second;
    const auto& meta = api::meta(*object);
    if (options.preconditions().has_uid() && options.preconditions().uid() != meta.uid()) {
      co_return Status(Code::kConflict, "the UID in the precondition differs from the object's");
    }
    std::int64_t grace = 0;
    if (id.kind->strategy.deletionGraceSeconds) {
      grace = options.has_graceperiodseconds() ? options.graceperiodseconds()
                                               : id.kind->strategy.deletionGraceSeconds(*object);
    }
    if (grace == 0 && meta.finalizers().empty()) co_return drop(it);
    auto copy = clone(*object);
    auto& terminating = api::mutableMeta(*copy);
    terminating.set_deletiongraceperiodseconds(grace);
    if (!terminating.has_deletiontimestamp())
      terminating.mutable_deletiontimestamp()->set_seconds(1);
    co_return commit(*id.kind, copy);
  }

 private:
  using Id = std::pair<const api::Kind*, std::string>;
  struct Record {
    std::int64_t revision = 0;
    api::EventType type = api::EventType::kAdded;
    const api::Kind* kind = nullptr;
    api::ObjectPtr object;
    api::ObjectPtr before;
  };
  struct State {
    std::map<Id, api::ObjectPtr> objects;
    std::deque<Record> history;
    std::int64_t recorded = 0;  ///< records ever made: the sequence number of history.end()
    std::int64_t revision = 1;
    std::int64_t compacted = 0;
    int uids = 0;
    int generation = 0;
    Status breakReason;
    WaitQueue changed;
  };

  /// What a list or watch is asked for.
  struct Filter {
    api::ResourceId collection;
    api::LabelSelector labels;
    api::FieldSelector fields;

    static Result<Filter> make(api::ResourceId collection, std::string_view labels,
                               std::string_view fields) {
      auto byLabel = api::LabelSelector::parse(labels);
      if (!byLabel) return byLabel.status();
      auto byField = api::FieldSelector::parse(*collection.kind, fields);
      if (!byField) return byField.status();
      return Filter{std::move(collection), *std::move(byLabel), *std::move(byField)};
    }
    bool matches(const google::protobuf::Message& object) const {
      const auto& meta = api::meta(object);
      return object.GetDescriptor() == collection.kind->prototype->GetDescriptor() &&
             (collection.ns.empty() || meta.namespace_() == collection.ns) &&
             (collection.name.empty() || meta.name() == collection.name) &&
             labels.matches(meta.labels()) && fields.matches(object);
    }
  };

  class FakeWatch final : public api::Watch {
   public:
    FakeWatch(std::shared_ptr<State> state, Filter filter, api::WatchOptions options)
        : state_(std::move(state)),
          filter_(std::move(filter)),
          options_(std::move(options)),
          generation_(state_->generation) {
      const bool initial = options_.sendInitialEvents || options_.resourceVersion.empty() ||
                           options_.resourceVersion == "0";
      after_ = initial ? state_->revision : std::stoll(options_.resourceVersion);
      if (!initial) {
        const auto& history = state_->history;
        const auto first =
            std::partition_point(history.begin(), history.end(),
                                 [this](const Record& record) { return record.revision < after_; });
        position_ = state_->recorded - (history.end() - first);
        return;
      }
      position_ = state_->recorded;
      for (const auto& [id, object] : state_->objects) {
        if (filter_.matches(*object)) initial_.push_back({api::EventType::kAdded, object});
      }
      if (!options_.sendInitialEvents) return;
      auto end = bookmarkOf(*filter_.collection.kind, after_);
      (*api::mutableMeta(*end).mutable_annotations())["k8s.io/initial-events-end"] = "true";
      initial_.push_back({api::EventType::kBookmark, end});
    }

    Co<Result<api::WatchEvent>> next() override {
      auto state = state_;
      for (;;) {
        if (generation_ != state->generation) co_return state->breakReason;
        if (!initial_.empty()) {
          auto event = initial_.front();
          initial_.pop_front();
          co_return event;
        }
        if (after_ < state->compacted) co_return expired();
        const std::int64_t first = state->recorded - std::ssize(state->history);
        position_ = std::max(position_, first);
        while (position_ < state->recorded) {
          const Record& record = state->history[static_cast<std::size_t>(position_++ - first)];
          if (record.revision < after_ || record.kind != filter_.collection.kind) continue;
          if (auto event = translate(record)) {
            after_ = record.revision;
            co_return *event;
          }
        }
        after_ = std::max(after_, state->revision);
        co_await state->changed.wait();
      }
    }

   private:
    /// An object that begins or ceases to match a selector is Added or Deleted for this watch.
    std::optional<api::WatchEvent> translate(const Record& record) const {
      if (record.type == api::EventType::kBookmark) {
        if (!options_.bookmarks) return std::nullopt;
        return api::WatchEvent{record.type, record.object};
      }
      if (record.revision == after_) return std::nullopt;
      const bool now = record.type != api::EventType::kDeleted && filter_.matches(*record.object);
      const bool before = record.before && filter_.matches(*record.before);
      if (!now && !before) return std::nullopt;
      const auto type = !before ? api::EventType::kAdded
                        : !now  ? api::EventType::kDeleted
                                : api::EventType::kModified;
      return api::WatchEvent{type, record.object};
    }

    std::shared_ptr<State> state_;
    Filter filter_;
    api::WatchOptions options_;
    int generation_;
    std::int64_t after_ = 0;
    std::int64_t position_ = 0;
    std::deque<api::WatchEvent> initial_;
  };

  static api::MutableObjectPtr clone(const google::protobuf::Message& object) {
    api::MutableObjectPtr copy(object.New());
    copy->CopyFrom(object);
    return copy;
  }
  static api::MutableObjectPtr bookmarkOf(const api::Kind& kind, std::int64_t revision) {
    auto object = kind.make();
    api::mutableMeta(*object).set_resourceversion(std::to_string(revision));
    return object;
  }
  static std::string keyOf(const api::ResourceId& id) {
    return id.ns.empty() ? id.name : id.ns + "/" + id.name;
  }
  static Status notFound(const api::ResourceId& id) {
    return {Code::kNotFound, id.kind->resource() + " \"" + id.name + "\" not found"};
  }
  static Status expired() { return {Code::kExpired, "the revision was compacted"}; }

  static void copyStatus(const google::protobuf::Message& from, google::protobuf::Message& to) {
    const auto* field = from.GetDescriptor()->FindFieldByName("status");
    if (field == nullptr) return;
    to.GetReflection()->ClearField(&to, field);
    if (!from.GetReflection()->HasField(from, field)) return;
    to.GetReflection()
        ->MutableMessage(&to, field)
        ->CopyFrom(from.GetReflection()->GetMessage(from, field));
  }

  std::optional<Status> injected(Verb verb) {
    ++calls_[verb];
    auto& queue = failures_[verb];
    if (queue.empty()) return std::nullopt;
    Status status = std::move(queue.front());
    queue.pop_front();
    return status;
  }

  void record(api::EventType type, const api::Kind& kind, api::ObjectPtr object,
              api::ObjectPtr before = nullptr) {
    state_->history.push_back(
        {state_->revision, type, &kind, std::move(object), std::move(before)});
    ++state_->recorded;
    state_->changed.notifyAll();
  }

  api::ObjectPtr commit(const api::Kind& kind, api::MutableObjectPtr object) {
    auto& meta = api::mutableMeta(*object);
    auto& slot = state_->objects[{&kind, api::keyOf(*object)}];
    if (meta.uid().empty()) {
      meta.set_uid(slot ? api::meta(*slot).uid() : "uid-" + std::to_string(++state_->uids));
    }
    meta.set_resourceversion(std::to_string(++state_->revision));
    auto before = std::exchange(slot, object);
    // The last finalizer of a terminating object is gone, and so is the object.
    if (before && meta.has_deletiontimestamp() && meta.finalizers().empty() &&
        !api::meta(*before).finalizers().empty()) {
      state_->objects.erase({&kind, api::keyOf(*object)});
      record(api::EventType::kDeleted, kind, object, before);
    } else {
      record(before ? api::EventType::kModified : api::EventType::kAdded, kind, object, before);
    }
    return object;
  }

  api::ObjectPtr drop(std::map<Id, api::ObjectPtr>::iterator it) {
    const api::Kind& kind = *it->first.first;
    auto before = it->second;
    auto last = clone(*before);
    state_->objects.erase(it);
    api::mutableMeta(*last).set_resourceversion(std::to_string(++state_->revision));
    record(api::EventType::kDeleted, kind, last, before);
    return last;
  }

  /// "token 1", "token 2" and so on.
  Result<api::WriteResult> giveToken(const google::protobuf::Message& request) {
    using authenticationv1::TokenRequest;
    auto made = std::make_shared<TokenRequest>(static_cast<const TokenRequest&>(request));
    made->mutable_status()->set_token("token " + std::to_string(++tokens_));
    return api::WriteResult{std::move(made), {}};
  }

  Result<api::WriteResult> bind(const api::ResourceId& id,
                                const google::protobuf::Message& binding) {
    auto before = find<corev1::Pod>(keyOf(id));
    if (!before) return notFound(id);
    if (!before->spec().nodename().empty()) {
      return Status(Code::kConflict, "pod " + id.name + " is already bound");
    }
    auto pod = std::make_shared<corev1::Pod>(*before);
    pod->mutable_spec()->set_nodename(static_cast<const corev1::Binding&>(binding).target().name());
    api::WriteResult result;
    result.object = commit(*id.kind, pod);
    return result;
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::map<Verb, std::deque<Status>> failures_;
  std::map<Verb, int> calls_;
  int tokens_ = 0;
};

}  // namespace podlab::fakes
