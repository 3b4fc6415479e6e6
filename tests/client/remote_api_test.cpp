#include "client/remote_api.hpp"

#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "api_rpc.pb.h"

#include "api/kinds.hpp"
#include "common/sync.hpp"
#include "sim/sim_clock.hpp"
#include "transport/memory.hpp"

// The connection keeps its handler until every call of it has returned.
// NOLINTBEGIN(cppcoreguidelines-avoid-capturing-lambda-coroutines)
namespace podlab::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A server that records requests and gives prepared answers.
class RemoteApiTest : public ::testing::Test {
 protected:
  RemoteApiTest() {
    ReconnectingConnection::Options options;
    options.address = "server";
    options.onConnect = [this](rpc::Connection&) -> Co<Status> {
      ++greetings_;
      co_return greeting_;
    };
    connection_ = std::make_unique<ReconnectingConnection>(io_.get_executor(), clock_, rng_,
                                                           *dialer_, std::move(options));
    api_ = std::make_unique<RemoteApi>(*connection_, clock_);
    connection_->start();
  }
  ~RemoteApiTest() override {
    clock_.run(connection_->stop());
    stopServer();
    clock_.advance(seconds(2));
  }

  void startServer() {
    listener_ = std::move(*network_.listen("server"));
    asio::co_spawn(io_, acceptAll(), asio::detached);
  }
  void stopServer() {
    served_.clear();
    if (listener_) listener_->close();
    clock_.runUntilIdle();
    listener_.reset();
  }
  template <typename T>
  T value(Co<T> task) {
    return sim::runInSim(clock_, std::move(task));
  }
  api::ResourceId pod(std::string name) {
    api::ResourceId id;
    id.kind = &api::kindFor<corev1::Pod>();
    id.ns = "default";
    id.name = std::move(name);
    return id;
  }
  api::ObjectPtr podObject(const std::string& name) {
    auto object = std::make_shared<corev1::Pod>();
    object->mutable_metadata()->set_name(name);
    object->mutable_metadata()->set_namespace_("default");
    return object;
  }

  Co<void> acceptAll() {
    while (true) {
      auto stream = co_await listener_->accept();
      if (!stream) co_return;
      ++accepted_;
      auto handler = [this](rpc::Connection&, rpc::Stream& s) { return serve(s); };
      served_.push_back(rpc::makeConnection(io_.get_executor(), clock_, std::move(*stream), true,
                                            std::move(handler)));
    }
  }
  Co<Status> serve(rpc::Stream& stream) {
    method_ = stream.method();
    auto bytes = co_await stream.receive();
    if (!bytes) co_return bytes.status();
    if (method_ == "api") {
      EXPECT_TRUE(rpc::decode(*bytes, request_).ok());
      if (!failure_) co_return failure_;
      co_return co_await stream.send(rpc::encode(response_));
    }
    EXPECT_TRUE(rpc::decode(*bytes, watchRequest_).ok());
    for (auto& event : events_) {
      Status sent = co_await stream.send(rpc::encode(event));
      if (!sent) co_return sent;
    }
    co_return failure_;
  }

  asio::io_context io_;
  sim::SimClock clock_{io_};
  SeededRng rng_{1};
  transport::MemoryNetwork network_;
  std::unique_ptr<Dialer> dialer_ = network_.dialer("client");
  std::unique_ptr<Listener> listener_;
  std::vector<std::shared_ptr<rpc::Connection>> served_;
  int accepted_ = 0;
  int greetings_ = 0;
  Status greeting_;
  std::unique_ptr<ReconnectingConnection> connection_;
  std::unique_ptr<RemoteApi> api_;

  std::string method_;
  rpc::ApiRequest request_;
  rpc::ApiResponse response_;
  rpc::WatchRequest watchRequest_;
  std::vector<rpc::WatchEventMessage> events_;
  Status failure_;
};

