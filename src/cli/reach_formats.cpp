#include <cstdio>

#include "cli/reach_output.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

constexpr std::size_t kPart = 64 << 10;  // bytes that a sink gets at a time

/// Gives the sink what is there, unless it is little.
void passOn(std::string& text, const TextSink& sink) {
  if (text.size() < kPart) return;
  sink(text);
  text.clear();
}

double microseconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1000;
}

const char* familyName(const ReachCell& cell) {
  return cell.key.family == net::Family::kV6 ? "ipv6" : "ipv4";
}

const char* kindName(ReachEnd::Kind kind) {
  switch (kind) {
    case ReachEnd::Kind::kPod:
      return "pod";
    case ReachEnd::Kind::kNode:
      return "node";
    case ReachEnd::Kind::kOutside:
      break;
  }
  return "outside";
}

void writeText(JsonWriter& writer, std::string_view key, std::string_view value) {
  writer.key(key);
  writer.string(value);
}

void writeNumber(JsonWriter& writer, std::string_view key, std::uint64_t value) {
  writer.key(key);
  writer.number(value);
}

void writeEnd(JsonWriter& writer, const ReachEnd& end) {
  writer.beginObject();
  writeText(writer, "end", end.toString());
  writeText(writer, "kind", kindName(end.kind));
  if (!end.ns.empty()) writeText(writer, "namespace", end.ns);
  if (!end.name.empty()) writeText(writer, "name", end.name);
  if (!end.node.empty()) writeText(writer, "node", end.node);
  writer.key("ips");
  writer.beginArray();
  for (const auto& address : end.addresses) writer.string(address.toString());
  writer.endArray();
  writer.endObject();
}

void writeCell(JsonWriter& writer, const ReachMeasurement& measurement, const ReachCell& cell) {
  writer.beginObject();
  writeText(writer, "from", measurement.ends[cell.key.from].toString());
  writeText(writer, "to", measurement.ends[cell.key.to].toString());
  writeText(writer, "protocol", reachProtocolName(cell.key.protocol));
  if (cell.key.port != 0) writeNumber(writer, "port", cell.key.port);
  writeText(writer, "family", familyName(cell));
  writer.key("ok");
  writer.boolean(cell.asExpected());
  writeText(writer, "expected", cell.allowed ? "allow" : "deny");
  if (!cell.expectation.empty()) writeText(writer, "expectation", cell.expectation);
  writer.key("measured");
  writer.boolean(cell.measured);
  writer.key("reached");
  writer.boolean(cell.reached());
  writeNumber(writer, "sent", cell.sent);
  writer.key("arrived");
  cell.arrived ? writer.number(std::uint64_t{*cell.arrived}) : writer.null();
  writeNumber(writer, "answered", cell.answered);
  if (cell.answered > 0) {
    writer.key("rttMicroseconds");
    writer.beginObject();
    writer.key("min");
    writer.number(microseconds(cell.rttMin));
    writer.key("mean");
    writer.number(microseconds(cell.rttMean));
    writer.key("max");
    writer.number(microseconds(cell.rttMax));
    writer.endObject();
  }
  if (!cell.error.empty()) writeText(writer, "error", cell.error);
  if (!cell.reason.empty()) writeText(writer, "reason", cell.reason);
  writer.endObject();
}

/// RFC 4180.
std::string csvField(std::string text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string xmlText(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        // XML 1.0 has no other control characters.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') escaped += c;
    }
  }
  return escaped;
}

std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(duration.count()) / 1e9);
  return text;
}

std::string caseName(const ReachMeasurement& measurement, const ReachCell& cell) {
  return measurement.ends[cell.key.from].toString() + " -> " +
         measurement.ends[cell.key.to].toString() + " " + cellName(cell);
}

}  // namespace

void reachJson(const ReachMeasurement& measurement, int indent, const TextSink& sink) {
  std::string out;
  JsonWriter writer(out, indent);
  writer.beginObject();
  writer.key("ok");
  writer.boolean(measurement.ok());
  writeNumber(writer, "unexpected", measurement.unexpected());
  writeNumber(writer, "unmeasured", measurement.unmeasured());
  writer.key("tookMilliseconds");
  writer.number(static_cast<double>(measurement.took.count()) / 1e6);
  writer.key("ends");
  writer.beginArray();
  for (const auto& end : measurement.ends) writeEnd(writer, end);
  writer.endArray();
  writer.key("probes");
  writer.beginArray();
  for (const auto& cell : measurement.cells) {
    writeCell(writer, measurement, cell);
    passOn(out, sink);
  }
  writer.endArray();
  writer.key("errors");
  writer.beginArray();
  for (const auto& [node, error] : measurement.failures) writer.string(node + ": " + error);
  writer.endArray();
  writer.key("missing");
  writer.beginArray();
  for (const auto& pod : measurement.missing) writer.string(pod);
  writer.endArray();
  writer.endObject();
  out += "\n";
  sink(out);
}

