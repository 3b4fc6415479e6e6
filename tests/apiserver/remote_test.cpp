// Clients over connections that break, to a server that restarts.
#include <gmock/gmock.h>

#include <map>

#include "apiserver/rpc_server.hpp"
#include "client/informer.hpp"
#include "client/remote_api.hpp"
#include "tests/apiserver/fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::apiserver {
namespace {

using corev1::ConfigMap;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RemoteTest : public ServiceTest {
 protected:
  RemoteTest() {
    serve();
    client::ReconnectingConnection::Options options;
    options.address = "server";
    connection_ = std::make_unique<client::ReconnectingConnection>(io_.get_executor(), clock_, rng_,
                                                                   *dialer_, std::move(options));
    connection_->start();
    remote_ = std::make_unique<client::RemoteApi>(*connection_, clock_);
  }
  ~RemoteTest() override {
    run(connection_->stop());
    cut();
  }

  void serve() {
    relay_ = std::make_unique<StreamRelay>(*service_, clock_, rng_);
    const auto everybody = [](const ByteStream& stream) {
      return User{stream.peer(), {std::string(kMasters)}};
    };
    server_ =
        std::make_unique<RpcServer>(*service_, *relay_, clock_, io_.get_executor(), everybody);
    server_->serve(*network_.listen("server"));
  }
  /// Every connection is lost, and nobody listens.
  void cut() {
    if (server_) run(server_->stop());
    clock_.runUntilIdle();
    server_.reset();
    relay_.reset();
  }
  void restartServer() {
    cut();
    restart();
    serve();
  }

  /// One write by somebody else.
  void change(SeededRng& rng) {
    const std::string name = "c" + std::to_string(rng.below(12));
    if (!get<ConfigMap>(name).ok()) {
      ASSERT_TRUE(create(configMap(name, "0")).ok());
    } else if (rng.chance(0.3)) {
      ASSERT_TRUE(remove<ConfigMap>(name).ok());
    } else {
      ASSERT_TRUE(update(configMap(name, std::to_string(++changes_))).ok());
    }
  }

  transport::MemoryNetwork network_;
  std::unique_ptr<Dialer> dialer_ = network_.dialer("admin");
  std::unique_ptr<StreamRelay> relay_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<client::ReconnectingConnection> connection_;
  std::unique_ptr<client::RemoteApi> remote_;
  int changes_ = 0;
};

/// Follows all ConfigMaps and takes a lost watch up again after the last event it saw.
Co<void> follow(api::Api& api, Clock& clock, std::string after, std::vector<std::string>& seen,
                Status& end) {
  while (true) {
    api::WatchOptions options;
    options.resourceVersion = after;
    options.bookmarks = true;
    api::ResourceId all{&api::kindFor<ConfigMap>(), "default", "", ""};
    auto watch = co_await api.watch(all, options);
    Status status = watch.status();
    while (status.ok()) {
      auto event = co_await (*watch)->next();
      status = event.status();
      if (!event) break;
      const auto& metadata = api::meta(*event->object);
      after = metadata.resourceversion();
      if (event->type == api::EventType::kBookmark) continue;
      seen.push_back(std::to_string(static_cast<int>(event->type)) + " " + metadata.name() + "@" +
                     after);
    }
    if (status.is(Code::kExpired)) {
      end = status;
      co_return;
    }
    co_await clock.sleepFor(milliseconds(50));
  }
}

TEST_F(RemoteTest, AResumedWatchLosesAndDoublesNothing) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    const std::string start = list<ConfigMap>().resourceVersion;
    std::vector<std::string> expected;
    std::vector<std::string> remote;
    Status end;
    TaskGroup tasks(io_.get_executor());
    tasks.spawn("remote", follow(*remote_, clock_, start, remote, end));
    for (int step = 0; step < 60; ++step) {
      if (rng.chance(0.1)) {
        cut();
        if (rng.chance(0.5)) clock_.advance(milliseconds(rng.below(8000)));
        serve();
      } else if (rng.chance(0.05)) {
        restartServer();
      }
      for (std::uint64_t i = rng.below(5); i > 0; --i) change(rng);
      clock_.advance(milliseconds(rng.below(300)));
    }
    clock_.advance(seconds(30));
    // What a reader sees that never lost its connection.
    api::WatchOptions options;
    options.resourceVersion = start;
    auto whole = watch<ConfigMap>(options);
    for (const auto& event : drain(*whole)) {
      const auto& metadata = api::meta(*event.object);
      expected.push_back(std::to_string(static_cast<int>(event.type)) + " " + metadata.name() +
                         "@" + metadata.resourceversion());
    }
    EXPECT_GT(expected.size(), 50U);
    EXPECT_EQ(remote, expected);
    EXPECT_TRUE(end.ok()) << end.toString();
    run(tasks.cancelAndJoin());
  }
}

