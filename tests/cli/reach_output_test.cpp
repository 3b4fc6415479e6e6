#include "cli/reach_output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "cli/reach_measure.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

/// `count` pods on two nodes, all of whose ICMP probes were answered.
ReachMeasurement measured(std::size_t count) {
  ReachMeasurement made;
  for (std::size_t i = 0; i < count; ++i) {
    ReachEnd& end = made.ends.emplace_back();
    end.ns = "demo";
    end.name = "pod" + std::to_string(i);
    end.node = i % 2 == 0 ? "node1" : "node2";
    end.addresses = {*net::IpAddress::parse("10.244.0." + std::to_string(i + 2))};
    end.ports = {{IPPROTO_ICMP, 0, false}};
    end.sends = end.receives = true;
  }
  made.cells = planReachCells(made.ends);
  for (ReachCell& cell : made.cells) {
    cell.measured = true;
    cell.sent = cell.answered = 1;
    cell.arrived = 1;
    cell.rttMin = cell.rttMean = cell.rttMax = std::chrono::microseconds(120);
  }
  return made;
}

std::string textOf(const std::function<void(const TextSink&)>& write) {
  std::string text;
  write([&text](std::string_view part) { text += part; });
  return text;
}

ReachCell& cellOf(ReachMeasurement& made, std::uint32_t from, std::uint32_t to) {
  return *findReachCell(made.cells, {from, to, net::Family::kV4, IPPROTO_ICMP, 0});
}

void lose(ReachCell& cell, std::uint32_t arrived, const std::string& reason) {
  cell.answered = 0;
  cell.arrived = arrived;
  cell.error = "no answer within 1s";
  cell.reason = reason;
}

TEST(ReachCell, OneWayRefusedAndLostAreToldApart) {
  ReachCell cell;
  cell.key.protocol = IPPROTO_TCP;
  cell.measured = true;
  cell.sent = 1;
  cell.error = "no answer within 1s";
  EXPECT_EQ(cell.outcome(), "no answer within 1s");
  cell.arrived = 0;
  EXPECT_EQ(cell.outcome(), "it did not arrive: no answer within 1s");
  EXPECT_FALSE(cell.asExpected());
  cell.allowed = false;
  EXPECT_TRUE(cell.asExpected());
  cell.arrived = 1;
  EXPECT_FALSE(cell.asExpected()) << "what arrives was not stopped";
  cell.allowed = true;
  EXPECT_TRUE(cell.oneWay());
  EXPECT_EQ(cell.outcome(), "one way: it arrived, and the answer was lost");
  cell.refused = true;
  cell.error = "connection refused";
  EXPECT_EQ(cell.outcome(), "no listener: it arrived and was refused");
  cell.arrived = 0;
  EXPECT_EQ(cell.outcome(), "connection refused, and it did not arrive");
  // A program that takes a datagram need not answer.
  cell = ReachCell();
  cell.key.protocol = IPPROTO_UDP;
  cell.measured = true;
  cell.sent = 3;
  cell.error = "no answer within 1s";
  cell.arrived = 1;
  EXPECT_TRUE(cell.reached());
  cell.own = true;
  EXPECT_FALSE(cell.reached());
}

TEST(ReachText, MatrixAndFailures) {
  auto made = measured(3);
  lose(cellOf(made, 0, 1), 0, "no route");
  lose(cellOf(made, 1, 0), 1, "one way");
  cellOf(made, 2, 0).allowed = false;
  cellOf(made, 2, 0).reason = "it is reached, though told otherwise";
  lose(cellOf(made, 2, 1), 0, "");
  cellOf(made, 2, 1).allowed = false;
  cellOf(made, 0, 2).measured = false;
  made.took = std::chrono::milliseconds(7);
  EXPECT_EQ(reachText(made, {}),
            "     FROM \\ TO NODE   1  2  3\n"
            "  1  demo/pod0 node1  +  x  ?\n"
            "  2  demo/pod1 node2  <  +  +\n"
            "  3  demo/pod2 node1  !  -  +\n"
            "\n"
            "! gets through against expectation   + all reached   - none reached, as expected   "
            "< arrives, but no answer   ? not measured   x none reached\n"
            "FAIL demo/pod0 -> demo/pod1: icmp: no route\n"
            "FAIL demo/pod0 -> demo/pod2: icmp: \n"
            "FAIL demo/pod1 -> demo/pod0: icmp: one way\n"
            "FAIL demo/pod2 -> demo/pod0: icmp: it is reached, though told otherwise\n"
            "Not as expected: 3 to 3, 9 probes, 6 reached, 3 not as expected, 1 not measured, in 7 "
            "ms\n");
  EXPECT_THAT(reachText(made, {.color = true}), HasSubstr("\033[31mx\033[0m"));
}

