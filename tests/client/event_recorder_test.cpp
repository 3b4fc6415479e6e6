#include "client/event_recorder.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <vector>

#include <asio/io_context.hpp>

#include "api/times.hpp"
#include "sim/sim_clock.hpp"
#include "tests/fakes/fake_api.hpp"
#include "tests/fakes/quiet.hpp"

namespace podlab::client {
namespace {

using corev1::Event;
using fakes::Verb;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;

class EventRecorderTest : public testing::Test {
 protected:
  ~EventRecorderTest() override { clock_.run(recorder_.stop()); }

  static corev1::Pod pod(const std::string& name) {
    corev1::Pod made;
    made.mutable_metadata()->set_namespace_("default");
    made.mutable_metadata()->set_name(name);
    made.mutable_metadata()->set_uid("uid-" + name);
    return made;
  }
  void record(const std::string& name, const std::string& reason, const std::string& message) {
    recorder_.record(pod(name), EventClass::kNormal, reason, message);
  }
  /// What the server has, in the order of creation.
  std::vector<Event> stored() {
    clock_.runUntilIdle();
    const api::ResourceId everywhere{&api::kindFor<Event>(), "", "", ""};
    const auto listed = sim::runInSim(clock_, api_.list(everywhere, {}));
    std::vector<Event> events;
    for (const auto& object : listed->items) events.push_back(api::as<Event>(object));
    std::ranges::sort(events, {}, [](const Event& event) {
      return std::make_pair(event.metadata().name().size(), event.metadata().name());
    });
    return events;
  }
  /// "REASON xCOUNT MESSAGE" of each.
  std::vector<std::string> texts() {
    std::vector<std::string> made;
    for (const auto& event : stored()) {
      made.push_back(event.reason() + " x" + std::to_string(event.count()) + " " + event.message());
    }
    return made;
  }

