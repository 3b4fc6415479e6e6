#include "node/streams.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "agent_rpc.pb.h"

#include "node_fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::node {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

/// A client at the other end of the agent's connection.
class StreamsTest : public NodeTest {
 protected:
  void connect() {
    auto [mine, its] = transport::makeMemoryPipe();
    auto refuse = [](rpc::Connection&, rpc::Stream&) -> Co<Status> {
      co_return Status(Code::kForbidden, "no");
    };
    client_ = rpc::makeConnection(io_.get_executor(), clock_, std::move(mine), true, refuse);
    server_ = rpc::makeConnection(io_.get_executor(), clock_, std::move(its), false,
                                  makeStreamHandler(agent_));
    clock_.runUntilIdle();
  }
  void TearDown() override {
    if (client_ != nullptr) client_->close();
    if (server_ != nullptr) server_->close();
    clock_.runUntilIdle();
    NodeTest::TearDown();
  }

  std::unique_ptr<rpc::Stream> open(const std::string& method,
                                    const google::protobuf::MessageLite& first) {
    auto stream = sim::runInSim(clock_, client_->open(method));
    EXPECT_TRUE(stream.ok());
    // Fails when the stream was refused meanwhile; receiving says why.
    (void)sim::runInSim(clock_, (*stream)->send(rpc::encode(first)));
    return *std::move(stream);
  }
  Result<std::string> next(rpc::Stream& stream) { return sim::runInSim(clock_, stream.receive()); }

  std::shared_ptr<rpc::Connection> client_;
  std::shared_ptr<rpc::Connection> server_;
};

rpc::ExecRequest execRequest(const std::string& pod, const std::string& container = "") {
  rpc::ExecRequest request;
  request.set_namespace_("default");
  request.set_pod(pod);
  request.set_container(container);
  request.add_command("date");
  return request;
}

TEST_F(StreamsTest, ExecBringsOutputAndExitCode) {
  std::string ran;
  runtime_.setExecScript([&](const std::string& id, const ExecSpec& spec) {
    ran = id + " " + spec.argv.at(0);
    return ExecScript{.exitCode = 7, .out = "hello", .takes = {}};
  });
  boot();
  auto uid = add(makePod("web", {"a", "b"}));
  connect();
  auto stream = open("exec", execRequest("web", "b"));
  rpc::ExecFrame frame;
  ASSERT_TRUE(rpc::decode(*next(*stream), frame).ok());
  EXPECT_EQ(frame.stdout(), "hello");
  EXPECT_FALSE(frame.has_exitcode());
  ASSERT_TRUE(rpc::decode(*next(*stream), frame).ok());
  EXPECT_EQ(frame.exitcode(), 7);
  EXPECT_TRUE(next(*stream).status().is(Code::kEndOfStream));
  EXPECT_EQ(ran, uid + "_b_0 date");
}

TEST_F(StreamsTest, ExecTakesTheDefaultContainer) {
  std::string ran;
  runtime_.setExecScript([&](const std::string& id, const ExecSpec&) {
    ran = id;
    return ExecScript{};
  });
  boot();
  auto pod = makePod("web", {"a", "b"});
  auto uid = add(pod);
  connect();
  auto first = open("exec", execRequest("web"));
  clock_.runUntilIdle();
  EXPECT_EQ(ran, uid + "_a_0");
  (*pod.mutable_metadata()->mutable_annotations())["kubectl.kubernetes.io/default-container"] = "b";
  pod.mutable_metadata()->set_name("other");
  uid = add(pod);
  auto second = open("exec", execRequest("other"));
  clock_.runUntilIdle();
  EXPECT_EQ(ran, uid + "_b_0");
}

TEST_F(StreamsTest, LogsComeFromTheAskedInstance) {
  stateFolder_ = ::testing::TempDir() + "podlab_streams_" + std::to_string(::getpid());
  boot();
  auto uid = add(makePod("web"));
  runtime_.exit(uid + "_main_0", 1);
  clock_.advance(seconds(1));
  auto real = makeRealFilesystem();
  PodFolder folder(stateFolder_, uid);
  ASSERT_TRUE(real->createDirectories(folder.root()).ok());
  const std::string time = "2026-01-01T00:00:00.000000001Z";
  ASSERT_TRUE(real->writeFileAtomic(folder.log("main", 0), time + " stdout F before\n").ok());
  ASSERT_TRUE(real->writeFileAtomic(folder.log("main", 1),
                                    time + " stdout F one\n" + time + " stderr F two\n")
                  .ok());
  connect();
  struct Case {
    bool previous;
    std::optional<int> tail;
    const char* text;
  };
  for (const auto& one : {Case{false, std::nullopt, "one\ntwo\n"}, Case{false, 1, "two\n"},
                          Case{true, std::nullopt, "before\n"}}) {
    rpc::LogRequest request;
    request.set_namespace_("default");
    request.set_pod("web");
    request.set_previous(one.previous);
    if (one.tail) request.set_taillines(*one.tail);
    auto stream = open("logs", request);
    std::string text;
    for (auto chunk = next(*stream); chunk.ok(); chunk = next(*stream)) {
      rpc::LogChunk decoded;
      ASSERT_TRUE(rpc::decode(*chunk, decoded).ok());
      text += decoded.data();
    }
    EXPECT_EQ(text, one.text);
  }
  EXPECT_TRUE(real->removeTree(stateFolder_).ok());
}

TEST_F(StreamsTest, FaultsAreNamed) {
  images_.setMissing("app:1", true);
  boot();
  add(makePod("web"));
  connect();
  struct Case {
    const char* method;
    const char* pod;
    const char* container;
    Code code;
    const char* text;
  };
  const Case cases[] = {
      {"exec", "absent", "", Code::kNotFound, "default/absent"},
      {"exec", "web", "nope", Code::kBadRequest, "container nope is not valid for pod web"},
      {"exec", "web", "main", Code::kNotFound, "not running"},
      {"logs", "absent", "", Code::kNotFound, "default/absent"},
      {"logs", "web", "", Code::kBadRequest, "is waiting to start"},
      {"dance", "web", "", Code::kBadRequest, "dance"},
  };
  for (const auto& one : cases) {
    auto stream = open(one.method, execRequest(one.pod, one.container));
    auto answer = next(*stream);
    EXPECT_TRUE(answer.status().is(one.code)) << one.method << " " << answer.status().toString();
    EXPECT_THAT(answer.status().message(), HasSubstr(one.text));
  }
}

TEST_F(StreamsTest, AClientThatLeavesEndsItsProgram) {
  runtime_.setExecScript([](const std::string&, const ExecSpec&) {
    return ExecScript{.exitCode = 0, .out = "", .takes = std::chrono::hours(1)};
  });
  boot();
  add(makePod("web"));
  connect();
  auto stream = open("exec", execRequest("web"));
  clock_.runUntilIdle();
  auto timers = clock_.pendingTimers();
  stream.reset();
  clock_.runUntilIdle();
  EXPECT_EQ(clock_.pendingTimers(), timers - 1);
}

}  // namespace
}  // namespace podlab::node