TEST(ReachText, FitsItsTerminal) {
  const auto made = measured(30);
  const auto widest = [](const std::string& text) {
    std::size_t most = 0;
    std::size_t begin = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos;
         end = text.find('\n', begin)) {
      most = std::max(most, end - begin);
      begin = end + 1;
    }
    return most;
  };
  EXPECT_GT(widest(reachText(made, {})), 100U);
  const std::string narrow = reachText(made, {.width = 60});
  EXPECT_LE(widest(narrow.substr(0, narrow.find("\n\n+"))), 60U);
  EXPECT_THAT(narrow, Not(HasSubstr("NODE")));
  EXPECT_THAT(reachText(measured(41), {}), HasSubstr("FROM \\ TO   node1     node2"));
}

TEST(ReachFormats, JsonIsWellFormedAndComplete) {
  auto made = measured(2);
  lose(cellOf(made, 0, 1), 0, "dropped by \"x\"");
  const std::string json = textOf([&](const TextSink& sink) { reachJson(made, 0, sink); });
  JsonReader reader(json);
  EXPECT_TRUE(reader.skip() && reader.finish()) << reader.status().toString();
  EXPECT_THAT(json, HasSubstr(R"("from":"demo/pod0","to":"demo/pod1","protocol":"icmp")"));
  EXPECT_THAT(json, HasSubstr(R"("reason":"dropped by \"x\"")"));
  cellOf(made, 0, 1).arrived.reset();
  EXPECT_THAT(textOf([&](const TextSink& sink) { reachJson(made, 0, sink); }),
              HasSubstr(R"("arrived":null)"));
}

TEST(ReachFormats, CsvJunitAndTap) {
  auto made = measured(2);
  lose(cellOf(made, 0, 1), 0, "a, <b> & \"c\"");
  EXPECT_THAT(textOf([&](const TextSink& sink) { reachCsv(made, sink); }),
              HasSubstr("demo/pod0,demo/pod1,icmp,,ipv4,false,allow,false,1,0,0,,,,"
                        "\"a, <b> & \"\"c\"\"\"\r\n"));
  const std::string junit = reachJunit(made);
  EXPECT_THAT(junit, HasSubstr("<testsuites name=\"podlab reach\" tests=\"4\" failures=\"1\" "
                               "errors=\"0\""));
  EXPECT_THAT(junit, HasSubstr("<failure message=\"a, &lt;b&gt; &amp; &quot;c&quot;\"/>"));
  EXPECT_THAT(textOf([&](const TextSink& sink) { reachTap(made, sink); }),
              testing::StartsWith("TAP version 14\n1..4\nok 1 - demo/pod0 -> "
                                  "demo/pod0 icmp\nnot ok 2 - "));
}

/// What the page reads.
std::string dataOf(const std::string& html) {
  const std::string begin = "<script id=\"data\" type=\"application/json\">";
  const auto at = html.find(begin) + begin.size();
  return html.substr(at, html.find("</script>", at) - at);
}

TEST(ReachHtml, CarriesItsDataAndNothingThatEndsThem) {
  auto made = measured(2);
  lose(cellOf(made, 0, 1), 0, "</script><b>not this way");
  lose(cellOf(made, 1, 0), 1, "one way");
  const std::string html = reachHtml(made);
  EXPECT_THAT(html, Not(HasSubstr("__REACH_DATA__")));
  const std::string json = dataOf(html);
  JsonReader reader(json);
  EXPECT_TRUE(reader.skip() && reader.finish()) << reader.status().toString();
  EXPECT_THAT(json, HasSubstr(R"("rows":[{"from":0,"pairs":"+x","cells":"+x","rtt":[120,-1]},)"));
  EXPECT_THAT(json, HasSubstr(R"({"from":1,"pairs":"\u003c+","cells":"\u003c+","rtt":[-1,120]}])"));
  EXPECT_THAT(json, HasSubstr(R"("faults":[[0,1,0,0,1,0,0],[1,0,0,1,1,1,0]])"));
}

TEST(ReachChanges, TellsWhatDiffersByName) {
  const auto before = measured(3);
  EXPECT_THAT(reachChanges(before, before), testing::IsEmpty());
  auto after = measured(4);
  after.ends[0].name = "aaa";  // in the place of pod0
  lose(cellOf(after, 1, 2), 0, "no route");
  lose(cellOf(after, 2, 1), 0, "");
  cellOf(after, 2, 1).allowed = false;
  lose(cellOf(after, 0, 1), 0, "no route");
  EXPECT_THAT(
      reachChanges(before, after),
      testing::ElementsAre("demo/pod0 is gone", "demo/aaa is new", "demo/pod3 is new",
                           "demo/aaa -> demo/pod1: icmp: no route",
                           "demo/pod1 -> demo/pod2: icmp: reached -> no route",
                           "demo/pod2 -> demo/pod1: icmp: reached -> not reached, as expected"));
}

}  // namespace
}  // namespace podlab::cli
