#include "client/informer.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <asio.hpp>

#include "sim/sim_clock.hpp"
#include "tests/fakes/fake_api.hpp"

namespace podlab::client {
namespace {

using fakes::FakeApi;
using fakes::Verb;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Log = std::vector<std::string>;

corev1::Pod pod(const std::string& name, const std::string& node = "") {
  corev1::Pod made;
  made.mutable_metadata()->set_namespace_("default");
  made.mutable_metadata()->set_name(name);
  made.mutable_spec()->set_nodename(node);
  return made;
}

class InformerTest : public testing::Test {
 protected:
  std::unique_ptr<Informer> make(std::string fieldSelector = "") {
    api::ResourceId pods;
    pods.kind = &kind_;
    auto informer = std::make_unique<Informer>(api_, clock_, rng_, io_.get_executor(), pods, "",
                                               std::move(fieldSelector));
    Informer::Handlers handlers;
    handlers.added = [this](const api::ObjectPtr& o) { log_.push_back("+" + describe(o)); };
    handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
      log_.push_back(describe(before) + ">" + describe(now));
    };
    handlers.deleted = [this](const api::ObjectPtr& o) { log_.push_back("-" + describe(o)); };
    informer->addHandlers(std::move(handlers));
    return informer;
  }
  static std::string describe(const api::ObjectPtr& object) {
    const auto& p = api::as<corev1::Pod>(object);
    return p.metadata().name() + "@" + p.spec().nodename();
  }
  Log take() {
    clock_.runUntilIdle();
    return std::exchange(log_, {});
  }
  void start(Informer& informer) {
    informer.start();
    sim::runInSim(clock_, informer.waitForSync());
  }
  void stop(Informer& informer) { sim::runInSim(clock_, informer.stop()); }
  /// The cache is exactly what the API has.
  void expectSame(const Informer& informer, std::string_view context = "") {
    auto list = sim::runInSim(clock_, api_.list({&kind_, "", "", ""}, {}));
    auto cached = informer.list();
    ASSERT_EQ(cached.size(), list->items.size()) << context;
    for (std::size_t i = 0; i < cached.size(); ++i) {
      EXPECT_EQ(cached[i]->SerializeAsString(), list->items[i]->SerializeAsString()) << context;
    }
  }

  const api::Kind& kind_ = api::kindFor<corev1::Pod>();
  asio::io_context io_;
  sim::SimClock clock_{io_};
  SeededRng rng_{1};
  FakeApi api_;
  Log log_;
};

TEST_F(InformerTest, DeliversTheListThenTheChanges) {
  api_.put(pod("a"));
  auto informer = make();
  EXPECT_FALSE(informer->synced());
  start(*informer);
  EXPECT_TRUE(informer->synced());
  EXPECT_EQ(take(), (Log{"+a@"}));
  api_.put(pod("b"));
  api_.put(pod("a", "n1"));
  api_.erase(kind_, "default/b");
  EXPECT_EQ(take(), (Log{"+b@", "a@>a@n1", "-b@"}));
  EXPECT_EQ(informer->size(), 1u);
  EXPECT_EQ(describe(informer->get("default/a")), "a@n1");
  EXPECT_EQ(informer->get("default/b"), nullptr);
  EXPECT_EQ(api_.calls(Verb::kList), 1);
  EXPECT_EQ(api_.calls(Verb::kWatch), 1);
  stop(*informer);
}

TEST_F(InformerTest, KeepsDecodedWhatIsLookedAtAgainAndAgain) {
  using Seen = std::weak_ptr<const google::protobuf::Message>;
  for (const char* name : {"a", "b", "c"}) api_.put(pod(name));
  auto informer = make();
  start(*informer);
  const auto lookOften = [&](const std::string& key) {
    Seen seen;
    for (int i = 0; i < 10; ++i) seen = informer->get(key);
    return seen;
  };
  const Seen once = informer->get("default/a");
  EXPECT_TRUE(once.expired());
  const Seen often = lookOften("default/b");
  const Seen still = lookOften("default/c");
  // In each of its periods somebody looks at one of them.
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(still.expired());
    clock_.advance(seconds(12));
    EXPECT_EQ(informer->get("default/c"), still.lock());
  }
  EXPECT_TRUE(often.expired());
  clock_.advance(seconds(31));
  EXPECT_TRUE(still.expired());
  // What was removed and made again begins anew.
  EXPECT_FALSE(lookOften("default/b").expired());
  api_.erase(kind_, "default/b");
  api_.put(pod("b"));
  take();
  const Seen again = lookOften("default/b");
  EXPECT_FALSE(again.expired());
  clock_.advance(seconds(31));
  EXPECT_TRUE(again.expired());
  stop(*informer);
}

