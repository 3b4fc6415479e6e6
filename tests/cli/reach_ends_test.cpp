#include "cli/reach_ends.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "cli/reach_expectation.hpp"

namespace podlab::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::shared_ptr<corev1::Pod> pod(const std::string& ns, const std::string& name,
                                 const std::string& node, const std::string& ip,
                                 const std::string& app = "") {
  auto made = std::make_shared<corev1::Pod>();
  made->mutable_metadata()->set_namespace_(ns);
  made->mutable_metadata()->set_name(name);
  if (!app.empty()) (*made->mutable_metadata()->mutable_labels())["app"] = app;
  made->mutable_spec()->set_nodename(node);
  made->mutable_status()->set_phase("Running");
  made->mutable_status()->add_podips()->set_ip(ip);
  return made;
}

void declare(corev1::Pod& pod, int port, const std::string& protocol = "") {
  if (pod.spec().containers().empty()) pod.mutable_spec()->add_containers();
  auto& added = *pod.mutable_spec()->mutable_containers(0)->add_ports();
  added.set_containerport(port);
  if (!protocol.empty()) added.set_protocol(protocol);
}

std::shared_ptr<corev1::Node> node(const std::string& name, const std::string& ip) {
  auto made = std::make_shared<corev1::Node>();
  made->mutable_metadata()->set_name(name);
  made->mutable_spec()->add_podcidrs("10.244.1.0/24");
  auto& address = *made->mutable_status()->add_addresses();
  address.set_type("InternalIP");
  address.set_address(ip);
  return made;
}

class ReachEndsTest : public testing::Test {
 protected:
  ReachEndsTest() {
    pods_ = {pod("demo", "web", "node1", "10.244.1.2", "web"),
             pod("demo", "db", "node2", "10.244.2.2", "db"),
             pod("other", "web-1", "node2", "10.244.2.3", "web"),
             pod("default", "lone", "node1", "10.244.1.3")};
  }

  /// "FROM> >TO" by end, or the error.
  std::vector<std::string> select(std::vector<std::string> from, std::vector<std::string> to,
                                  const std::string& ns = "", const std::string& labels = "") {
    ReachSelection selection;
    selection.from = std::move(from);
    selection.to = std::move(to);
    selection.ns = ns;
    selection.labels = labels;
    const std::vector<std::shared_ptr<const corev1::Pod>> pods(pods_.begin(), pods_.end());
    auto chosen = selectReachEnds(selection, pods, {node("node1", "192.0.2.1")});
    if (!chosen) return {chosen.status().message()};
    ends_ = std::move(*chosen);
    std::vector<std::string> texts;
    for (const auto& end : ends_) {
      texts.push_back((end.receives ? ">" : "") + end.toString() + (end.sends ? ">" : ""));
    }
    return texts;
  }

  std::vector<std::shared_ptr<corev1::Pod>> pods_;
  std::vector<ReachEnd> ends_;
};

TEST_F(ReachEndsTest, AllPodsByDefaultThatRunAndHaveAnAddressOfTheirOwn) {
  pods_[0]->mutable_status()->set_phase("Succeeded");
  pods_[1]->mutable_spec()->set_hostnetwork(true);
  pods_[2]->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_THAT(select({}, {}), ElementsAre(">default/lone>"));
}

TEST_F(ReachEndsTest, SidesAreChosenApart) {
  EXPECT_THAT(select({"demo/w*"}, {"demo/*"}), ElementsAre(">demo/db", ">demo/web>"));
  EXPECT_THAT(select({"app=web"}, {"lone"}),
              ElementsAre(">default/lone", "demo/web>", "other/web-1>"));
  EXPECT_THAT(select({"app=web"}, {"db"}, "demo"), ElementsAre(">demo/db", "demo/web>"));
  EXPECT_THAT(select({"other:app in (web,db)"}, {}, "demo", "app=db"),
              ElementsAre(">demo/db", "other/web-1>"));
  EXPECT_THAT(select({"on:node2"}, {"node:*"}),
              ElementsAre("demo/db>", "other/web-1>", ">node:node1"));
  EXPECT_THAT(select({}, {"192.0.2.7:53"}, "demo"),
              ElementsAre("demo/db>", "demo/web>", ">192.0.2.7"));
  EXPECT_THAT(ends_[2].ports, ElementsAre(net::ReachPort{IPPROTO_TCP, 53, false}));
  // An address of the cluster is who has it.
  EXPECT_THAT(select({"lone"}, {"10.244.2.2", "192.0.2.1"}),
              ElementsAre("default/lone>", ">demo/db", ">node:node1"));
}

