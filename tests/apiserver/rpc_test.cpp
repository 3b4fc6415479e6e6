#include <gmock/gmock.h>

#include "agent_rpc.pb.h"
#include "api_rpc.pb.h"

#include "apiserver/rpc_server.hpp"
#include "tests/apiserver/fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::apiserver {
namespace {

using corev1::ConfigMap;
using corev1::Pod;
using testing::ElementsAre;
using testing::HasSubstr;

using Connection = std::shared_ptr<rpc::Connection>;
using StreamPtr = std::unique_ptr<rpc::Stream>;

class RpcTest : public ServiceTest {
 protected:
  RpcTest() {
    relay_ = std::make_unique<StreamRelay>(*service_, clock_, rng_);
    const auto byPeer = [](const ByteStream& stream) {
      const std::string name = stream.peer();
      if (name == "admin") return User{name, {std::string(kMasters)}};
      if (name.starts_with(kNodeUserPrefix)) return User{name, {std::string(kNodes)}};
      if (name == "podlab:hollow") return User{name, {std::string(kHollowNodesPrefix) + "h"}};
      return userOf(stream.peerIdentity());
    };
    server_ = std::make_unique<RpcServer>(*service_, *relay_, clock_, io_.get_executor(), byPeer);
    server_->serve(*network_.listen("server"));
    client_ = connect("admin");
  }
  ~RpcTest() override {
    client_.reset();
    run(server_->stop());
    clock_.runUntilIdle();
  }

  Connection connect(const std::string& user, rpc::Handler handler = {}) {
    auto dialer = network_.dialer(user);
    auto stream = run(dialer->dial("server"));
    EXPECT_TRUE(stream.ok());
    auto made = rpc::makeConnection(io_.get_executor(), clock_, std::move(*stream), false,
                                    std::move(handler));
    clock_.runUntilIdle();
    return made;
  }

  Result<rpc::ApiResponse> call(const Connection& connection, const rpc::ApiRequest& request) {
    rpc::ApiResponse response;
    const Status status = run(connection->call("api", request, response));
    if (!status) return status;
    return response;
  }
  static rpc::ApiRequest about(const std::string& plural, const std::string& name,
                               const std::string& subresource = "") {
    rpc::ApiRequest request;
    request.mutable_ref()->set_resource(plural);
    request.mutable_ref()->set_namespace_("default");
    request.mutable_ref()->set_name(name);
    request.mutable_ref()->set_subresource(subresource);
    return request;
  }

  /// Opens a stream and sends its first message.
  StreamPtr open(const std::string& method, const google::protobuf::MessageLite& first) {
    auto stream = run(client_->open(method));
    EXPECT_TRUE(stream.ok());
    EXPECT_TRUE(run((*stream)->send(rpc::encode(first))).ok());
    return std::move(*stream);
  }
  template <typename T>
  Result<T> receive(rpc::Stream& stream) {
    auto message = run(stream.receive());
    if (!message) return message.status();
    T decoded;
    EXPECT_TRUE(rpc::decode(*message, decoded).ok());
    return decoded;
  }
  template <typename T>
  T requestFor(const std::string& name) {
    T request;
    request.set_namespace_("default");
    request.set_pod(name);
    return request;
  }

  void addRunningPod(const std::string& name, const std::string& node, const std::string& ip,
                     bool hostNetwork = false) {
    Pod wanted = pod(name, node);
    wanted.mutable_spec()->set_hostnetwork(hostNetwork);
    auto made = create(wanted);
    ASSERT_TRUE(made.ok()) << made.status().toString();
    made->mutable_status()->set_phase("Running");
    made->mutable_status()->set_podip(ip);
    made->mutable_status()->add_podips()->set_ip(ip);
    ASSERT_TRUE(update(*made, "status").ok());
  }

