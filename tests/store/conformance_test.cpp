#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/rng.hpp"
#include "tests/store/store_fixture.hpp"

namespace podlab::store {
namespace {

class ConformanceTest : public StoreFixture, public testing::WithParamInterface<Backend> {
 protected:
  void SetUp() override { open(GetParam()); }
  void reopen(std::size_t historyBytes) {
    close();
    std::filesystem::remove(dir_ / "store.db");
    open(GetParam(), historyBytes);
  }
  static std::string show(const std::vector<Event>& events) {
    std::string text;
    for (const auto& event : events) {
      text += (event.type == Event::Type::kPut ? "+" : "-") + event.kv.key + "=" +
              (event.kv.value.present() ? *event.kv.value : "");
      if (event.previous.present()) text += "(" + *event.previous + ")";
      text += "@" + std::to_string(event.kv.modRevision) + " ";
    }
    return text;
  }
  using StoreFixture::show;
};

INSTANTIATE_TEST_SUITE_P(Stores, ConformanceTest, testing::Values(memoryBackend(), sqliteBackend()),
                         [](const auto& info) { return info.param.name; });

TEST_P(ConformanceTest, EachTransactionThatChangesSomethingTakesTheNextRevision) {
  EXPECT_EQ(store_->currentRevision(), 0);
  EXPECT_EQ(put("a", "1"), 1);
  EXPECT_EQ(put("b", "2"), 2);
  Txn both;
  both.puts = {{"a", "3"}, {"c", ""}};
  both.deletes = {"b"};
  EXPECT_EQ(committed(both), 3);
  EXPECT_EQ(erase("never there"), 3);
  EXPECT_EQ(committed({}), 3);
  EXPECT_EQ(store_->currentRevision(), 3);
  EXPECT_EQ(show("a", "z"), "a=3 c= ");
  auto a = range("a")->items.at(0);
  EXPECT_EQ(a.createRevision, 1);
  EXPECT_EQ(a.modRevision, 3);
  erase("a");
  put("a", "again");
  EXPECT_EQ(range("a")->items.at(0).createRevision, 5);
}

TEST_P(ConformanceTest, ComparesDecideOverAllOrNothing) {
  Txn create;
  create.compares = {{"a", 0}};
  create.puts = {{"a", "1"}, {"b", "1"}};
  EXPECT_EQ(committed(create), 1);

  auto again = txn(create);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->succeeded);
  EXPECT_EQ(again->revision, 1);
  ASSERT_EQ(again->current.size(), 1u);
  EXPECT_EQ(*again->current[0].value, "1");
  EXPECT_EQ(again->current[0].modRevision, 1);