TEST_F(ReachEndsTest, WhoCannotTakePartIsToldWhy) {
  pods_[0]->mutable_status()->set_phase("Pending");
  pods_[1]->mutable_spec()->set_hostnetwork(true);
  EXPECT_THAT(select({"demo/web"}, {})[0], HasSubstr("pod demo/web is Pending, not Running"));
  EXPECT_THAT(select({}, {"demo/db"})[0],
              HasSubstr("--to \"demo/db\": pod demo/db is on its node's network: name node:node2"));
  EXPECT_THAT(select({"web"}, {})[0], HasSubstr("(in namespace default): say a pod (web, "));
  EXPECT_THAT(select({"192.0.2.9"}, {})[0], HasSubstr("only pods and nodes send"));
  EXPECT_THAT(select({}, {}, "", "a in b")[0], HasSubstr("a in b"));
}

TEST_F(ReachEndsTest, PortsAreThoseDeclaredAndReachsOwn) {
  declare(*pods_[3], 80);
  declare(*pods_[3], 53, "UDP");
  declare(*pods_[3], 9, "SCTP");
  pods_[0]->mutable_spec()->set_hostnetwork(true);
  declare(*pods_[0], 9100);
  select({"lone"}, {"lone", "node:node1", "192.0.2.7"});
  const net::ReachPort icmp{IPPROTO_ICMP, 0, false};
  const net::ReachPort tcp{IPPROTO_TCP, net::kReachPort, true};
  const net::ReachPort udp{IPPROTO_UDP, net::kReachPort, true};
  EXPECT_THAT(ends_[0].ports, ElementsAre(icmp, net::ReachPort{IPPROTO_TCP, 80}, tcp,
                                          net::ReachPort{IPPROTO_UDP, 53}, udp));
  EXPECT_THAT(ends_[1].ports, ElementsAre(icmp, net::ReachPort{IPPROTO_TCP, 9100}, tcp, udp));
  EXPECT_THAT(ends_[2].ports, ElementsAre(icmp));
}

TEST(ReachPorts, FlagsChoose) {
  ReachEnd end;
  end.declared = {{IPPROTO_TCP, 80}};
  const auto texts = [&](std::vector<std::string> ports, std::vector<std::string> protocols) {
    auto choice = ReachPortChoice::of(ports, protocols);
    std::vector<std::string> all;
    if (!choice) return std::vector{choice.status().message()};
    for (const auto& port : choice->portsOf(end))
      all.push_back(reachPortText(port.protocol, port.port));
    return all;
  };
  EXPECT_THAT(texts({}, {}), ElementsAre("icmp", "tcp 80", "tcp 28462", "udp 28462"));
  EXPECT_THAT(texts({"declared", "udp/7-8"}, {}), ElementsAre("tcp 80", "udp 7", "udp 8"));
  EXPECT_THAT(texts({"443", "icmp"}, {}), ElementsAre("icmp", "tcp 443"));
  EXPECT_THAT(texts({}, {"udp"}), ElementsAre("udp 28462"));
  EXPECT_THAT(texts({"80"}, {"icmp"}), IsEmpty());
  for (const char* bad : {"0", "tcp/", "sctp/1", "9-8", "70000", "tcp", "x"}) {
    EXPECT_THAT(texts({bad}, {})[0],
                HasSubstr("--port: \"" + std::string(bad) + "\" is not a port"));
  }
  EXPECT_THAT(texts({"1-65535"}, {})[0], HasSubstr("more than 1000"));
  EXPECT_THAT(texts({}, {"sctp"})[0], HasSubstr("icmp, tcp and udp"));
}