  transport::MemoryNetwork network_;
  std::unique_ptr<StreamRelay> relay_;
  std::unique_ptr<RpcServer> server_;
  Connection client_;
};

TEST_F(RpcTest, VerbsOverTheWire) {
  auto request = about("configmaps", "");
  request.mutable_create()->set_object(configMap("a").SerializeAsString());
  auto response = call(client_, request);
  ASSERT_TRUE(response.ok()) << response.status().toString();
  ConfigMap object;
  ASSERT_TRUE(object.ParseFromString(response->object()));
  EXPECT_FALSE(object.metadata().resourceversion().empty());

  (*object.mutable_data())["value"] = "2";
  request = about("configmaps", "a");
  request.mutable_update()->set_object(object.SerializeAsString());
  EXPECT_TRUE(call(client_, request).ok());
  EXPECT_EQ(call(client_, request).status().code(), Code::kConflict);

  request = about("configmaps", "a");
  request.mutable_patch()->set_type(static_cast<int>(api::PatchType::kMerge));
  request.mutable_patch()->set_body(R"({"data":{"value":"3"}})");
  EXPECT_TRUE(call(client_, request).ok());

  request = about("configmaps", "");
  request.mutable_list();
  response = call(client_, request);
  ASSERT_EQ(response->items_size(), 1);
  ASSERT_TRUE(object.ParseFromString(response->items(0)));
  EXPECT_EQ(object.data().at("value"), "3");

  request = about("configmaps", "a");
  request.mutable_delete_();
  EXPECT_TRUE(call(client_, request).ok());
  request.set_get(true);
  EXPECT_EQ(call(client_, request).status(), Status(Code::kNotFound, "configmaps \"a\" not found"));

  // A pod that is refused has its causes.
  Pod imageless = pod("web");
  imageless.mutable_spec()->mutable_containers(0)->clear_image();
  request = about("pods", "");
  request.mutable_create()->set_object(imageless.SerializeAsString());
  const auto refused = call(client_, request);
  EXPECT_EQ(refused.status().code(), Code::kInvalid);
  EXPECT_EQ(refused.status().causes().size(), 1U);
}

TEST_F(RpcTest, BadRequestsAreAnswered) {
  EXPECT_EQ(call(client_, about("configmaps", "a")).status().code(), Code::kBadRequest);
  auto request = about("gadgets", "a");
  request.set_get(true);
  EXPECT_EQ(call(client_, request).status().code(), Code::kNotFound);
  request = about("pods", "");
  request.mutable_create()->set_object("\xff\xff");
  EXPECT_EQ(call(client_, request).status().code(), Code::kBadRequest);
  auto stream = run(client_->open("api"));
  ASSERT_TRUE(run((*stream)->send("\xff\xff garbage")).ok());
  EXPECT_EQ(run((*stream)->receive()).status().code(), Code::kBadRequest);
  stream = run(client_->open("nonsense"));
  EXPECT_EQ(run((*stream)->receive()).status().code(), Code::kMethodNotAllowed);
}

TEST_F(RpcTest, WatchesOverTheWire) {
  rpc::WatchRequest request;
  request.mutable_ref()->set_resource("configmaps");
  request.mutable_ref()->set_namespace_("default");
  auto stream = open("watch", request);
  ASSERT_TRUE(create(configMap("a")).ok());
  auto event = receive<rpc::WatchEventMessage>(*stream);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->type(), static_cast<int>(api::EventType::kAdded));
  ConfigMap object;
  ASSERT_TRUE(object.ParseFromString(event->object()));
  EXPECT_EQ(object.metadata().name(), "a");
  EXPECT_FALSE(object.metadata().resourceversion().empty());

  request.set_resourceversion("999999");
  EXPECT_EQ(receive<rpc::WatchEventMessage>(*open("watch", request)).status().code(),
            Code::kExpired);
  request.clear_resourceversion();
  request.set_timeoutnanos(1000000000);
  auto brief = open("watch", request);
  EXPECT_TRUE(receive<rpc::WatchEventMessage>(*brief).ok());
  EXPECT_EQ(receive<rpc::WatchEventMessage>(*brief).status().code(), Code::kEndOfStream);
}

TEST_F(RpcTest, ANodeWritesOnlyWhatIsItsOwn) {
  addRunningPod("mine", "n1", "10.0.0.1");
  addRunningPod("theirs", "n2", "10.0.0.2");
  auto node = connect("system:node:n1");
  const auto patchStatus = [&](const std::string& name) {
    auto request = about("pods", name, "status");
    request.mutable_patch()->set_type(static_cast<int>(api::PatchType::kMerge));
    request.mutable_patch()->set_body(R"({"status":{"message":"x"}})");
    return call(node, request).status();
  };
  EXPECT_TRUE(patchStatus("mine").ok());
  EXPECT_EQ(patchStatus("theirs").code(), Code::kForbidden);
  auto removal = about("pods", "mine");
  removal.mutable_delete_()->set_graceperiodseconds(0);
  EXPECT_EQ(call(node, removal).status().code(), Code::kForbidden);
  ASSERT_TRUE(remove<Pod>("mine").ok());
  EXPECT_TRUE(call(node, removal).ok());

  auto logs = run(node->open("logs"));
  ASSERT_TRUE(run((*logs)->send(rpc::encode(requestFor<rpc::LogRequest>("theirs")))).ok());
  EXPECT_EQ(run((*logs)->receive()).status().code(), Code::kForbidden);
  auto reach = run(node->open("reach"));
  ASSERT_TRUE(run((*reach)->send("")).ok());
  EXPECT_EQ(run((*reach)->receive()).status().code(), Code::kForbidden);
  auto anonymous = connect("nobody");
  auto request = about("pods", "theirs");
  request.set_get(true);
  EXPECT_THAT(call(anonymous, request).status().message(), HasSubstr("system:anonymous"));
}