  Txn update;
  update.compares = {{"a", 1}, {"b", 1}, {"absent", 0}};
  update.puts = {{"a", "2"}};
  update.deletes = {"b"};
  EXPECT_EQ(committed(update), 2);
  auto stale = txn(update);
  EXPECT_FALSE(stale->succeeded);
  ASSERT_EQ(stale->current.size(), 1u);  // b and absent are not there
  EXPECT_EQ(show("a", "z"), "a=2 ");
}

TEST_P(ConformanceTest, RefusesAmbiguousTransactionsWhole) {
  for (const Txn& bad : {Txn{{}, {{"a", "1"}, {"a", "2"}}, {}}, Txn{{}, {{"a", "1"}}, {"a"}},
                         Txn{{}, {{"b", "1"}}, {"a", "a"}}, Txn{{}, {{"b", "1"}, {"", "1"}}, {}}}) {
    auto result = txn(bad);
    ASSERT_FALSE(result.ok());
    EXPECT_TRUE(result.status().is(Code::kInvalid)) << result.status().toString();
  }
  EXPECT_EQ(store_->currentRevision(), 0);
  EXPECT_EQ(show("a", "z"), "");
}

TEST_P(ConformanceTest, RangesAreOrderedHalfOpenAndLimited) {
  for (auto* key : {"/b/2", "/a/1", "/b/1", "/b", "/c", "/b/3"}) put(key, "v");
  EXPECT_EQ(show("/b/", prefixEnd("/b/")), "/b/1=v /b/2=v /b/3=v ");
  EXPECT_EQ(show("/b"), "/b=v ");
  EXPECT_EQ(show("/b", "/b/2"), "/b=v /b/1=v ");
  EXPECT_EQ(show("/x"), "");
  EXPECT_EQ(show("/c", "/a"), "");
  auto limited = range("/", prefixEnd("/"), 0, 4);
  EXPECT_EQ(limited->items.size(), 4u);
  EXPECT_EQ(limited->remaining, 2);
  EXPECT_EQ(limited->revision, 6);
  EXPECT_EQ(range("/", prefixEnd("/"), 0, 6)->remaining, 0);
}

TEST_P(ConformanceTest, KeepsBytesAsTheyAre) {
  const std::string odd("k\0\x01\xc3\xa9", 5);
  const std::string value("\0v\xff", 3);
  put(odd, value);
  auto result = range(odd);
  ASSERT_EQ(result->items.size(), 1u);
  EXPECT_EQ(result->items[0].key, odd);
  EXPECT_EQ(*result->items[0].value, value);
}

TEST_P(ConformanceTest, RangesOfTheSameRevisionStayTheSame) {
  put("a", "1");
  put("b", "1");
  put("a", "2");
  erase("b");
  put("c", "1");
  EXPECT_EQ(show("a", "z", 1), "a=1 ");
  EXPECT_EQ(show("a", "z", 2), "a=1 b=1 ");
  EXPECT_EQ(show("a", "z", 3), "a=2 b=1 ");
  EXPECT_EQ(show("a", "z", 4), "a=2 ");
  EXPECT_EQ(show("a", "z", 5), "a=2 c=1 ");
  EXPECT_EQ(show("b", "", 3), "b=1 ");
  EXPECT_EQ(range("a", "z", 2)->revision, 2);
  EXPECT_TRUE(range("a", "z", 6).status().is(Code::kInvalid));
}

TEST_P(ConformanceTest, CompactionForgetsHistoryAndKeepsThePresent) {
  put("a", "1");
  put("a", "2");
  erase("a");
  put("b", "1");
  put("b", "2");
  EXPECT_TRUE(loop_.run(store_->compact(6)).is(Code::kInvalid));
  EXPECT_TRUE(loop_.run(store_->compact(4)).ok());
  EXPECT_EQ(store_->compactedRevision(), 4);
  EXPECT_TRUE(loop_.run(store_->compact(2)).ok());  // already gone
  EXPECT_EQ(store_->compactedRevision(), 4);
  EXPECT_TRUE(range("a", "z", 3).status().is(Code::kExpired));
  EXPECT_EQ(show("a", "z", 4), "b=1 ");
  EXPECT_EQ(show("a", "z"), "b=2 ");
  EXPECT_TRUE(loop_.run(store_->watch("a", "z", 3)).status().is(Code::kExpired));
  auto watcher = watch("a", "z", 4);
  EXPECT_EQ(show(next(*watcher)->events), "+b=2(1)@5 ");
}

TEST_P(ConformanceTest, WatchesReplayThenFollow) {
  put("/p/a", "1");
  put("/q/a", "1");
  put("/p/a", "2");
  auto watcher = watch("/p/", prefixEnd("/p/"), 1);
  auto batch = next(*watcher);
  EXPECT_EQ(show(batch->events), "+/p/a=2(1)@3 ");
  EXPECT_EQ(batch->revision, 3);
  erase("/p/a");
  Txn two;
  two.puts = {{"/p/b", "1"}, {"/p/c", "1"}, {"/q/c", "1"}};
  committed(two);
  batch = next(*watcher);
  EXPECT_EQ(show(batch->events), "-/p/a=(2)@4 +/p/b=1@5 +/p/c=1@5 ");
  EXPECT_EQ(batch->revision, 5);
  // Changes elsewhere move the revision.
  put("/q/a", "2");
  batch = next(*watcher);
  EXPECT_TRUE(batch->events.empty());
  EXPECT_EQ(batch->revision, 6);
}

TEST_P(ConformanceTest, AWaitingWatcherWakes) {
  auto watcher = watch("a", "b", 0);
  std::string seen;
  auto wait = [](Watcher& from, std::string& out) -> Co<void> {
    auto batch = co_await from.next();
    out = show(batch->events);
  };
  loop_.spawn(wait(*watcher, seen));
  loop_.poll();
  EXPECT_EQ(seen, "");
  put("a", "1");
  loop_.join();
  EXPECT_EQ(seen, "+a=1@1 ");
}

TEST_P(ConformanceTest, AWatchFromTheFutureIsAnotherDatabases) {
  put("a", "1");
  EXPECT_TRUE(loop_.run(store_->watch("a", "z", 2)).status().is(Code::kExpired));
}

TEST_P(ConformanceTest, LongHistoriesComeInWholeRevisions) {
  constexpr int kTransactions = 1500;
  for (int i = 0; i < kTransactions; ++i) {
    Txn t;
    for (int j = 0; j < 3; ++j) t.puts.push_back({"k" + std::to_string(j), std::to_string(i)});
    loop_.spawn([](Store& store, Txn body) -> Co<void> {
      auto done = co_await store.txn(std::move(body));
      EXPECT_TRUE(done.ok());
    }(*store_, std::move(t)));
  }
  loop_.join();
  auto watcher = watch("k", "l", 0);
  Revision last = 0;
  int batches = 0;
  while (last < kTransactions) {
    auto batch = next(*watcher);
    ASSERT_TRUE(batch.ok());
    std::map<Revision, int> perRevision;
    for (const auto& event : batch->events) ++perRevision[event.kv.modRevision];
    for (const auto& [revision, count] : perRevision) {
      EXPECT_EQ(revision, ++last);
      EXPECT_EQ(count, 3);
    }
    EXPECT_EQ(batch->revision, last);
    ++batches;
  }
  EXPECT_GT(batches, 2);
}

TEST_P(ConformanceTest, OldHistoryGoesByItselfAndOnlySlowWatchersExpire) {
  reopen(64 << 10);
  const std::string value(1000, 'x');
  put("a", value);
  auto slow = watch("a", "b", 1);
  auto fast = watch("a", "b", 1);
  for (int i = 0; i < 1000; ++i) {
    put("a", value + std::to_string(i));
    auto batch = next(*fast);
    ASSERT_TRUE(batch.ok()) << batch.status().toString();
    ASSERT_EQ(batch->events.size(), 1u);
  }
  EXPECT_GT(store_->compactedRevision(), 500);
  EXPECT_TRUE(next(*slow).status().is(Code::kExpired));
  EXPECT_TRUE(range("a", "b", 2).status().is(Code::kExpired));
  EXPECT_EQ(*range("a", "b", 990)->items.at(0).value, value + "988");
}

TEST_P(ConformanceTest, HugeValuesDoNotExpireWatchersThatKeepUp) {
  reopen(64 << 10);
  auto watcher = watch("a", "b", 0);
  const std::string huge(1 << 20, 'x');
  for (int i = 0; i < 5; ++i) {
    put("a", huge);
    put("a", huge);
    ASSERT_EQ(next(*watcher)->events.size(), 2u);
  }
}

TEST_P(ConformanceTest, CloseFinishesWhatWasAcceptedThenRefuses) {
  auto watcher = watch("a", "z", 0);
  int acknowledged = 0;
  auto writer = [](Store& store, int i, int& count) -> Co<void> {
    Txn t;
    t.puts.push_back({"k" + std::to_string(i), "v"});
    auto result = co_await store.txn(std::move(t));
    if (result.ok()) ++count;
  };
  for (int i = 0; i < 50; ++i) loop_.spawn(writer(*store_, i, acknowledged));
  auto closing = [](Store& store) -> Co<void> {
    co_await asio::post(asio::use_awaitable);
    co_await asio::post(asio::use_awaitable);
    co_await store.close();
  };
  loop_.run(closing(*store_));
  loop_.join();
  EXPECT_EQ(acknowledged, 50);
  EXPECT_TRUE(txn({}).status().is(Code::kUnavailable));
  EXPECT_TRUE(range("a").status().is(Code::kUnavailable));
  EXPECT_TRUE(loop_.run(store_->watch("a", "z", 0)).status().is(Code::kUnavailable));
  EXPECT_TRUE(loop_.run(store_->compact(0)).is(Code::kUnavailable));
  EXPECT_TRUE(next(*watcher).status().is(Code::kUnavailable));
  loop_.run(store_->close());
}

TEST_P(ConformanceTest, AWaitingWatcherEndsWithTheStore) {
  auto watcher = watch("a", "z", 0);
  Status status;
  auto wait = [](Watcher& from, Status& out) -> Co<void> {
    auto batch = co_await from.next();
    out = batch.status();
  };
  loop_.spawn(wait(*watcher, status));
  loop_.poll();
  store_.reset();
  loop_.join();
  EXPECT_TRUE(status.is(Code::kUnavailable));
}

/// The obvious implementation: a copy of everything for every revision.
struct Model {
  using Snapshot = std::map<std::string, KeyValue>;
  std::vector<Snapshot> at{{}};
  Revision compacted = 0;
  Revision current() const { return std::ssize(at) - 1; }