TEST_F(InformerTest, ShowsTheWriteThatIsWaitedFor) {
  api_.put(pod("a"));
  auto informer = make();
  start(*informer);
  const auto waits = [&](std::string revision) {
    sim::runInSim(clock_, informer->waitFor(std::move(revision)));
  };
  waits("");
  waits(api::meta(*informer->get("default/a")).resourceversion());
  api_.put(pod("a", "n1"));
  auto list = sim::runInSim(clock_, api_.list({&kind_, "", "", ""}, {}));
  waits(api::meta(*list->items[0]).resourceversion());
  EXPECT_EQ(describe(informer->get("default/a")), "a@n1");
  stop(*informer);
}

TEST_F(InformerTest, AWaitEndsWithTheInformer) {
  auto informer = make();
  start(*informer);
  TaskGroup waiting(io_.get_executor());
  waiting.spawn("wait", informer->waitFor("999999"));
  clock_.runUntilIdle();
  EXPECT_EQ(waiting.size(), 1u);
  stop(*informer);
  clock_.runUntilIdle();
  EXPECT_EQ(waiting.size(), 0u);
}

TEST_F(InformerTest, ReadsAllPages) {
  for (int i = 0; i < 1203; ++i) api_.put(pod("p" + std::to_string(i)));
  auto informer = make();
  start(*informer);
  EXPECT_EQ(informer->size(), 1203u);
  EXPECT_EQ(api_.calls(Verb::kList), 3);
  stop(*informer);
}

TEST_F(InformerTest, PagesThatExpireAreReadAgainAllAtOnce) {
  for (int i = 0; i < 700; ++i) api_.put(pod("p" + std::to_string(i)));
  // The first page succeeds, the second has expired.
  class ExpiringApi final : public api::Api {
   public:
    explicit ExpiringApi(FakeApi& inner) : inner_(inner) {}
    Co<Result<api::ListResult>> list(api::ResourceId id, api::ListOptions options) override {
      limits.push_back(options.limit);
      if (!options.continueToken.empty()) co_return Status(Code::kExpired, "too old");
      co_return co_await inner_.list(id, options);
    }
    Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId id,
                                                  api::WatchOptions options) override {
      return inner_.watch(id, options);
    }
    Co<Result<api::ObjectPtr>> get(api::ResourceId id) override { return inner_.get(id); }
    Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                        api::WriteOptions options) override {
      return inner_.create(id, object, options);
    }
    Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                        api::WriteOptions options) override {
      return inner_.update(id, object, options);
    }
    Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                       api::WriteOptions options) override {
      return inner_.patch(id, type, body, options);
    }
    Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
      return inner_.remove(id, options);
    }
    std::vector<std::int64_t> limits;

   private:
    FakeApi& inner_;
  } expiring(api_);
  Informer informer(expiring, clock_, rng_, io_.get_executor(), {&kind_, "", "", ""});
  start(informer);
  EXPECT_EQ(informer.size(), 700u);
  EXPECT_EQ(expiring.limits, (std::vector<std::int64_t>{500, 500, 0}));
  stop(informer);
}

