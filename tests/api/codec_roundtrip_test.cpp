#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "coordination_v1.pb.h"
#include "core_v1.pb.h"

#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"
#include "common/yaml.hpp"
#include "tests/api/codec_random.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::util::MessageDifferencer;

/// Every message type that JSON writes as an object.
std::vector<const Descriptor*> objectTypes() {
  std::vector<const Descriptor*> types;
  for (const FileDescriptor* file :
       {corev1::Pod::descriptor()->file(), coordinationv1::Lease::descriptor()->file(),
        corev1::PersistentVolume::descriptor()->file(),
        storagev1::StorageClass::descriptor()->file(), metav1::Status::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      const Descriptor* type = file->message_type(i);
      if (type->name() == "Time" || type->name() == "MicroTime" || type->name() == "FieldsV1")
        continue;
      types.push_back(type);
    }
  }
  return types;
}

class RoundTrip : public testing::TestWithParam<const Descriptor*> {};

TEST_P(RoundTrip, RandomMessagesStayThemselves) {
  constexpr std::uint64_t kSeed = 20263;
  const Message& prototype = *MessageFactory::generated_factory()->GetPrototype(GetParam());
  SeededRng rng(kSeed, GetParam()->full_name());
  std::size_t largest = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + " round " + std::to_string(round));
    const std::unique_ptr<Message> message(prototype.New());
    RandomMessage(rng, round % 6).fill(*message);
    largest = std::max(largest, message->ByteSizeLong());

    const std::unique_ptr<Message> again(prototype.New());
    const std::string json = toJson(*message);
    std::vector<FieldProblem> problems;
    const Status status = fromJson(json, *again, {.strict = true}, &problems);
    ASSERT_TRUE(status.ok()) << status.message() << "\n" << json;
    ASSERT_TRUE(MessageDifferencer::Equals(*message, *again))
        << json << "\n"
        << message->DebugString() << again->DebugString();
    ASSERT_EQ(toJson(*again), json);

    ASSERT_TRUE(fromJson(toJson(*message, {.indent = 4}), *again, {.strict = true}).ok());
    ASSERT_TRUE(MessageDifferencer::Equals(*message, *again)) << json;

    const std::string yaml = toYaml(*message);
    const auto documents = yamlToJson(yaml);
    ASSERT_TRUE(documents && documents->size() == 1) << yaml;
    ASSERT_EQ(documents->front().json, json) << yaml;
  }
  EXPECT_TRUE(largest > 0 || GetParam()->field_count() == 0);
}

INSTANTIATE_TEST_SUITE_P(Types, RoundTrip, testing::ValuesIn(objectTypes()),
                         [](const auto& info) { return info.param->name(); });

TEST(KindRoundTrip, EveryKindKeepsItsJson) {
  constexpr std::uint64_t kSeed = 20264;
  SeededRng rng(kSeed);
  for (const Kind& kind : kinds()) {
    for (int round = 0; round < 20; ++round) {
      const auto object = kind.make();
      RandomMessage(rng, 6).fill(*object);
      const std::string json =
          toJson(*object, {.type = {kind.apiVersion(), std::string(kind.kind)}});
      const auto again = decodeManifest(json, [](const TypeMeta& type) -> const Message* {
        const Kind* found = findKind(type.apiVersion, type.kind);
        return found ? found->prototype : nullptr;
      });
      ASSERT_TRUE(again) << again.status().message() << "\nseed " << kSeed << "\n" << json;
      ASSERT_EQ(again->size(), 1U);
      ASSERT_EQ(toJson(*again->front().object, {.type = again->front().type}), json)
          << "seed " << kSeed;
    }
  }
}

}  // namespace
}  // namespace podlab::api