  TxnResult apply(const Txn& txn) {
    TxnResult result;
    result.succeeded = true;
    const Snapshot& now = at.back();
    for (const auto& compare : txn.compares) {
      auto it = now.find(compare.key);
      const Revision actual = it == now.end() ? 0 : it->second.modRevision;
      if (it != now.end()) result.current.push_back(it->second);
      if (actual != compare.modRevision) result.succeeded = false;
    }
    if (result.succeeded) {
      result.current.clear();
      Snapshot next = now;
      const Revision revision = current() + 1;
      bool changed = !txn.puts.empty();
      for (const auto& put : txn.puts) {
        auto [it, isNew] = next.try_emplace(put.key);
        const Revision created = isNew ? revision : it->second.createRevision;
        it->second = {put.key, put.value, created, revision};
      }
      for (const auto& key : txn.deletes) changed |= next.erase(key) > 0;
      if (changed) at.push_back(std::move(next));
    }
    result.revision = current();
    return result;
  }
};

std::string text(const KeyValue& kv) {
  return kv.key + "=" + *kv.value + "," + std::to_string(kv.createRevision) + "," +
         std::to_string(kv.modRevision) + " ";
}
std::string text(const std::vector<KeyValue>& all) {
  std::string joined;
  for (const auto& kv : all) joined += text(kv);
  return joined;
}

class DifferentialTest : public ConformanceTest {
 protected:
  std::string randomKey() { return std::string(1, static_cast<char>('a' + rng_->below(12))); }