TEST_F(RemoteApiTest, GetNamesTheObjectAndDecodesIt) {
  startServer();
  response_.set_object(rpc::encode(*podObject("web")));
  auto got = value(api_->get(pod("web")));
  ASSERT_TRUE(got.ok()) << got.status().toString();
  EXPECT_EQ(api::as<corev1::Pod>(*got).metadata().name(), "web");
  EXPECT_EQ(method_, "api");
  EXPECT_TRUE(request_.has_get());
  EXPECT_EQ(request_.ref().resource(), "pods");
  EXPECT_EQ(request_.ref().group(), "");
  EXPECT_EQ(request_.ref().namespace_(), "default");
  EXPECT_EQ(request_.ref().name(), "web");
}

TEST_F(RemoteApiTest, ListCarriesItsOptionsBothWays) {
  startServer();
  for (const char* name : {"a", "b"}) response_.add_items(rpc::encode(*podObject(name)));
  response_.set_resourceversion("42");
  response_.set_continue_("more");
  response_.set_remainingitemcount(7);
  api::ListOptions options;
  options.labelSelector = "app=web";
  options.fieldSelector = "spec.nodeName=n1";
  options.limit = 2;
  options.continueToken = "token";
  options.resourceVersion = "41";
  auto listed = value(api_->list(pod(""), options));
  ASSERT_TRUE(listed.ok()) << listed.status().toString();
  ASSERT_EQ(listed->items.size(), 2U);
  EXPECT_EQ(api::meta(*listed->items[1]).name(), "b");
  EXPECT_EQ(listed->resourceVersion, "42");
  EXPECT_EQ(listed->continueToken, "more");
  EXPECT_EQ(listed->remainingItemCount, 7);
  const auto& sent = request_.list();
  EXPECT_EQ(sent.labelselector(), "app=web");
  EXPECT_EQ(sent.fieldselector(), "spec.nodeName=n1");
  EXPECT_EQ(sent.limit(), 2);
  EXPECT_EQ(sent.continue_(), "token");
  EXPECT_EQ(sent.resourceversion(), "41");
}

TEST_F(RemoteApiTest, WritesCarryObjectOptionsAndWarnings) {
  startServer();
  response_.set_object(rpc::encode(*podObject("web")));
  response_.add_warnings("spec.priority: not acted on");
  api::WriteOptions options;
  options.dryRun = true;
  options.fieldManager = "kubectl";
  options.fieldValidation = api::FieldValidation::kStrict;

  auto created = value(api_->create(pod(""), podObject("web"), options));
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(created->warnings, std::vector<std::string>{"spec.priority: not acted on"});
  EXPECT_EQ(request_.create().object(), rpc::encode(*podObject("web")));
  EXPECT_TRUE(request_.create().dryrun());
  EXPECT_EQ(request_.create().fieldmanager(), "kubectl");
  EXPECT_EQ(request_.create().fieldvalidation(), 2);

  auto id = pod("web");
  id.subresource = "status";
  ASSERT_TRUE(value(api_->update(id, podObject("web"), options)).ok());
  EXPECT_TRUE(request_.has_update());
  EXPECT_EQ(request_.ref().subresource(), "status");

  auto patched = value(api_->patch(pod("web"), api::PatchType::kMerge, "{}", options));
  ASSERT_TRUE(patched.ok());
  EXPECT_EQ(request_.patch().type(), 1);
  EXPECT_EQ(request_.patch().body(), "{}");
  EXPECT_TRUE(request_.patch().options().dryrun());

  api::DeleteOptions deletion;
  deletion.set_graceperiodseconds(0);
  ASSERT_TRUE(value(api_->remove(pod("web"), deletion)).ok());
  EXPECT_TRUE(request_.delete_().has_graceperiodseconds());
}

TEST_F(RemoteApiTest, FailuresComeBackWhole) {
  startServer();
  failure_ = Status(Code::kInvalid, "Pod \"web\" is invalid",
                    {{"FieldValueRequired", "spec.containers", "Required value"}});
  EXPECT_EQ(value(api_->get(pod("web"))).status(), failure_);
}

