// Arbitrary bytes into what people write for reach: expectation files, patterns and ports.
#include <netinet/in.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cli/reach_expectation.hpp"

using namespace podlab::cli;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ReachEnd end;
  end.ns = "demo";
  end.name = "web";
  end.node = "node1";
  end.pod = std::make_shared<const podlab::corev1::Pod>();
  end.addresses = {*podlab::net::IpAddress::parse("10.244.0.2")};
  end.ports = {{IPPROTO_TCP, 80}};
  end.sends = end.receives = true;

  const auto expectation = ReachExpectation::parse(text);
  if (expectation) {
    auto cells = planReachCells({end});
    expectation->apply({end}, cells);
  } else if (expectation.status().message().find("line ") == std::string::npos) {
    std::abort();
  }
  if (const auto pattern = ReachPattern::parse(text, "default")) (void)pattern->matches(end);
  if (const auto ports = ReachPorts::parse(text); ports && ports->last < ports->first) std::abort();
  (void)ReachPortChoice::of({std::string(text)}, {});
  return 0;
}