TEST_F(RemoteTest, AWatchThatCannotBeResumedSaysSo) {
  ASSERT_TRUE(create(configMap("a")).ok());
  const std::string start = list<ConfigMap>().resourceVersion;
  std::vector<std::string> seen;
  Status end;
  TaskGroup tasks(io_.get_executor());
  tasks.spawn("remote", follow(*remote_, clock_, start, seen, end));
  clock_.advance(seconds(1));
  cut();
  ASSERT_TRUE(update(configMap("a", "2")).ok());
  ASSERT_TRUE(run(store_->compact(store_->currentRevision())).ok());
  restart();
  ASSERT_TRUE(update(configMap("a", "3")).ok());
  serve();
  clock_.advance(seconds(30));
  EXPECT_EQ(end.code(), Code::kExpired);
  EXPECT_TRUE(seen.empty());
  run(tasks.cancelAndJoin());
}

TEST_F(RemoteTest, ListsMoreThanOneMessageHolds) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(create(configMap("big" + std::to_string(i), std::string(900 << 10, 'x'))).ok());
  }
  for (int i = 0; i < 1200; ++i) ASSERT_TRUE(create(configMap("s" + std::to_string(i))).ok());
  const auto listed = run(remote_->list(id<ConfigMap>(""), {}));
  ASSERT_TRUE(listed.ok()) << listed.status().toString();
  const auto here = list<ConfigMap>();
  EXPECT_EQ(listed->resourceVersion, here.resourceVersion);
  EXPECT_EQ(listed->continueToken, "");
  ASSERT_EQ(listed->items.size(), 1240U);
  for (std::size_t i = 0; i < here.items.size(); ++i) {
    EXPECT_EQ(api::keyOf(*listed->items[i]), api::keyOf(*here.items[i]));
  }
}

// Cuts, restarts and forgotten history: the cache's changes add up, none twice.
TEST_F(RemoteTest, AnInformerAddsUpWhateverHappensToTheServer) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    std::map<std::string, std::string> replica;
    client::Informer informer(*remote_, clock_, rng_, io_.get_executor(),
                              {&api::kindFor<ConfigMap>(), "", "", ""});
    client::Informer::Handlers handlers;
    handlers.added = [&](const api::ObjectPtr& object) {
      EXPECT_TRUE(replica.emplace(api::keyOf(*object), object->SerializeAsString()).second);
    };
    handlers.updated = [&](const api::ObjectPtr& before, const api::ObjectPtr& now) {
      EXPECT_EQ(replica.at(api::keyOf(*now)), before->SerializeAsString());
      EXPECT_EQ(api::meta(*before).uid(), api::meta(*now).uid());
      replica[api::keyOf(*now)] = now->SerializeAsString();
    };
    handlers.deleted = [&](const api::ObjectPtr& last) {
      EXPECT_EQ(replica.erase(api::keyOf(*last)), 1U);
    };
    informer.addHandlers(std::move(handlers));
    informer.start();
    for (int step = 0; step < 60; ++step) {
      if (rng.chance(0.1)) {
        cut();
        for (std::uint64_t i = rng.below(10); i > 0; --i) change(rng);
        if (rng.chance(0.5)) {
          ASSERT_TRUE(run(store_->compact(store_->currentRevision())).ok());
          restart();
        }
        if (rng.chance(0.5)) clock_.advance(milliseconds(rng.below(20000)));
        serve();
      }
      for (std::uint64_t i = rng.below(5); i > 0; --i) change(rng);
      clock_.advance(milliseconds(rng.below(300)));
    }
    clock_.advance(seconds(60));
    std::map<std::string, std::string> expected;
    for (const auto& object : list<ConfigMap>().items) {
      expected[api::keyOf(*object)] = object->SerializeAsString();
    }
    EXPECT_EQ(replica, expected);
    EXPECT_EQ(informer.size(), expected.size());
    run(informer.stop());
  }
}

// A write whose answer was lost is not repeated by the client: the caller decides.
TEST_F(RemoteTest, WritesAreNeverRepeatedBehindTheCallersBack) {
  clock_.advance(seconds(1));
  constexpr int kWrites = 40;
  int succeeded = 0;
  int written = 0;
  for (int i = 0; i < kWrites; ++i) {
    const std::string name = "w" + std::to_string(i);
    std::optional<Status> outcome;
    auto writer = [](client::RemoteApi& api, std::string key,
                     std::optional<Status>& out) -> Co<void> {
      auto object = std::make_shared<ConfigMap>();
      object->mutable_metadata()->set_name(key);
      api::ResourceId id{&api::kindFor<ConfigMap>(), "default", "", ""};
      auto created = co_await api.create(id, object, {});
      out = created.status();
    };
    TaskGroup tasks(io_.get_executor());
    tasks.spawn("writer", writer(*remote_, name, outcome));
    // The cut falls somewhere on the way.
    for (int steps = 0; steps < i; ++steps) io_.poll_one();
    cut();
    serve();
    run(tasks.join());
    ASSERT_TRUE(outcome.has_value());
    const bool there = get<ConfigMap>(name).ok();
    if (there) ++written;
    if (outcome->ok()) {
      ++succeeded;
      EXPECT_TRUE(there) << name;
    } else {
      // Never AlreadyExists: that would be its own first try.
      EXPECT_EQ(outcome->code(), Code::kUnavailable) << outcome->toString();
    }
    clock_.advance(seconds(10));
  }
  EXPECT_GT(written, succeeded) << "no answer was lost: the cuts come too late or too early";
  EXPECT_LT(written, kWrites) << "no request was lost";
}

}  // namespace
}  // namespace podlab::apiserver