  Txn randomTxn() {
    Txn txn;
    std::set<std::string> used;
    for (auto n = rng_->below(4); n > 0; --n) {
      std::string key = randomKey();
      if (!used.insert(key).second) continue;
      if (rng_->chance(0.6)) {
        txn.puts.push_back({key, std::to_string(rng_->below(1000))});
      } else {
        txn.deletes.push_back(key);
      }
    }
    for (auto n = rng_->below(3); n > 0; --n) {
      std::string key = randomKey();
      auto it = model_.at.back().find(key);
      Revision expected = it == model_.at.back().end() ? 0 : it->second.modRevision;
      if (rng_->chance(0.2)) expected = static_cast<Revision>(rng_->below(20));
      txn.compares.push_back({key, expected});
    }
    return txn;
  }

  /// Several transactions that wait at the same time: as if one after the other.
  void writeSome() {
    auto write = [](Store& store, Txn txn, TxnResult expected, std::string context) -> Co<void> {
      auto result = co_await store.txn(std::move(txn));
      EXPECT_TRUE(result.ok()) << context << result.status().toString();
      if (!result) co_return;
      EXPECT_EQ(result->succeeded, expected.succeeded) << context;
      EXPECT_EQ(result->revision, expected.revision) << context;
      EXPECT_EQ(text(result->current), text(expected.current)) << context;
    };
    for (auto n = 1 + rng_->below(8); n > 0; --n) {
      Txn txn = randomTxn();
      TxnResult expected = model_.apply(txn);
      loop_.spawn(write(*store_, std::move(txn), std::move(expected), context_));
    }
    loop_.join();
    ASSERT_EQ(store_->currentRevision(), model_.current()) << context_;
  }

  void checkRange() {
    RangeRequest request;
    request.start = randomKey();
    if (rng_->chance(0.8)) request.end = randomKey();
    request.limit = static_cast<std::int64_t>(rng_->below(4));
    request.revision =
        static_cast<Revision>(rng_->below(static_cast<std::uint64_t>(model_.current() + 2)));
    auto result = loop_.run(store_->range(request));
    const Revision revision = request.revision == 0 ? model_.current() : request.revision;
    if (revision > model_.current()) {
      EXPECT_TRUE(result.status().is(Code::kInvalid)) << context_;
      return;
    }
    if (revision < model_.compacted) {
      EXPECT_TRUE(result.status().is(Code::kExpired)) << context_;
      return;
    }
    std::vector<KeyValue> expected;
    for (const auto& [key, kv] : model_.at[static_cast<std::size_t>(revision)]) {
      const bool in =
          request.end.empty() ? key == request.start : request.start <= key && key < request.end;
      if (in) expected.push_back(kv);
    }
    std::int64_t remaining = 0;
    if (request.limit > 0 && std::ssize(expected) > request.limit) {
      remaining = std::ssize(expected) - request.limit;
      expected.resize(static_cast<std::size_t>(request.limit));
    }
    ASSERT_TRUE(result.ok()) << context_ << result.status().toString();
    EXPECT_EQ(text(result->items), text(expected)) << context_;
    EXPECT_EQ(result->remaining, remaining) << context_;
    EXPECT_EQ(result->revision, revision) << context_;
  }

  struct Follower {
    std::unique_ptr<Watcher> watcher;
    std::string start;
    std::string end;
    Revision at = 0;
    Model::Snapshot replica;  ///< of the range, as the events made it
  };