TEST_F(InformerTest, ResumesALostWatchWithoutANewList) {
  auto informer = make();
  start(*informer);
  api_.put(pod("a"));
  take();
  api_.breakWatches(Status(Code::kUnavailable, "connection lost"));
  clock_.runUntilIdle();
  api_.put(pod("b"));
  api_.erase(kind_, "default/a");
  clock_.advance(seconds(1));
  EXPECT_EQ(take(), (Log{"+b@", "-a@"}));
  EXPECT_EQ(api_.calls(Verb::kList), 1);
  EXPECT_EQ(api_.calls(Verb::kWatch), 2);
  stop(*informer);
}

TEST_F(InformerTest, AnExpiredWatchRelistsAndDeliversTheDifference) {
  for (auto* name : {"gone", "kept", "changed", "reborn"}) api_.put(pod(name));
  auto informer = make();
  start(*informer);
  take();
  api_.breakWatches(Status(Code::kUnavailable, "connection lost"));
  clock_.runUntilIdle();
  api_.erase(kind_, "default/gone");
  api_.put(pod("changed", "n1"));
  api_.erase(kind_, "default/reborn");
  api_.put(pod("reborn", "n2"));
  api_.put(pod("new"));
  api_.compact();
  clock_.advance(seconds(1));
  EXPECT_EQ(take(), (Log{"-gone@", "changed@>changed@n1", "+new@", "-reborn@", "+reborn@n2"}));
  expectSame(*informer);
  EXPECT_EQ(api_.calls(Verb::kList), 3);  // one of them is expectSame's
  stop(*informer);
}

TEST_F(InformerTest, BookmarksMoveTheRevisionToResumeFrom) {
  auto informer = make("spec.nodeName=n1");
  start(*informer);
  api_.put(pod("elsewhere", "n2"));
  api_.bookmark(kind_);
  clock_.runUntilIdle();
  api_.compact();
  api_.breakWatches(Status(Code::kUnavailable, "connection lost"));
  clock_.advance(seconds(1));
  api_.put(pod("mine", "n1"));
  EXPECT_EQ(take(), (Log{"+mine@n1"}));
  EXPECT_EQ(api_.calls(Verb::kList), 1);
  stop(*informer);
}

TEST_F(InformerTest, SelectorsNarrowTheCache) {
  api_.put(pod("other", "n2"));
  auto informer = make("spec.nodeName=n1");
  start(*informer);
  auto mine = pod("mine");
  api_.put(mine);
  mine.mutable_spec()->set_nodename("n1");
  api_.put(mine);
  EXPECT_EQ(take(), (Log{"+mine@n1"}));
  mine.mutable_spec()->set_nodename("n2");
  api_.put(mine);
  EXPECT_EQ(take(), (Log{"-mine@n2"}));
  EXPECT_EQ(informer->size(), 0u);
  stop(*informer);
}

TEST_F(InformerTest, BacksOffWithJitterWhileTheServerIsAwayAndNeverStopsTrying) {
  api_.failNext(Verb::kList, Status(Code::kUnavailable, "away"), 12);
  api_.put(pod("a"));
  auto informer = make();
  informer->start();
  std::vector<Duration> delays;
  MonoTime last = clock_.now();
  int calls = 0;
  while (!informer->synced()) {
    ASSERT_TRUE(clock_.runNext());
    if (std::exchange(calls, api_.calls(Verb::kList)) == calls) continue;
    delays.push_back(clock_.now() - std::exchange(last, clock_.now()));
  }
  ASSERT_EQ(delays.size(), 12u);
  Duration full = milliseconds(100);
  for (std::size_t i = 0; i < delays.size(); ++i) {
    EXPECT_GE(delays[i], full / 2) << i;
    EXPECT_LE(delays[i], full) << i;
    full = std::min<Duration>(full * 2, seconds(30));
  }
  EXPECT_EQ(take(), (Log{"+a@"}));
  stop(*informer);
}

TEST_F(InformerTest, AWatchThatExpiresAgainAndAgainDoesNotSpin) {
  api_.failNext(Verb::kWatch, Status(Code::kExpired, "too old"), 1000000);
  auto informer = make();
  start(*informer);
  clock_.advance(seconds(60));
  EXPECT_LT(api_.calls(Verb::kList), 20);
  stop(*informer);
}