  asio::io_context io_;
  sim::SimClock clock_{io_};
  fakes::FakeApi api_;
  EventRecorder recorder_{api_, clock_, io_.get_executor(), "podlab-agent", "node-1"};
};

TEST_F(EventRecorderTest, SaysWhatHappenedToWhatAndWhoSaysSo) {
  auto object = pod("web");
  object.mutable_metadata()->set_resourceversion("7");
  recorder_.record(object, "spec.containers{main}", EventClass::kWarning, "BackOff", "it crashes");
  const auto events = stored();
  ASSERT_EQ(events.size(), 1U);
  const Event& event = events[0];
  EXPECT_EQ(event.metadata().namespace_(), "default");
  EXPECT_THAT(event.metadata().name(), testing::MatchesRegex("web\\.[0-9a-f]+"));
  EXPECT_EQ(event.involvedobject().apiversion(), "v1");
  EXPECT_EQ(event.involvedobject().kind(), "Pod");
  EXPECT_EQ(event.involvedobject().uid(), "uid-web");
  EXPECT_EQ(event.involvedobject().resourceversion(), "7");
  EXPECT_EQ(event.involvedobject().fieldpath(), "spec.containers{main}");
  EXPECT_EQ(event.type(), "Warning");
  EXPECT_EQ(event.source().component(), "podlab-agent");
  EXPECT_EQ(event.source().host(), "node-1");
  EXPECT_EQ(event.count(), 1);
  EXPECT_EQ(api::toWallTime(event.firsttimestamp()), clock_.wallNow());

  corev1::ObjectReference node;
  node.set_kind("Node");
  node.set_name("node-1");
  recorder_.record(node, EventClass::kNormal, "Starting", "");
  EXPECT_EQ(stored().at(0).metadata().namespace_(), "default");
}

TEST_F(EventRecorderTest, RepeatedOnesCount) {
  const WallTime begin = clock_.wallNow();
  for (int i = 0; i < 3; ++i) {
    record("web", "Pulled", "there");
    clock_.advance(seconds(10));
  }
  record("web", "Pulled", "not there");
  record("other", "Pulled", "there");
  EXPECT_THAT(texts(), testing::UnorderedElementsAre("Pulled x3 there", "Pulled x1 not there",
                                                     "Pulled x1 there"));
  const auto events = stored();
  const auto repeated =
      std::ranges::find_if(events, [](const Event& event) { return event.count() == 3; });
  EXPECT_EQ(api::toWallTime(repeated->firsttimestamp()), begin);
  EXPECT_EQ(api::toWallTime(repeated->lasttimestamp()), begin + seconds(20));
}

TEST_F(EventRecorderTest, KeepsTheirOrder) {
  std::vector<std::string> reasons{"Scheduled", "Pulled", "Created", "Started", "Killing"};
  for (const auto& reason : reasons) record("web", reason, "");
  std::vector<std::pair<std::int64_t, std::string>> written;
  std::vector<std::string> byName;
  for (const auto& event : stored()) {
    written.emplace_back(std::stoll(event.metadata().resourceversion()), event.reason());
    byName.push_back(event.reason());
  }
  std::ranges::sort(written);
  std::vector<std::string> byRevision;
  for (const auto& [revision, reason] : written) byRevision.push_back(reason);
  EXPECT_EQ(byRevision, reasons);
  EXPECT_EQ(byName, reasons) << "all of the same instant, and yet in order";
}

TEST_F(EventRecorderTest, SimilarOnesShareOneFromTheTenthOn) {
  for (int i = 1; i <= 12; ++i) record("web", "Unhealthy", "failed at " + std::to_string(i));
  auto got = texts();
  ASSERT_EQ(got.size(), 10U);
  EXPECT_EQ(got[8], "Unhealthy x1 failed at 9");
  EXPECT_EQ(got[9], "Unhealthy x3 (combined from similar events): failed at 12");
  // After ten quiet minutes they are told apart again.
  clock_.advance(minutes(30));
  record("web", "Unhealthy", "failed at 13");
  got = texts();
  EXPECT_EQ(got.back(), "Unhealthy x1 failed at 13");
}

TEST_F(EventRecorderTest, AnObjectThatMakesTooManyIsThrottled) {
  for (int i = 0; i < 40; ++i) record("loud", "Reason" + std::to_string(i), "");
  record("quiet", "Started", "");
  EXPECT_EQ(stored().size(), 26U);
  clock_.advance(minutes(5));
  // One more, and what was held back counts.
  for (int i = 0; i < 3; ++i) {
    record("loud", "Reason39", "");
    clock_.runUntilIdle();
  }
  const auto got = texts();
  EXPECT_EQ(got.size(), 27U);
  EXPECT_THAT(got, testing::Contains("Reason39 x2 "));
}

TEST_F(EventRecorderTest, TriesAFewTimesThenDrops) {
  api_.failNext(Verb::kCreate, Status(Code::kUnavailable, "away"), 3);
  record("web", "First", "");
  record("web", "Second", "");
  clock_.advance(seconds(60));
  EXPECT_THAT(texts(), ElementsAre("First x1 ", "Second x1 "));

  api_.failNext(Verb::kCreate, Status(Code::kUnavailable, "away"), 5);
  record("web", "Lost", "");
  record("web", "Kept", "");
  clock_.run(recorder_.flush());
  EXPECT_THAT(texts(), ElementsAre("First x1 ", "Second x1 ", "Kept x1 "));

  const int before = api_.calls(Verb::kCreate);
  api_.failNext(Verb::kCreate, Status(Code::kForbidden, "not yours"));
  record("web", "Forbidden", "");
  clock_.run(recorder_.flush());
  EXPECT_EQ(api_.calls(Verb::kCreate), before + 1);
}

TEST_F(EventRecorderTest, OneThatExpiredAtTheServerBeginsAnew) {
  record("web", "BackOff", "again");
  const std::string name = stored().at(0).metadata().name();
  ASSERT_TRUE(api_.erase(api::kindFor<Event>(), "default/" + name));
  record("web", "BackOff", "again");
  EXPECT_THAT(texts(), ElementsAre("BackOff x2 again"));
}

TEST_F(EventRecorderTest, LongTextsAreCutBetweenCharacters) {
  const std::string longName(253, 'a');
  record(longName, "Long", std::string(1023, 'x') + "\xc3\xa9\xc3\xa9");
  const auto events = stored();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].message(), std::string(1023, 'x'));
  EXPECT_LE(events[0].metadata().name().size(), 253U);
  EXPECT_EQ(events[0].involvedobject().name(), longName);
}

TEST_F(EventRecorderTest, StopsInTheMiddle) {
  api_.failNext(Verb::kCreate, Status(Code::kUnavailable, "away"), 100);
  record("web", "First", "");
  clock_.advance(seconds(1));
  clock_.run(recorder_.stop());
  EXPECT_EQ(clock_.pendingTimers(), 0U);
}

TEST_F(EventRecorderTest, ThoseThatComeWhileAThousandWaitAreDropped) {
  for (int i = 0; i < 1200; ++i) record("web-" + std::to_string(i), "Started", "");
  record("web-0", "Started", "");
  const auto got = stored();
  EXPECT_EQ(got.size(), 1000U);
  EXPECT_EQ(got.front().count(), 1);
  record("web-1100", "Started", "");
  EXPECT_EQ(stored().size(), 1001U);
}

TEST_F(EventRecorderTest, WarningsOnly) {
  recorder_.recordWarningsOnly();
  record("web", "Started", "it runs");
  recorder_.record(pod("web"), EventClass::kWarning, "BackOff", "it crashes");
  EXPECT_THAT(texts(), ElementsAre("BackOff x1 it crashes"));
}

}  // namespace
}  // namespace podlab::client
