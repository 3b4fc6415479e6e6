#include "node/streams.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

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

  static std::string logLine(const std::string& text) {
    return "2026-01-01T00:00:00.000000001Z stdout F " + text + "\n";
  }
  /// The log of web, or why there is none.
  std::string logs(bool previous) {
    rpc::LogRequest request;
    request.set_namespace_("default");
    request.set_pod("web");
    request.set_previous(previous);
    auto stream = open("logs", request);
    std::string text;
    for (;;) {
      auto chunk = next(*stream);
      if (!chunk.ok())
        return chunk.status().is(Code::kEndOfStream) ? text : chunk.status().message();
      rpc::LogChunk decoded;
      EXPECT_TRUE(rpc::decode(*chunk, decoded).ok());
      text += decoded.data();
    }
  }

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

TEST_F(StreamsTest, ANameMeansThePodThatHasItNow) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  std::string ran;
  runtime_.setExecScript([&](const std::string& id, const ExecSpec&) {
    ran = id;
    return ExecScript{};
  });
  boot();
  connect();
  // Whatever the order of their uids.
  for (const char* uid : {"m", "z", "a"}) {
    if (exists("web")) remove("web", 0);
    auto pod = makePod("web");
    pod.mutable_metadata()->set_uid(uid);
    add(pod);
    auto stream = open("exec", execRequest("web"));
    clock_.runUntilIdle();
    EXPECT_EQ(ran, std::string(uid) + "_main_0");
  }
  EXPECT_NE(agent_->pods()->findByUid("m"), nullptr);
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

TEST_F(StreamsTest, PreviousIsTheLastThatEndedAsKubeletSees) {
  stateFolder_ = ::testing::TempDir() + "podlab_previous_" + std::to_string(::getpid());
  boot();
  auto uid = add(makePod("web"));
  auto real = makeRealFilesystem();
  PodFolder folder(stateFolder_, uid);
  ASSERT_TRUE(real->createDirectories(folder.root()).ok());
  ASSERT_TRUE(real->writeFileAtomic(folder.log("main", 0), logLine("first")).ok());
  connect();
  EXPECT_THAT(logs(true),
              HasSubstr("previous terminated container \"main\" in pod \"web\" not found"));
  runtime_.exit(uid + "_main_0", 1);
  clock_.runUntilIdle();
  // It waits to be restarted: what ended last is both.
  if (runtime_.running(uid + "_main_1") == nullptr) EXPECT_EQ(logs(false), "first\n");
  EXPECT_EQ(logs(true), "first\n");
  EXPECT_TRUE(real->removeTree(stateFolder_).ok());
}

TEST_F(StreamsTest, AttachShowsWhatComesAndPassesStdin) {
  stateFolder_ = ::testing::TempDir() + "podlab_attach_" + std::to_string(::getpid());
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->mutable_containers(0)->set_stdin(true);
  pod.mutable_spec()->mutable_containers(0)->set_stdinonce(true);
  auto uid = add(pod);
  auto real = makeRealFilesystem();
  PodFolder folder(stateFolder_, uid);
  ASSERT_TRUE(real->createDirectories(folder.root()).ok());
  const std::string before = logLine("before");
  ASSERT_TRUE(real->writeFileAtomic(folder.log("main", 0), before).ok());
  connect();
  rpc::AttachRequest request;
  request.set_namespace_("default");
  request.set_pod("web");
  request.set_stdin(true);
  auto stream = open("attach", request);
  auto watcher = open("attach", execRequest("web"));
  rpc::ExecFrame frame;
  frame.set_stdin("typed");
  ASSERT_TRUE(sim::runInSim(clock_, stream->send(rpc::encode(frame))).ok());
  clock_.runUntilIdle();
  std::ofstream(folder.log("main", 0), std::ios::app)
      << logLine("after") << "2026-01-01T00:00:00.000000001Z stderr F oops\n";
  for (auto* client : {stream.get(), watcher.get()}) {
    std::string out, err;
    while (err.empty()) {
      io_.restart();
      ASSERT_TRUE(rpc::decode(*next(*client), frame).ok());
      out += frame.stdout();
      err += frame.stderr();
    }
    EXPECT_EQ(out, "after\n");
    EXPECT_EQ(err, "oops\n");
  }
  EXPECT_EQ(runtime_.inputOf(uid + "_main_0"), "typed");
  stream.reset();
  clock_.runUntilIdle();
  EXPECT_EQ(runtime_.inputOf(uid + "_main_0"), "typed<end>");
  runtime_.exit(uid + "_main_0", 0);
  EXPECT_TRUE(next(*watcher).status().is(Code::kEndOfStream));
  EXPECT_TRUE(real->removeTree(stateFolder_).ok());
}

TEST_F(StreamsTest, PortForwardReachesTheLoopbackAndEndsWithThePod) {
  std::unique_ptr<ByteStream> inPod;
  dialer_.setAnswer([&](const net::IpAddress& address,
                        std::uint16_t port) -> Result<std::unique_ptr<ByteStream>> {
    if (address.isV4() || port != 80)
      return Status(Code::kUnavailable, "connection refused to " + address.toString());
    auto [mine, its] = transport::makeMemoryPipe();
    inPod = std::move(mine);
    return std::move(its);
  });
  boot();
  auto uid = add(makePod("web"));
  connect();
  rpc::PortForwardRequest request;
  request.set_namespace_("default");
  request.set_pod("web");
  auto life = open("portforward", request);
  request.set_port(81);
  auto refused = open("portforward", request);
  EXPECT_THAT(next(*refused).status().message(), HasSubstr("connection refused to 127.0.0.1"));
  request.set_port(80);
  auto stream = open("portforward", request);
  ASSERT_TRUE(sim::runInSim(clock_, stream->send("question")).ok());
  ASSERT_TRUE(sim::runInSim(clock_, stream->send("")).ok());
  clock_.runUntilIdle();
  std::array<std::byte, 64> buffer;
  EXPECT_EQ(*sim::runInSim(clock_, inPod->read(buffer)), 8u);
  EXPECT_TRUE(sim::runInSim(clock_, inPod->read(buffer)).status().is(Code::kEndOfStream));
  EXPECT_TRUE(
      sim::runInSim(clock_, inPod->write(std::as_bytes(std::span(std::string_view("answer")))))
          .ok());
  EXPECT_EQ(*next(*stream), "answer");
  inPod->finishWriting();
  EXPECT_EQ(*next(*stream), "");
  EXPECT_TRUE(next(*stream).status().is(Code::kEndOfStream));
  remove("web", 0);
  clock_.advance(seconds(40));
  EXPECT_TRUE(next(*life).status().is(Code::kEndOfStream));
  auto gone = open("portforward", request);
  EXPECT_TRUE(next(*gone).status().is(Code::kNotFound));
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
      {"logs", "web", "", Code::kBadRequest, "image can't be pulled"},
      {"attach", "web", "", Code::kNotFound, "not running"},
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