/// Echoes exec frames in capitals, ends with an exit code; "logs" sends two chunks.
Co<Status> fakeAgent(rpc::Connection&, rpc::Stream& stream) {
  auto first = co_await stream.receive();
  if (!first) co_return first.status();
  if (stream.method() == "logs") {
    rpc::LogRequest request;
    if (Status bad = rpc::decode(*first, request); !bad) co_return bad;
    for (const char* line : {"one of ", "two of "}) {
      rpc::LogChunk chunk;
      chunk.set_data(line + request.pod());
      const Status sent = co_await stream.send(rpc::encode(chunk));
      if (!sent) co_return sent;
    }
    if (request.previous()) co_return Status(Code::kNotFound, "no previous container");
    co_return Status();
  }
  while (true) {
    auto message = co_await stream.receive();
    if (!message && !message.status().is(Code::kEndOfStream)) co_return message.status();
    rpc::ExecFrame frame;
    rpc::ExecFrame answer;
    if (message && !rpc::decode(*message, frame)) co_return Status(Code::kBadRequest, "frame");
    if (message) {
      std::string text = frame.stdin();
      for (char& c : text) c = static_cast<char>(std::toupper(c));
      answer.set_stdout(text);
    } else {
      answer.set_exitcode(7);
    }
    const Status sent = co_await stream.send(rpc::encode(answer));
    if (!sent || !message) co_return sent;
  }
}

TEST_F(RpcTest, RelaysLogsAndExec) {
  addRunningPod("web", "n1", "10.0.0.1");
  auto agent = connect("system:node:n1", fakeAgent);
  auto logs = open("logs", requestFor<rpc::LogRequest>("web"));
  EXPECT_EQ(receive<rpc::LogChunk>(*logs)->data(), "one of web");
  EXPECT_EQ(receive<rpc::LogChunk>(*logs)->data(), "two of web");
  EXPECT_EQ(receive<rpc::LogChunk>(*logs).status().code(), Code::kEndOfStream);

  auto previous = requestFor<rpc::LogRequest>("web");
  previous.set_previous(true);
  logs = open("logs", previous);
  EXPECT_TRUE(receive<rpc::LogChunk>(*logs).ok());
  EXPECT_TRUE(receive<rpc::LogChunk>(*logs).ok());
  EXPECT_EQ(receive<rpc::LogChunk>(*logs).status(),
            Status(Code::kNotFound, "no previous container"));

  auto exec = open("exec", requestFor<rpc::ExecRequest>("web"));
  rpc::ExecFrame frame;
  frame.set_stdin("hello");
  ASSERT_TRUE(run(exec->send(rpc::encode(frame))).ok());
  EXPECT_EQ(receive<rpc::ExecFrame>(*exec)->stdout(), "HELLO");
  exec->finish();
  EXPECT_EQ(receive<rpc::ExecFrame>(*exec)->exitcode(), 7);
  EXPECT_EQ(receive<rpc::ExecFrame>(*exec).status().code(), Code::kEndOfStream);
}

TEST_F(RpcTest, RelayFailuresSayWhatIsMissing) {
  addRunningPod("web", "n1", "10.0.0.1");
  ASSERT_TRUE(create(pod("free")).ok());
  const auto failure = [&](const std::string& name) {
    return receive<rpc::LogChunk>(*open("logs", requestFor<rpc::LogRequest>(name))).status();
  };
  EXPECT_EQ(failure("absent"), Status(Code::kNotFound, "pods \"absent\" not found"));
  EXPECT_EQ(failure("free"), Status(Code::kBadRequest, "pod free does not have a host assigned"));
  EXPECT_EQ(failure("web").code(), Code::kUnavailable);
  EXPECT_THAT(failure("web").message(), HasSubstr("node \"n1\" is not connected"));
  // The latest connection counts, and an older one's end does not end it.
  auto older = connect("system:node:n1", fakeAgent);
  auto newer = connect("system:node:n1", fakeAgent);
  older->close();
  clock_.advance(std::chrono::seconds(2));
  EXPECT_TRUE(relay_->isConnected("n1"));
  EXPECT_TRUE(failure("web").ok());
  auto exec = open("exec", requestFor<rpc::ExecRequest>("web"));
  clock_.runUntilIdle();
  newer->close();
  EXPECT_EQ(receive<rpc::ExecFrame>(*exec).status().code(), Code::kUnavailable);
  clock_.advance(std::chrono::seconds(2));
  EXPECT_FALSE(relay_->isConnected("n1"));
}