  void follow() {
    Follower follower;
    follower.start = randomKey();
    follower.end = "z";
    const auto span = static_cast<std::uint64_t>(model_.current() - model_.compacted + 1);
    follower.at = model_.compacted + static_cast<Revision>(rng_->below(span));
    follower.watcher = watch(follower.start, follower.end, follower.at);
    follower.replica = expected(follower);
    followers_.push_back(std::move(follower));
  }
  Model::Snapshot expected(const Follower& follower) const {
    const auto& all = model_.at[static_cast<std::size_t>(follower.at)];
    return {all.lower_bound(follower.start), all.lower_bound(follower.end)};
  }

  /// The events of each revision lead from the model's state before it to that after it.
  void catchUp(Follower& follower) {
    while (follower.at < model_.current()) {
      auto batch = next(*follower.watcher);
      if (follower.at < model_.compacted) {
        ASSERT_TRUE(batch.status().is(Code::kExpired)) << context_;
        follower.watcher.reset();
        return;
      }
      ASSERT_TRUE(batch.ok()) << context_ << batch.status().toString();
      ASSERT_GT(batch->revision, follower.at) << context_;
      auto event = batch->events.begin();
      while (follower.at < batch->revision) {
        ++follower.at;
        for (; event != batch->events.end() && event->kv.modRevision == follower.at; ++event) {
          auto it = follower.replica.find(event->kv.key);
          const bool was = it != follower.replica.end();
          ASSERT_EQ(event->previous.present(), was) << context_;
          if (was) ASSERT_EQ(*event->previous, *it->second.value) << context_;
          if (event->type == Event::Type::kDelete) {
            ASSERT_TRUE(was) << context_;
            follower.replica.erase(it);
          } else {
            follower.replica[event->kv.key] = event->kv;
          }
        }
        std::vector<KeyValue> got;
        std::vector<KeyValue> want;
        for (const auto& [key, kv] : follower.replica) got.push_back(kv);
        for (const auto& [key, kv] : expected(follower)) want.push_back(kv);
        ASSERT_EQ(text(got), text(want)) << context_ << " revision " << follower.at;
      }
      ASSERT_EQ(event, batch->events.end()) << context_ << ": an event out of order";
    }
  }

  void compactSome() {
    const auto revision =
        static_cast<Revision>(rng_->below(static_cast<std::uint64_t>(model_.current() + 1)));
    ASSERT_TRUE(loop_.run(store_->compact(revision)).ok()) << context_;
    model_.compacted = std::max(model_.compacted, revision);
    ASSERT_EQ(store_->compactedRevision(), model_.compacted) << context_;
  }

  std::unique_ptr<Rng> rng_;
  std::string context_;
  Model model_;
  std::vector<Follower> followers_;
};

INSTANTIATE_TEST_SUITE_P(Stores, DifferentialTest,
                         testing::Values(memoryBackend(), sqliteBackend()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DifferentialTest, RandomOperationsAgreeWithTheModel) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    rng_ = std::make_unique<SeededRng>(seed);
    model_ = {};
    reopen(kDefaultHistoryBytes);
    for (int step = 0; step < 250; ++step) {
      context_ = "seed " + std::to_string(seed) + " step " + std::to_string(step) + ": ";
      const auto dice = rng_->below(100);
      if (dice < 40) {
        writeSome();
      } else if (dice < 70) {
        checkRange();
      } else if (dice < 78) {
        follow();
      } else if (dice < 95) {
        if (!followers_.empty()) catchUp(followers_[rng_->below(followers_.size())]);
      } else if (dice < 98) {
        compactSome();
      } else if (GetParam().durable) {
        followers_.clear();
        close();
        open(GetParam());
        ASSERT_EQ(store_->currentRevision(), model_.current()) << context_;
        ASSERT_EQ(store_->compactedRevision(), model_.compacted) << context_;
      }
      std::erase_if(followers_, [](const Follower& f) { return !f.watcher; });
      if (HasFatalFailure()) return;
    }
    for (auto& follower : followers_) catchUp(follower);
    followers_.clear();
    if (HasFatalFailure()) return;
  }
}

TEST(PrefixEndTest, IsTheFirstKeyAfterAllWithThePrefix) {
  EXPECT_EQ(prefixEnd("/a/"), "/a0");
  EXPECT_EQ(prefixEnd("a\xff"), "b");
  EXPECT_EQ(prefixEnd(""), "\xff");
}

}  // namespace
}  // namespace podlab::store
