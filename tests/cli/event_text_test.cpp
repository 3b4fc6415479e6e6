#include "cli/event_text.hpp"

#include <gmock/gmock.h>

#include <map>

#include "api/times.hpp"

namespace podlab::cli {
namespace {

std::shared_ptr<corev1::Event> makeEvent(const std::string& reason, int second, int revision) {
  auto event = std::make_shared<corev1::Event>();
  event->set_reason(reason);
  event->mutable_metadata()->set_name(reason);
  event->mutable_metadata()->set_resourceversion(std::to_string(revision));
  event->mutable_lasttimestamp()->set_seconds(second);
  return event;
}

TEST(EventText, SortsBySecondAndThenAsTheServerTookThem) {
  Events events{makeEvent("Started", 5, 101), makeEvent("Killing", 9, 50),
                makeEvent("Pulled", 5, 99), makeEvent("Created", 5, 100),
                makeEvent("Scheduled", 4, 120)};
  auto series = makeEvent("Series", 0, 1);
  series->clear_lasttimestamp();
  series->mutable_eventtime()->set_seconds(1);
  series->mutable_series()->mutable_lastobservedtime()->set_seconds(6);
  events.push_back(series);
  sortEvents(events);
  std::vector<std::string> order;
  for (const auto& event : events) order.push_back(event->reason());
  EXPECT_THAT(order, testing::ElementsAre("Scheduled", "Pulled", "Created", "Started", "Series",
                                          "Killing"));
}

TEST(EventText, AgesCountRepetitions) {
  const WallTime now{std::chrono::seconds(1000)};
  auto event = makeEvent("BackOff", 990, 1);
  event->mutable_firsttimestamp()->set_seconds(700);
  event->set_count(1);
  EXPECT_EQ(eventAge(*event, now), "10s");
  event->set_count(3);
  EXPECT_EQ(eventAge(*event, now), "10s (x3 over 5m)");
}

TEST(EventText, MessagesLoseTheirLastLineEnds) {
  corev1::Event event;
  for (const auto& [given, shown] : std::map<std::string, std::string>{
           {"", ""}, {"\n\n", ""}, {"a\nb\n\n", "a\nb"}, {"plain", "plain"}}) {
    event.set_message(given);
    EXPECT_EQ(eventMessage(event), shown);
  }
}

}  // namespace
}  // namespace podlab::cli