TEST_F(RpcTest, HollowNodesShareAConnectionAndKeepToThemselves) {
  auto shared = connect("podlab:hollow", fakeAgent);
  const auto asNode = [&](const std::string& node, rpc::ApiRequest request) {
    request.set_asnode(node);
    return call(shared, request).status();
  };
  addRunningPod("web", "h1", "10.0.0.1");
  auto read = about("pods", "web");
  read.set_get(true);
  EXPECT_TRUE(asNode("h1", read).ok());
  // Another node's pod, and what no node may.
  EXPECT_EQ(asNode("h2", read).code(), Code::kForbidden);
  auto secret = about("secrets", "any");
  secret.set_get(true);
  EXPECT_EQ(asNode("h1", secret).code(), Code::kForbidden);
  // The certificate speaks for no other node, and by itself may nothing.
  for (const char* stranger : {"n1", "h", "h1x", "g1"}) {
    const Status refused = asNode(stranger, read);
    EXPECT_EQ(refused.code(), Code::kForbidden) << stranger;
    EXPECT_THAT(refused.message(), HasSubstr("cannot speak for node")) << stranger;
  }
  EXPECT_EQ(asNode("", read).code(), Code::kForbidden);
  // Nor does any other connection.
  auto asOther = read;
  asOther.set_asnode("h1");
  EXPECT_EQ(call(client_, asOther).status().code(), Code::kForbidden);

  rpc::WatchRequest watch;
  watch.mutable_ref()->set_resource("pods");
  watch.set_fieldselector("spec.nodeName=h1");
  const auto watched = [&](const std::string& node) {
    watch.set_asnode(node);
    auto stream = run(shared->open("watch"));
    EXPECT_TRUE(run((*stream)->send(rpc::encode(watch))).ok());
    return receive<rpc::WatchEventMessage>(**stream).status().code();
  };
  EXPECT_EQ(watched("h1"), Code::kOk);
  EXPECT_EQ(watched("h2"), Code::kForbidden);

  // Streams for the nodes that have spoken go over the connection.
  EXPECT_TRUE(relay_->isConnected("h1"));
  EXPECT_FALSE(relay_->isConnected("h3"));
  EXPECT_TRUE(
      receive<rpc::LogChunk>(*open("logs", requestFor<rpc::LogRequest>("web"))).status().ok());
  shared->close();
  clock_.advance(std::chrono::seconds(2));
  EXPECT_FALSE(relay_->isConnected("h1"));
}

/// Sends without end, as fast as it may; counts what it could send.
struct Firehose {
  std::size_t sent = 0;
  Co<Status> operator()(rpc::Connection&, rpc::Stream& stream) {
    auto first = co_await stream.receive();
    rpc::LogChunk chunk;
    chunk.set_data(std::string(16 << 10, 'x'));
    const std::string message = rpc::encode(chunk);
    while (true) {
      const Status status = co_await stream.send(message);
      if (!status) co_return status;
      ++sent;
    }
  }
};

TEST_F(RpcTest, ASlowClientHoldsUpTheAgentAndNobodyElse) {
  addRunningPod("web", "n1", "10.0.0.1");
  auto firehose = std::make_shared<Firehose>();
  const auto handler = [firehose](rpc::Connection& connection, rpc::Stream& stream) {
    return (*firehose)(connection, stream);
  };
  auto agent = connect("system:node:n1", handler);
  auto logs = open("logs", requestFor<rpc::LogRequest>("web"));
  clock_.runUntilIdle();
  const std::size_t inFlight = firehose->sent;
  EXPECT_GT(inFlight, 4U);
  EXPECT_LT(inFlight, 100U);
  clock_.advance(std::chrono::seconds(5));
  EXPECT_EQ(firehose->sent, inFlight);
  auto request = about("pods", "web");
  request.set_get(true);
  EXPECT_TRUE(call(client_, request).ok());
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(receive<rpc::LogChunk>(*logs).ok());
  clock_.runUntilIdle();
  EXPECT_GE(firehose->sent, inFlight + 20);
  // A client that goes away stops the agent.
  logs.reset();
  clock_.runUntilIdle();
  const std::size_t last = firehose->sent;
  clock_.advance(std::chrono::seconds(5));
  EXPECT_EQ(firehose->sent, last);
}

