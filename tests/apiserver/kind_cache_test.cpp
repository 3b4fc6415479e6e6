#include "apiserver/kind_cache.hpp"

#include <gmock/gmock.h>

#include <utility>
#include <vector>

#include "api/arena_object.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using std::chrono::minutes;

class KindCacheTest : public ServiceTest {
 protected:
  /// A change of one object, of which each revision is another state.
  void change(store::Revision revision) {
    auto object = std::make_shared<corev1::ConfigMap>();
    object->mutable_metadata()->set_namespace_("default");
    object->mutable_metadata()->set_name("a");
    setRevision(*object, revision);
    cache_.apply("default/a", std::move(object), revision);
  }
  Result<std::unique_ptr<api::Watch>> watchFrom(store::Revision revision) {
    return cache_.watchFrom({}, revision, {});
  }
  static store::Revision revisionOf(const api::WatchEvent& event) {
    return std::stoll(api::meta(*event.object).resourceversion());
  }

  KindCache cache_{api::kindFor<corev1::ConfigMap>(), clock_};
};

TEST_F(KindCacheTest, AReaderThatLagsTooFarGoesOnFromWhereItWas) {
  constexpr store::Revision kChanges = 10000;
  auto slow = *watchFrom(0);
  for (store::Revision revision = 1; revision <= kChanges; ++revision) change(revision);
  Status end;
  auto events = drain(*slow, &end);
  EXPECT_EQ(end.code(), Code::kEndOfStream);
  ASSERT_FALSE(events.empty());
  const store::Revision last = revisionOf(events.back());
  EXPECT_EQ(std::ssize(events), last);
  EXPECT_LT(last, kChanges);
  auto again = *watchFrom(last);
  events = drain(*again);
  ASSERT_EQ(std::ssize(events), kChanges - last);
  EXPECT_EQ(revisionOf(events.front()), last + 1);
  EXPECT_EQ(revisionOf(events.back()), kChanges);
}

TEST_F(KindCacheTest, ThePastIsToldAsItWas) {
  for (store::Revision revision = 1; revision <= 3; ++revision) change(revision);
  cache_.apply("default/a", nullptr, 4);
  change(5);
  const auto events = drain(**watchFrom(1));
  const std::vector<std::pair<api::EventType, store::Revision>> expected{
      {api::EventType::kModified, 2},
      {api::EventType::kModified, 3},
      {api::EventType::kDeleted, 4},
      {api::EventType::kAdded, 5}};
  ASSERT_EQ(events.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(events[i].type, expected[i].first);
    EXPECT_EQ(revisionOf(events[i]), expected[i].second);
    EXPECT_EQ(api::meta(*events[i].object).name(), "a");
  }
  // The present state is shared, not a copy.
  EXPECT_EQ(events.back().object, cache_.get("default/a"));
}

TEST_F(KindCacheTest, OfWhatIsDeletedTheLastStateIsTold) {
  for (const bool known : {false, true}) {
    change(1);
    auto watch = *watchFrom(1);
    api::MutableObjectPtr last;
    if (known) {
      last = api::copyOf(*cache_.get("default/a"));
      setRevision(*last, 2);
    }
    cache_.apply("default/a", nullptr, 2, last);
    const auto events = drain(*watch);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].type, api::EventType::kDeleted);
    EXPECT_EQ(revisionOf(events[0]), 2);
    if (known) EXPECT_EQ(events[0].object, last);
    cache_.reset({}, 0);
  }
}

TEST_F(KindCacheTest, HistoryEndsBySizeAndByAge) {
  constexpr store::Revision kChanges = 140000;
  for (store::Revision revision = 1; revision <= kChanges; ++revision) change(revision);
  EXPECT_EQ(watchFrom(1).status().code(), Code::kExpired);
  EXPECT_TRUE(watchFrom(kChanges - 1000).ok());

  clock_.advance(minutes(3));
  change(kChanges + 1);
  clock_.advance(minutes(3));
  cache_.trimHistory();
  EXPECT_EQ(watchFrom(kChanges - 1).status().code(), Code::kExpired);
  auto watch = watchFrom(kChanges);
  ASSERT_TRUE(watch.ok()) << watch.status().toString();
  EXPECT_EQ(drain(**watch).size(), 1U);
}

}  // namespace
}  // namespace podlab::apiserver
