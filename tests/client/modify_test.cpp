#include "client/modify.hpp"

#include <gtest/gtest.h>

#include <asio/io_context.hpp>

#include "sim/sim_clock.hpp"
#include "tests/fakes/fake_api.hpp"

namespace podlab::client {
namespace {

using corev1::ConfigMap;
using fakes::Verb;

class ModifyTest : public testing::Test {
 protected:
  ModifyTest() {
    ConfigMap made;
    made.mutable_metadata()->set_namespace_("default");
    made.mutable_metadata()->set_name("a");
    (*made.mutable_data())["n"] = "0";
    known_ = api_.put(made);
  }
  Result<api::ObjectPtr> addOne(api::ObjectPtr known, int limit = 100) {
    Change change = [this, limit](google::protobuf::Message& object) {
      ++calls_;
      auto& value = (*static_cast<ConfigMap&>(object).mutable_data())["n"];
      if (std::stoi(value) >= limit) return false;
      value = std::to_string(std::stoi(value) + 1);
      return true;
    };
    const api::ResourceId id{&api::kindFor<ConfigMap>(), "default", "a", ""};
    return sim::runInSim(clock_, modify(api_, id, std::move(known), change));
  }
  std::string stored() { return api_.find<ConfigMap>("default/a")->data().at("n"); }

  asio::io_context io_;
  sim::SimClock clock_{io_};
  fakes::FakeApi api_;
  api::ObjectPtr known_;
  int calls_ = 0;
};

TEST_F(ModifyTest, SavesTheReadWhenTheObjectIsKnown) {
  EXPECT_TRUE(addOne(known_).ok());
  EXPECT_EQ(stored(), "1");
  EXPECT_EQ(api_.calls(Verb::kGet), 0);
}

TEST_F(ModifyTest, StartsFromTheLatestAfterAConflict) {
  ConfigMap other = api::as<ConfigMap>(known_);
  (*other.mutable_data())["n"] = "41";
  api_.put(other);
  const auto written = addOne(known_);
  ASSERT_TRUE(written.ok()) << written.status().toString();
  EXPECT_EQ(stored(), "42");
  EXPECT_EQ(api::as<ConfigMap>(*written).data().at("n"), "42");
  EXPECT_EQ(calls_, 2);
}

TEST_F(ModifyTest, WritesNothingWhenThereIsNothingToChange) {
  EXPECT_EQ(addOne(nullptr, 0).status(), Status());
  EXPECT_EQ(api_.calls(Verb::kUpdate), 0);
}

TEST_F(ModifyTest, GivesUpOnOtherFailuresAndAfterManyConflicts) {
  api_.failNext(Verb::kUpdate, Status(Code::kForbidden, "no"));
  EXPECT_EQ(addOne(known_).status().code(), Code::kForbidden);
  EXPECT_EQ(calls_, 1);
  api_.failNext(Verb::kUpdate, Status(Code::kConflict, "busy"), 100);
  EXPECT_EQ(addOne(known_).status(), Status(Code::kConflict, "busy"));
  EXPECT_LT(api_.calls(Verb::kUpdate), 20);
  EXPECT_EQ(stored(), "0");
}

}  // namespace
}  // namespace podlab::client