TEST_F(InformerTest, AWatchEndedInGoodOrderIsTakenUpAgainAtOnce) {
  auto informer = make();
  start(*informer);
  api_.put(pod("a"));
  clock_.runUntilIdle();
  api_.breakWatches(Status(Code::kEndOfStream, ""));
  clock_.runUntilIdle();
  EXPECT_EQ(api_.calls(Verb::kWatch), 2);
  stop(*informer);
}

TEST_F(InformerTest, StopJoinsEndsWaitersAndSilencesHandlers) {
  api_.failNext(Verb::kList, Status(Code::kUnavailable, "away"), 1000);
  auto informer = make();
  informer->start();
  bool aborted = false;
  auto waiter = [](Informer& target, bool& out) -> Co<void> {
    try {
      co_await target.waitForSync();
    } catch (const asio::system_error& error) {
      out = error.code() == asio::error::operation_aborted;
    }
  };
  asio::co_spawn(io_, waiter(*informer, aborted), asio::detached);
  clock_.advance(seconds(1));
  stop(*informer);
  clock_.runUntilIdle();
  EXPECT_TRUE(aborted);
  EXPECT_EQ(clock_.pendingTimers(), 0u);
  informer = make();
  api_.put(pod("a"));
  informer->start();
  informer.reset();  // not stopped: nothing may be delivered any more
  clock_.advance(seconds(60));
  EXPECT_EQ(log_, Log{});
}

// Whatever happens on the way, the delivered changes add up to the API's state, without a repeat.
TEST_F(InformerTest, RandomChangesAndFailuresAddUp) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::string context = "seed " + std::to_string(seed);
    SeededRng rng(seed);
    FakeApi fresh;
    std::map<std::string, std::string> replica;
    Informer informer(fresh, clock_, rng, io_.get_executor(), {&kind_, "", "", ""});
    Informer::Handlers handlers;
    handlers.added = [&](const api::ObjectPtr& o) {
      EXPECT_TRUE(replica.emplace(api::keyOf(*o), o->SerializeAsString()).second) << context;
    };
    handlers.updated = [&](const api::ObjectPtr& before, const api::ObjectPtr& now) {
      auto& slot = replica.at(api::keyOf(*now));
      EXPECT_EQ(slot, before->SerializeAsString()) << context;
      EXPECT_NE(slot, now->SerializeAsString()) << context;
      slot = now->SerializeAsString();
    };
    handlers.deleted = [&](const api::ObjectPtr& o) {
      EXPECT_EQ(replica.erase(api::keyOf(*o)), 1u) << context;
    };
    informer.addHandlers(std::move(handlers));
    informer.start();
    for (int step = 0; step < 400; ++step) {
      const std::string name = "p" + std::to_string(rng.below(12));
      switch (rng.below(10)) {
        case 0:
          fresh.breakWatches(Status(Code::kUnavailable, "lost"));
          break;
        case 1:
          fresh.compact();
          break;
        case 2:
          fresh.failNext(Verb::kWatch, Status(Code::kInternal, "bad day"));
          break;
        case 3:
          fresh.failNext(Verb::kList, Status(Code::kTimeout, "slow"));
          break;
        case 4:
          clock_.advance(milliseconds(rng.below(2000)));
          break;
        case 5:
        case 6:
          fresh.erase(kind_, "default/" + name);
          break;
        default:
          fresh.put(pod(name, "n" + std::to_string(rng.below(100))));
      }
      if (rng.chance(0.3)) clock_.runUntilIdle();
    }
    fresh.clearFailures();
    clock_.advance(seconds(120));
    auto list = sim::runInSim(clock_, fresh.list({&kind_, "", "", ""}, {}));
    ASSERT_EQ(replica.size(), list->items.size()) << context;
    for (const auto& object : list->items) {
      EXPECT_EQ(replica.at(api::keyOf(*object)), object->SerializeAsString()) << context;
    }
    stop(informer);
  }
}

}  // namespace
}  // namespace podlab::client