TEST(ReachPattern, SaysWhatIsWrong) {
  for (const char* bad : {"", "Demo/web", "demo/", "/web", "what:web", "node:", "[::1]", "[::1]:0",
                          "192.0.2.7:x", "192.0.2.7:0", "a=b=c", ":app=web", "192.0.2.1/24"}) {
    const auto pattern = ReachPattern::parse(bad, "");
    EXPECT_FALSE(pattern) << bad;
    if (!pattern) EXPECT_THAT(pattern.status().message(), HasSubstr("\"")) << bad;
  }
  for (const char* good : {"web", "*", "demo/*", "app.kubernetes.io/name=web", "demo:!app",
                           "node:node-1", "2001:db8::7", "[2001:db8::7]:80", "192.0.2.0/24"}) {
    EXPECT_TRUE(ReachPattern::parse(good, "")) << good;
  }
}

/// What lines make of every cell: "from>to tcp 80" for those denied.
std::vector<std::string> denied(const std::string& text, const std::vector<ReachEnd>& ends) {
  auto expectation = ReachExpectation::parse(text);
  if (!expectation) return {expectation.status().message()};
  auto cells = planReachCells(ends);
  expectation->apply(ends, cells);
  std::vector<std::string> found;
  for (const auto& cell : cells) {
    if (cell.allowed) continue;
    found.push_back(ends[cell.key.from].name + ">" + ends[cell.key.to].name + " " +
                    reachPortText(cell.key.protocol, cell.key.port));
  }
  return found;
}

TEST_F(ReachEndsTest, TheFirstLineThatFitsDecides) {
  declare(*pods_[1], 5432);
  select({"demo/*"}, {"demo/*"});
  EXPECT_THAT(denied("# who reaches the database\n"
                     "allow demo/web -> demo/db tcp/5432 icmp   # its port\n"
                     "\n"
                     "deny  app in (web, db) -> demo:app=db\r\n"
                     "deny  * -> other/*",
                     ends_),
              ElementsAre("db>db icmp", "db>db tcp 5432", "db>db tcp 28462", "db>db udp 28462",
                          "web>db tcp 28462", "web>db udp 28462"));
  EXPECT_THAT(denied("", ends_), IsEmpty());
  EXPECT_THAT(denied("deny * -> * 5000-6000", ends_),
              ElementsAre("db>db tcp 5432", "web>db tcp 5432"));
}

TEST_F(ReachEndsTest, FaultyLinesAreNamed) {
  for (const auto& [line, fault] : std::vector<std::pair<std::string, std::string>>{
           {"permit a -> b", "line 2: \"permit a -> b\" is not \"allow FROM -> TO [PORTS...]\""},
           {"allow a b", "line 2: \"allow a b\" is not"},
           {"allow -> b", "line 2: \"\" names no pod"},
           {"deny a ->", "line 2: \"\" names no pod"},
           {"deny a -> b tcp/x", "line 2: \"b tcp/x\" has no valid namespace"},
           {"deny a=b=c -> b", "line 2: \"a=b=c\""}}) {
    EXPECT_THAT(denied("\n" + line, ends_)[0], HasSubstr(fault));
  }
}

TEST_F(ReachEndsTest, PoliciesAreExpected) {
  select({"demo/*"}, {"demo/*"});
  auto ns = std::make_shared<corev1::Namespace>();
  ns->mutable_metadata()->set_name("demo");
  auto policy = std::make_shared<networkingv1::NetworkPolicy>();
  policy->mutable_metadata()->set_namespace_("demo");
  policy->mutable_metadata()->set_name("deny");
  (*policy->mutable_spec()->mutable_podselector()->mutable_matchlabels())["app"] = "db";
  policy->mutable_spec()->add_policytypes("Ingress");
  const policy::Model model({pods_.begin(), pods_.end()}, {ns}, {policy});
  auto cells = planReachCells(ends_);
  expectPolicies(model, ends_, cells);
  for (const auto& cell : cells) {
    EXPECT_EQ(cell.allowed,
              !(ends_[cell.key.from].name == "web" && ends_[cell.key.to].name == "db"));
    EXPECT_THAT(cell.expectation, testing::Not(IsEmpty()));
  }
}

}  // namespace
}  // namespace podlab::cli