TEST_F(RemoteApiTest, WatchDeliversEventsAndTheirEnd) {
  startServer();
  for (int type = 0; type < 4; ++type) {
    rpc::WatchEventMessage event;
    event.set_type(type);
    event.set_object(rpc::encode(*podObject("p" + std::to_string(type))));
    events_.push_back(event);
  }
  failure_ = Status(Code::kExpired, "too old");
  api::WatchOptions options;
  options.resourceVersion = "5";
  options.bookmarks = true;
  options.sendInitialEvents = true;
  options.timeout = seconds(30);
  auto watch = value(api_->watch(pod(""), options));
  ASSERT_TRUE(watch.ok());
  for (int type = 0; type < 4; ++type) {
    auto event = value((*watch)->next());
    ASSERT_TRUE(event.ok()) << event.status().toString();
    EXPECT_EQ(event->type, static_cast<api::EventType>(type));
    EXPECT_EQ(api::meta(*event->object).name(), "p" + std::to_string(type));
  }
  EXPECT_EQ(value((*watch)->next()).status(), failure_);
  EXPECT_EQ(watchRequest_.resourceversion(), "5");
  EXPECT_TRUE(watchRequest_.bookmarks());
  EXPECT_TRUE(watchRequest_.sendinitialevents());
  EXPECT_EQ(watchRequest_.timeoutnanos(), 30'000'000'000);
}

TEST_F(RemoteApiTest, MalformedEventsAreRefused) {
  startServer();
  events_.emplace_back().set_type(9);
  auto watch = value(api_->watch(pod(""), {}));
  ASSERT_TRUE(watch.ok());
  EXPECT_EQ(value((*watch)->next()).status().code(), Code::kInternal);
}

TEST_F(RemoteApiTest, WithoutAServerACallFailsAfterItsPatience) {
  MonoTime began = clock_.now();
  auto got = value(api_->get(pod("web")));
  EXPECT_EQ(got.status().code(), Code::kUnavailable);
  EXPECT_NE(got.status().message().find("nobody listens"), std::string::npos)
      << got.status().message();
  EXPECT_EQ(clock_.now() - began, seconds(10));
}

TEST_F(RemoteApiTest, ACallWaitsForTheServerToCome) {
  clock_.schedule(clock_.now() + seconds(2), [this] { startServer(); });
  response_.set_object(rpc::encode(*podObject("web")));
  EXPECT_TRUE(value(api_->get(pod("web"))).ok());
}

TEST_F(RemoteApiTest, ALostConnectionIsDialledAgainAndGreetedAgain) {
  startServer();
  response_.set_object(rpc::encode(*podObject("web")));
  ASSERT_TRUE(value(api_->get(pod("web"))).ok());
  auto watch = value(api_->watch(pod(""), {}));
  ASSERT_TRUE(watch.ok());
  stopServer();
  clock_.runUntilIdle();
  EXPECT_EQ(connection_->current(), nullptr);
  EXPECT_FALSE(connection_->lastError().ok());
  startServer();
  EXPECT_TRUE(value(api_->get(pod("web"))).ok());
  EXPECT_EQ(accepted_, 2);
  EXPECT_EQ(greetings_, 2);
}

TEST_F(RemoteApiTest, AFailedGreetingMeansNoConnection) {
  greeting_ = Status(Code::kForbidden, "who are you");
  startServer();
  auto got = value(api_->get(pod("web")));
  EXPECT_EQ(got.status().code(), Code::kForbidden);
  EXPECT_GT(greetings_, 1);
  greeting_ = Status();
  response_.set_object(rpc::encode(*podObject("web")));
  EXPECT_TRUE(value(api_->get(pod("web"))).ok());
}

TEST_F(RemoteApiTest, TheBackoffGrowsToItsLimitAndStartsOverAfterALastingConnection) {
  clock_.advance(seconds(60));
  // No server: the waits are 0.05 to 0.1 s, then twice as much each, then 2.5 to 5 s.
  startServer();
  clock_.advance(seconds(5));
  ASSERT_NE(connection_->current(), nullptr);
  clock_.advance(seconds(6));
  served_.clear();
  clock_.advance(milliseconds(100));
  EXPECT_NE(connection_->current(), nullptr);
  // This one did not last, so the next wait goes on where the last was: 0.1 to 0.2 s.
  served_.clear();
  clock_.advance(milliseconds(99));
  EXPECT_EQ(connection_->current(), nullptr);
  clock_.advance(milliseconds(101));
  EXPECT_NE(connection_->current(), nullptr);
}

}  // namespace
}  // namespace podlab::client
// NOLINTEND(cppcoreguidelines-avoid-capturing-lambda-coroutines)