/// The agents' side of "reach": what all of them did, in order.
struct Probers {
  std::vector<std::string> journal;
  std::set<std::string> broken;  ///< nodes that cannot listen
  std::set<std::string> silent;  ///< nodes that never answer SEND
  std::set<std::string> ips;     ///< of what they were told to probe
  std::size_t open = 0;          ///< receivers

  Co<Status> serve(std::string node, rpc::Stream& stream) {
    auto message = co_await stream.receive();
    rpc::ProbeRequest request;
    if (!message || !rpc::decode(*message, request)) co_return Status(Code::kBadRequest, "probe");
    rpc::ProbeReport report;
    if (broken.contains(node)) report.set_error("no raw sockets");
    journal.push_back("listen " + node);
    Status sent = co_await stream.send(rpc::encode(report));
    if (!sent || broken.contains(node)) co_return sent;
    ++open;
    const int endpoints = request.endpoints_size();
    for (const auto& endpoint : request.endpoints())
      ips.insert(endpoint.ips().begin(), endpoint.ips().end());
    message = co_await stream.receive();
    if (!message || !rpc::decode(*message, request) || request.phase() != rpc::ProbeRequest::SEND) {
      co_return Status(Code::kBadRequest, "send");
    }
    journal.push_back("send " + node + " " + std::to_string(open));
    if (silent.contains(node)) {
      message = co_await stream.receive();
      co_return Status();
    }
    for (int to = 0; to < endpoints; ++to) {
      report.clear_results();
      auto& result = *report.add_results();
      result.mutable_key()->set_to(static_cast<std::uint32_t>(to));
      report.set_done(to + 1 == endpoints);
      sent = co_await stream.send(rpc::encode(report));
      if (!sent) co_return sent;
    }
    while ((message = co_await stream.receive())) {
      if (!rpc::decode(*message, request)) co_return Status(Code::kBadRequest, "phase");
      journal.push_back(rpc::ProbeRequest::Phase_Name(request.phase()) + " " + node + " " +
                        std::to_string(request.inspected_size()));
      report.clear_results();
      report.set_done(true);
      sent = co_await stream.send(rpc::encode(report));
      if (!sent) co_return sent;
    }
    journal.push_back("close " + node);
    --open;
    co_return Status();
  }
};

class ReachTest : public RpcTest {
 protected:
  Connection agent(const std::string& node) {
    const auto handler = [probers = probers_, node](rpc::Connection&, rpc::Stream& stream) {
      return probers->serve(node, stream);
    };
    return connect("system:node:" + node, handler);
  }
  /// Asks for a pod as a client knows it, by its uid.
  void ask(const std::string& name, const std::string& uid) {
    auto& endpoint = *request_.add_endpoints();
    endpoint.set_namespace_("default");
    endpoint.set_name(name);
    endpoint.set_uid(uid);
    endpoint.set_sends(true);
    endpoint.set_receives(true);
    endpoint.add_ips("203.0.113.9");  // which nobody believes
  }
  void askRunning(const std::string& name, const std::string& node, const std::string& ip,
                  bool hostNetwork = false) {
    addRunningPod(name, node, ip, hostNetwork);
    ask(name, get<Pod>(name)->metadata().uid());
  }
  /// Node to number of results, or its error.
  std::map<std::string, std::string> reach() {
    const rpc::ReachRequest& request = request_;
    auto stream = open("reach", request);
    auto first = receive<rpc::ReachReport>(*stream);
    EXPECT_TRUE(first.ok()) << first.status().toString();
    missing_.assign(first->missing().begin(), first->missing().end());
    std::map<std::string, int> counts;
    std::map<std::string, std::string> reports;
    while (true) {
      auto message = receive<rpc::ReachReport>(*stream);
      if (!message) {
        EXPECT_EQ(message.status().code(), Code::kEndOfStream) << message.status().toString();
        break;
      }
      if (message->measured()) {
        if (inspection_.probes_size() > 0) {
          EXPECT_TRUE(run(stream->send(rpc::encode(inspection_))).ok());
        } else {
          stream->finish();
        }
      }
      if (!message->has_report()) continue;
      const auto& report = message->report();
      counts[report.node()] += report.results_size();
      reports[report.node()] =
          report.error().empty() ? std::to_string(counts[report.node()]) : report.error();
    }
    clock_.runUntilIdle();
    return reports;
  }

