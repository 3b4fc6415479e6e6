#include <algorithm>
#include <string_view>

#include "cli/reach_output.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

constexpr std::string_view kPlace = "__REACH_DATA__";

/// A cell in a letter, as the page knows them.
char letterOf(const ReachCell& cell) {
  if (!cell.measured) return '?';
  if (cell.asExpected()) return cell.allowed ? '+' : '-';
  if (!cell.allowed) return '!';
  if (cell.refused && cell.gotThrough()) return 'o';
  return cell.oneWay() ? '<' : 'x';
}

/// The measurement in few bytes, for hundreds of pods: a row a sender, with a letter for each
/// receiver, a letter and a latency for each of the receiver's probes, and details of faults alone.
class PageData {
 public:
  explicit PageData(const ReachMeasurement& measurement)
      : measurement_(measurement), matrix_(matrixOf(measurement.cells)) {
    probes_.resize(measurement.ends.size());
    for (const ReachCell& cell : measurement.cells) {
      auto& names = probes_[cell.key.to];
      names.emplace(std::tuple(cell.key.family, cell.key.protocol, cell.key.port), 0);
    }
    for (auto& names : probes_) {
      std::size_t position = 0;
      for (auto& [key, index] : names) index = position++;
    }
  }

  std::string json() {
    std::string out;
    JsonWriter writer(out);
    writer.beginObject();
    writer.key("ok");
    writer.boolean(measurement_.ok());
    writeNumber(writer, "probes", measurement_.cells.size());
    writeNumber(writer, "unexpected", measurement_.unexpected());
    writeNumber(writer, "unmeasured", measurement_.unmeasured());
    writeNumber(
        writer, "tookMilliseconds",
        static_cast<std::size_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(measurement_.took).count()));
    writeEnds(writer);
    writeRows(writer);
    writeFaults(writer);
    writer.endObject();
    return out;
  }

 private:
  using ProbeName = std::tuple<net::Family, std::uint8_t, std::uint16_t>;

  static void writeNumber(JsonWriter& writer, std::string_view key, std::size_t value) {
    writer.key(key);
    writer.number(std::uint64_t{value});
  }

  std::size_t positionOf(const ReachCell& cell) const {
    return probes_[cell.key.to].at({cell.key.family, cell.key.protocol, cell.key.port});
  }

  void writeEnds(JsonWriter& writer) {
    writer.key("ends");
    writer.beginArray();
    for (std::size_t i = 0; i < measurement_.ends.size(); ++i) {
      const ReachEnd& end = measurement_.ends[i];
      writer.beginObject();
      writer.key("name");
      writer.string(end.toString());
      writer.key("kind");
      writer.string(end.kind == ReachEnd::Kind::kPod ? "pod" : "other");
      writer.key("node");
      writer.string(end.node);
      writer.key("ips");
      writer.beginArray();
      for (const auto& address : end.addresses) writer.string(address.toString());
      writer.endArray();
      writer.key("probes");
      writer.beginArray();
      for (const auto& [name, position] : probes_[i]) {
        ReachCell cell;
        std::tie(cell.key.family, cell.key.protocol, cell.key.port) = name;
        writer.string(cellName(cell));
      }
      writer.endArray();
      writer.endObject();
    }
    writer.endArray();
  }

  void writeRows(JsonWriter& writer) {
    writer.key("receivers");
    writer.beginArray();
    std::vector<std::size_t> offsets(probes_.size());
    std::vector<std::uint32_t> receivers;
    std::size_t width = 0;
    for (std::uint32_t i = 0; i < probes_.size(); ++i) {
      if (probes_[i].empty()) continue;
      offsets[i] = width;
      width += probes_[i].size();
      receivers.push_back(i);
      writer.number(std::uint64_t{i});
    }
    writer.endArray();
    writer.key("rows");
    writer.beginArray();
    auto cell = measurement_.cells.begin();
    while (cell != measurement_.cells.end()) {
      const std::uint32_t from = cell->key.from;
      std::string letters(width, ' ');
      std::vector<std::int64_t> latencies(width, -1);
      for (; cell != measurement_.cells.end() && cell->key.from == from; ++cell) {
        const std::size_t at = offsets[cell->key.to] + positionOf(*cell);
        letters[at] = letterOf(*cell);
        if (cell->answered > 0) latencies[at] = cell->rttMean.count() / 1000;
      }
      std::string pairs;
      for (const std::uint32_t to : receivers) {
        const auto found = matrix_.find({from, to});
        pairs += found == matrix_.end() ? ' ' : static_cast<char>(found->second.symbol());
      }
      writer.beginObject();
      writeNumber(writer, "from", from);
      writer.key("pairs");
      writer.string(pairs);
      writer.key("cells");
      writer.string(letters);
      writer.key("rtt");
      writer.beginArray();
      for (const std::int64_t latency : latencies) writer.number(latency);
      writer.endArray();
      writer.endObject();
    }
    writer.endArray();
  }

  void writeFaults(JsonWriter& writer) {
    std::map<std::string, std::size_t> known;
    std::vector<std::string> reasons;
    writer.key("faults");
    writer.beginArray();
    for (const ReachCell& cell : measurement_.cells) {
      if (cell.asExpected()) continue;
      const auto [found, added] = known.emplace(cell.reason, reasons.size());
      if (added) reasons.push_back(cell.reason);
      writer.beginArray();
      for (const std::size_t number : {std::size_t{cell.key.from}, std::size_t{cell.key.to},
                                       positionOf(cell), found->second, std::size_t{cell.sent}}) {
        writer.number(std::uint64_t{number});
      }
      cell.arrived ? writer.number(std::uint64_t{*cell.arrived}) : writer.null();
      writer.number(std::uint64_t{cell.answered});
      writer.endArray();
    }
    writer.endArray();
    writer.key("reasons");
    writer.beginArray();
    for (const auto& reason : reasons) writer.string(reason);
    writer.endArray();
  }

  const ReachMeasurement& measurement_;
  const ReachMatrix matrix_;
  std::vector<std::map<ProbeName, std::size_t>> probes_;  ///< of each receiver, with positions
};

}  // namespace

std::string reachHtml(const ReachMeasurement& measurement) {
  const std::string_view page(kReachReportPage);
  const auto place = page.find(kPlace);
  std::string html(page.substr(0, place));
  // Nothing in the data may end their script element.
  for (const char c : PageData(measurement).json()) {
    c == '<' ? html += "\\u003c" : html += c;
  }
  return html.append(page.substr(place + kPlace.size()));
}

}  // namespace podlab::cli