void reachCsv(const ReachMeasurement& measurement, const TextSink& sink) {
  std::string text =
      "from,to,protocol,port,family,ok,expected,reached,sent,arrived,answered,rtt_min_us,"
      "rtt_mean_us,rtt_max_us,reason\n";
  for (const ReachCell& cell : measurement.cells) {
    const auto time = [&](Duration duration) {
      std::string number;
      if (cell.answered > 0) appendJsonNumber(number, microseconds(duration));
      return number;
    };
    const std::string fields[] = {
        measurement.ends[cell.key.from].toString(),
        measurement.ends[cell.key.to].toString(),
        std::string(reachProtocolName(cell.key.protocol)),
        cell.key.port == 0 ? "" : std::to_string(cell.key.port),
        familyName(cell),
        cell.asExpected() ? "true" : "false",
        cell.allowed ? "allow" : "deny",
        cell.reached() ? "true" : "false",
        std::to_string(cell.sent),
        cell.arrived ? std::to_string(*cell.arrived) : "",
        std::to_string(cell.answered),
        time(cell.rttMin),
        time(cell.rttMean),
        time(cell.rttMax),
        cell.reason,
    };
    bool first = true;
    for (const auto& field : fields) {
      if (!first) text += ",";
      first = false;
      text += csvField(field);
    }
    text += "\r\n";
    passOn(text, sink);
  }
  sink(text);
}

std::string reachJunit(const ReachMeasurement& measurement) {
  struct Suite {
    std::string cases;
    std::size_t tests = 0;
    std::size_t failures = 0;
    std::size_t errors = 0;
  };
  std::map<std::uint32_t, Suite> suites;
  Suite all;
  for (const ReachCell& cell : measurement.cells) {
    Suite& suite = suites[cell.key.from];
    ++suite.tests;
    suite.cases += "    <testcase classname=\"" +
                   xmlText(measurement.ends[cell.key.from].toString()) + "\" name=\"" +
                   xmlText(caseName(measurement, cell)) + "\" time=\"" + seconds(cell.rttMean) +
                   "\"";
    if (cell.asExpected()) {
      suite.cases += "/>\n";
      continue;
    }
    ++(cell.measured ? suite.failures : suite.errors);
    const std::string verdict = cell.measured ? "failure" : "error";
    suite.cases += ">\n      <" + verdict + " message=\"" + xmlText(cell.reason) + "\"/>\n" +
                   "    </testcase>\n";
  }
  const auto counts = [](const Suite& suite) {
    return "tests=\"" + std::to_string(suite.tests) + "\" failures=\"" +
           std::to_string(suite.failures) + "\" errors=\"" + std::to_string(suite.errors) + "\"";
  };
  std::string body;
  for (const auto& [from, suite] : suites) {
    all.tests += suite.tests;
    all.failures += suite.failures;
    all.errors += suite.errors;
    body += "  <testsuite name=\"" + xmlText(measurement.ends[from].toString()) + "\" " +
            counts(suite) + ">\n" + suite.cases + "  </testsuite>\n";
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"podlab reach\" " +
         counts(all) + " time=\"" + seconds(measurement.took) + "\">\n" + body + "</testsuites>\n";
}

void reachTap(const ReachMeasurement& measurement, const TextSink& sink) {
  std::string text = "TAP version 14\n1.." + std::to_string(measurement.cells.size()) + "\n";
  std::size_t number = 0;
  for (const ReachCell& cell : measurement.cells) {
    text += (cell.asExpected() ? "ok " : "not ok ") + std::to_string(++number) + " - " +
            caseName(measurement, cell) + "\n";
    if (!cell.asExpected()) {
      std::string reason;
      appendJsonString(reason, cell.reason);
      text += "  ---\n  message: " + reason + "\n  ...\n";
    }
    passOn(text, sink);
  }
  sink(text);
}

}  // namespace podlab::cli