  std::shared_ptr<Probers> probers_ = std::make_shared<Probers>();
  rpc::ReachRequest request_;
  rpc::ReachInspection inspection_;
  std::vector<std::string> missing_;
};

TEST_F(ReachTest, AllListenBeforeAnySendsAndAllHaveSentBeforeAnyCollects) {
  askRunning("a", "n1", "10.0.1.2");
  askRunning("b", "n2", "10.0.2.2");
  askRunning("c", "n2", "10.0.2.3");
  askRunning("host", "n2", "192.0.2.1", true);
  auto pending = create(pod("pending", "n1"));
  ASSERT_TRUE(pending.ok());
  ask("pending", pending->metadata().uid());
  ask("gone", "no-such-uid");
  auto n1 = agent("n1");
  auto n2 = agent("n2");
  auto n3 = agent("n3");
  EXPECT_EQ(reach(), (std::map<std::string, std::string>{{"n1", "6"}, {"n2", "6"}}));
  EXPECT_THAT(missing_, ElementsAre("default/host", "default/pending", "default/gone"));
  // What the server knows of pods, not what the client says.
  EXPECT_THAT(probers_->ips, ElementsAre("10.0.1.2", "10.0.2.2", "10.0.2.3"));
  const auto& journal = probers_->journal;
  ASSERT_EQ(journal.size(), 8U);
  int begin = 0;
  for (const char* step : {"listen n?", "send n? 2", "COLLECT n? 0", "close n?"}) {
    for (const int i : {begin, begin + 1}) {
      std::string line = journal[static_cast<std::size_t>(i)];
      line[line.find(" n") + 2] = '?';
      EXPECT_EQ(line, step);
    }
    begin += 2;
  }
  EXPECT_EQ(probers_->open, 0U);
}

TEST_F(ReachTest, WhatFailedIsLookedIntoByAllAgentsStepByStep) {
  askRunning("a", "n1", "10.0.1.2");
  askRunning("b", "n2", "10.0.2.2");
  auto n1 = agent("n1");
  auto n2 = agent("n2");
  inspection_.add_probes()->mutable_key()->set_to(1);
  reach();
  const auto& journal = probers_->journal;
  ASSERT_EQ(journal.size(), 14U);
  std::vector<std::string> steps;
  for (std::size_t i = 6; i < 12; i += 2)
    steps.push_back(journal[i].substr(0, journal[i].find(' ')));
  EXPECT_THAT(steps, ElementsAre("TRACE", "REPEAT", "FIND"));
  EXPECT_TRUE(journal[10].ends_with(" 1"));
}

TEST_F(ReachTest, AgentsThatAreAwayBrokenOrSilentAreReported) {
  for (const char* node : {"n1", "n2", "n3", "n4"}) {
    askRunning(std::string("pod-") + node, node, std::string("10.0.0.") + node[1]);
  }
  auto n1 = agent("n1");
  auto n3 = agent("n3");
  auto n4 = agent("n4");
  probers_->broken.insert("n3");
  probers_->silent.insert("n4");
  auto reports = reach();
  EXPECT_EQ(reports["n1"], "4");
  EXPECT_THAT(reports["n2"], HasSubstr("node \"n2\" is not connected"));
  EXPECT_EQ(reports["n3"], "no raw sockets");
  EXPECT_THAT(reports["n4"], HasSubstr("did not report in time"));
}

TEST_F(ReachTest, WithoutEndsThereIsNothingToDo) {
  EXPECT_TRUE(reach().empty());
}

TEST_F(ReachTest, PodsAreReachedByWhoMayInTheirNamespaceAndNodesByWhoMayAnywhere) {
  auto someone = connect("someone");
  const auto outcome = [&] {
    auto stream = run(someone->open("reach"));
    EXPECT_TRUE(run((*stream)->send(rpc::encode(request_))).ok());
    return run((*stream)->receive()).status();
  };
  askRunning("a", "n1", "10.0.1.2");
  EXPECT_THAT(outcome().message(), HasSubstr("\"pods/reach\""));
  request_.clear_endpoints();
  request_.add_endpoints()->set_node("n1");
  EXPECT_THAT(outcome().message(), HasSubstr("\"nodes/reach\""));
}

}  // namespace
}  // namespace podlab::apiserver
