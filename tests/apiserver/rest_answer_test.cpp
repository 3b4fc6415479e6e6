#include "apiserver/rest_answer.hpp"

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "api/kinds.hpp"
#include "api/times.hpp"

namespace podlab::apiserver {
namespace {

using std::chrono::minutes;

const api::Kind& kPods = api::kindFor<corev1::Pod>();
constexpr WallTime kMade(std::chrono::hours(500'000));

api::ObjectPtr pod(const std::string& name, std::size_t size = 1) {
  auto made = std::make_shared<corev1::Pod>();
  made->mutable_metadata()->set_name(name);
  *made->mutable_metadata()->mutable_creationtimestamp() = api::toTime(kMade);
  (*made->mutable_metadata()->mutable_annotations())["padding"] = std::string(size, 'x');
  return made;
}

std::string written(EventWriter& writer, const api::WatchEvent& event, bool isFirst, bool shared,
                    WallTime now = kMade) {
  std::string text = "before ";
  writer.write(event, isFirst, shared, now, text);
  return text;
}

TEST(EventWriterTest, WatchesThatShareReadWhatOneAloneReads) {
  for (const auto kind :
       {RestForm::Kind::kObject, RestForm::Kind::kTable, RestForm::Kind::kMetadata}) {
    const RestForm form{kind, "v1", "Metadata"};
    EventWriter shared(kPods, form);
    EventWriter alone(kPods, form);
    const auto a = pod("a");
    for (const auto type : {api::EventType::kAdded, api::EventType::kModified,
                            api::EventType::kDeleted, api::EventType::kBookmark}) {
      const api::WatchEvent event{type, a};
      for (const bool isFirst : {true, false, false})
        EXPECT_EQ(written(shared, event, isFirst, true), written(alone, event, isFirst, false));
    }
  }
}

TEST(EventWriterTest, TablesShowTheAgeOfTheMoment) {
  EventWriter writer(kPods, {RestForm::Kind::kTable, "v1", "None"});
  const api::WatchEvent event{api::EventType::kModified, pod("a")};
  EXPECT_THAT(written(writer, event, false, true, kMade + minutes(2)),
              testing::HasSubstr("\"2m\""));
  EXPECT_THAT(written(writer, event, false, true, kMade + minutes(9)),
              testing::HasSubstr("\"9m\""));
}

TEST(EventWriterTest, KeepsALittleOnly) {
  EventWriter writer(kPods, {});
  auto first = pod("first");
  (void)written(writer, {api::EventType::kAdded, first}, false, true);
  const std::weak_ptr<const google::protobuf::Message> kept = first;
  first.reset();
  EXPECT_FALSE(kept.expired());
  for (int i = 0; i < 20; ++i)
    (void)written(writer, {api::EventType::kAdded, pod("next", 100'000)}, false, true);
  EXPECT_TRUE(kept.expired());
}

}  // namespace
}  // namespace podlab::apiserver
