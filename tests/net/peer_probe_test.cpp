#include "net/peer_probe.hpp"

#include <gtest/gtest.h>

namespace podlab::net {
namespace {

TEST(PeerProbe, WhatIsWrongIsNamedByWhatAnswers) {
  const PeerTarget target{*IpAddress::parse("192.0.2.2"), *IpAddress::parse("10.244.2.1")};
  PeerPath path;
  path.podMtu = 1450;
  struct Case {
    PeerAnswers answers;
    bool vxlan;
    std::string problem;
    std::string remedy;
  };
  for (const auto& [answers, vxlan, problem, remedy] : std::vector<Case>{
           {{true, true, true}, true, "", ""},
           {{false, true, true}, true, "", ""},  // a firewall against ICMP harms no pod
           {{true, true, false}, true, "packets of 1450 bytes", "ip link set dev LINK mtu"},
           {{true, false, false}, true, "UDP port 8472 is closed", "let UDP port 8472 pass"},
           {{true, false, false}, false, "its pods' bridge does not", "use vxlan"},
           {{false, false, false}, true, "192.0.2.2 does not answer", "routes"},
       }) {
    path.vxlan = vxlan;
    const PeerVerdict verdict = judgePeer(target, answers, path);
    EXPECT_EQ(verdict.problem.empty(), problem.empty()) << verdict.problem;
    EXPECT_NE(verdict.problem.find(problem), std::string::npos) << verdict.problem;
    EXPECT_NE(verdict.remedy.find(remedy), std::string::npos) << verdict.remedy;
  }
}

}  // namespace
}  // namespace podlab::net
