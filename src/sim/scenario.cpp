#include "sim/scenario.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "scenario.pb.h"

#include "api/codec.hpp"
#include "api/names.hpp"
#include "api/quantity.hpp"
#include "common/rng.hpp"
#include "lab/cluster_config.hpp"
#include "lab/fault_timeline.hpp"
#include "lab/hollow_config.hpp"
#include "sim/sim_server.hpp"

namespace podlab::sim {
namespace {

using lab::invalidField;

constexpr int kMaxNodes = 20'000;
constexpr int kMaxShapes = 10'000;
constexpr Duration kLongest = std::chrono::hours(24 * 365);
constexpr std::int64_t kCpuStep = 10;  // milli
constexpr std::int64_t kMemoryStep = std::int64_t{16} << 20;

Cause required(std::string field, std::string_view what) {
  return {"FieldValueRequired", std::move(field), "Required value: " + std::string(what)};
}
Cause forbidden(std::string field, std::string_view why) {
  return {"FieldValueForbidden", std::move(field), "Forbidden: " + std::string(why)};
}

/// Reads the parts of one file and collects what is wrong with them.
class Reader {
 public:
  Reader(const config::v1alpha1::Scenario& file, const ScenarioOverrides& overrides,
         const std::function<Result<std::string>(const std::string&)>& readFile)
      : file_(file), overrides_(overrides), readFile_(readFile) {}

  Result<Scenario> read() {
    if (file_.has_seed()) scenario_.seed = static_cast<std::uint64_t>(file_.seed());
    if (overrides_.seed) scenario_.seed = *overrides_.seed;
    if (overrides_.duration) {
      scenario_.duration = *overrides_.duration;
    } else if (!file_.has_duration()) {
      causes_.push_back(required("duration", "how much virtual time, such as 24h"));
    } else {
      scenario_.duration = span("duration", file_.duration());
    }
    if (file_.has_sample()) scenario_.sample = span("sample", file_.sample());
    if (file_.has_heartbeat()) scenario_.heartbeat = span("heartbeat", file_.heartbeat());
    scenario_.nodeGrace = 4 * scenario_.heartbeat;
    if (file_.has_nodegrace()) scenario_.nodeGrace = span("nodeGrace", file_.nodegrace());
    if (causes_.empty() && scenario_.nodeGrace <= scenario_.heartbeat)
      causes_.push_back(invalidField("nodeGrace", formatDuration(scenario_.nodeGrace),
                                     "must be longer than heartbeat (" +
                                         formatDuration(scenario_.heartbeat) +
                                         "), or nodes that are well are taken for dead"));
    readNetwork();
    readNodes();
    std::set<std::string> names;
    for (int i = 0; i < file_.workloads_size(); ++i) {
      const std::string path = "workloads[" + std::to_string(i) + "].";
      readWorkload(file_.workloads(i), path);
      if (!names.insert(file_.workloads(i).name()).second)
        causes_.push_back({"FieldValueDuplicate", path + "name",
                           "Duplicate value: \"" + file_.workloads(i).name() + "\""});
    }
    readFaults();
    if (causes_.empty()) return std::move(scenario_);
    return Status(Code::kInvalid, "the scenario is not valid", std::move(causes_));
  }

 private:
  Duration span(std::string field, const std::string& text, Duration least = Duration(1)) {
    const auto value = parseDuration(text);
    if (value && *value >= least && *value <= kLongest) return *value;
    causes_.push_back(invalidField(std::move(field), text,
                                   least > Duration(0)
                                       ? "must be a duration such as 90s, above 0 and at most 8760h"
                                       : "must be a duration such as 10ms, at most 8760h"));
    return least;
  }
  Distribution distribution(std::string field, const std::string& json, Distribution::Unit unit) {
    auto parsed = Distribution::parse(json, unit);
    if (parsed) return *parsed;
    causes_.push_back(
        {"FieldValueInvalid", std::move(field), "Invalid value: " + parsed.status().message()});
    return {};
  }
  std::string quantity(const std::string& field, const resourcev1::Quantity& value) {
    const auto amount = api::Quantity::parse(value);
    if (!amount) {
      causes_.push_back(invalidField(field, value.string(), amount.status().message()));
    } else if (*amount <= api::Quantity()) {
      causes_.push_back(invalidField(field, value.string(), "must be greater than zero"));
    }
    return value.string();
  }

  void readNetwork() {
    const auto& network = file_.network();
    const std::string mode = network.has_mode() ? network.mode() : "rpc";
    scenario_.direct = mode == "direct";
    if (mode != "rpc" && mode != "direct")
      causes_.push_back(
          {"FieldValueNotSupported", "network.mode",
           "Unsupported value: \"" + mode + "\": supported values: \"direct\", \"rpc\""});
    if (network.has_delay())
      scenario_.link.delay = span("network.delay", network.delay(), Duration(0));
    if (network.has_jitter())
      scenario_.link.jitter = span("network.jitter", network.jitter(), Duration(0));
    if (network.has_loss()) {
      const auto loss = lab::parseShare(network.loss());
      if (!loss || *loss >= 1)
        causes_.push_back(invalidField("network.loss", network.loss(),
                                       "must be a share such as 0.1%, above 0% and below 100%"));
      scenario_.link.loss = loss.value_or(0);
    }
    for (const auto& [field, isSet] : {std::pair("network.delay", network.has_delay()),
                                       {"network.jitter", network.has_jitter()},
                                       {"network.loss", network.has_loss()}}) {
      if (scenario_.direct && isSet)
        causes_.push_back(forbidden(field, "with mode direct there is no network; say mode: rpc"));
    }
  }

  void readNodes() {
    if (file_.nodes().empty()) causes_.push_back(required("nodes", "a group of nodes at least"));
    std::set<std::string> names;
    for (int i = 0; i < file_.nodes_size(); ++i) {
      const auto& nodes = file_.nodes(i);
      const std::string path = "nodes[" + std::to_string(i) + "].";
      NodeGroup group;
      group.name = nodes.has_name() ? nodes.name() : "node";
      for (const auto& why : api::faultsOfDns1123Label(group.name))
        causes_.push_back(invalidField(path + "name", group.name, why));
      if (!names.insert(group.name).second)
        causes_.push_back(
            {"FieldValueDuplicate", path + "name",
             "Duplicate value: \"" + group.name + "\": another group's nodes have this name"});
      group.count = nodes.has_count() ? nodes.count() : 1;
      if (group.count < 1 || group.count > kMaxNodes)
        causes_.push_back(invalidField(path + "count", std::to_string(group.count),
                                       "must be between 1 and " + std::to_string(kMaxNodes)));
      group.capacity = {{"cpu", "4"}, {"memory", "32Gi"}, {"pods", "110"}};
      if (nodes.has_cpu()) group.capacity["cpu"] = quantity(path + "cpu", nodes.cpu());
      if (nodes.has_memory()) group.capacity["memory"] = quantity(path + "memory", nodes.memory());
      if (nodes.has_maxpods()) group.capacity["pods"] = std::to_string(nodes.maxpods());
      if (nodes.has_maxpods() && (nodes.maxpods() < 1 || nodes.maxpods() > 250))
        causes_.push_back(invalidField(path + "maxPods", std::to_string(nodes.maxpods()),
                                       "must be between 1 and 250: a node has a /24"));
      group.labels.insert(nodes.labels().begin(), nodes.labels().end());
      for (const auto& [key, value] : nodes.labels()) {
        for (const auto& why : api::faultsOfQualifiedName(key))
          causes_.push_back(invalidField(path + "labels", key, why));
        for (const auto& why : api::faultsOfLabelValue(value))
          causes_.push_back(invalidField(path + "labels[" + key + "]", value, why));
      }
      group.zones.assign(nodes.zones().begin(), nodes.zones().end());
      for (const auto& zone : group.zones) {
        for (const auto& why : api::faultsOfLabelValue(zone))
          causes_.push_back(invalidField(path + "zones", zone, why));
      }
      group.taints.assign(nodes.taints().begin(), nodes.taints().end());
      lab::checkBehaviour(nodes.behaviour(), path + "behaviour", causes_);
      group.behaviour = lab::readBehaviour(nodes.behaviour());
      scenario_.nodes.push_back(std::move(group));
    }
    if (scenario_.nodeCount() > kMaxNodes)
      causes_.push_back(invalidField("nodes", std::to_string(scenario_.nodeCount()),
                                     "at most " + std::to_string(kMaxNodes) + " nodes in all"));
  }

  void readWorkload(const config::v1alpha1::Workload& from, const std::string& path) {
    Workload work;
    work.name = from.name();
    for (const auto& why : api::faultsOfDns1123Label(work.name))
      causes_.push_back(invalidField(path + "name", work.name, why));
    const std::string kind = from.has_kind() ? from.kind() : "Pod";
    if (kind == "Deployment") {
      work.kind = Workload::Kind::kDeployment;
    } else if (kind == "Job") {
      work.kind = Workload::Kind::kJob;
    } else if (kind != "Pod") {
      causes_.push_back({"FieldValueNotSupported", path + "kind",
                         "Unsupported value: \"" + kind +
                             "\": supported values: \"Deployment\", \"Job\", \"Pod\""});
    }
    using Unit = Distribution::Unit;
    if (from.has_every())
      work.every = distribution(path + "every", from.every().raw(), Unit::kDuration);
    if (from.has_size()) work.size = distribution(path + "size", from.size().raw(), Unit::kNumber);
    if (from.has_start()) work.start = span(path + "start", from.start(), Duration(0));
    if (from.has_until()) work.until = span(path + "until", from.until());
    if (from.has_limit()) work.limit = from.limit();
    if (from.has_limit() && from.limit() < 1)
      causes_.push_back(
          invalidField(path + "limit", std::to_string(from.limit()), "must be at least 1"));
    if (from.has_lifetime())
      work.lifetime = distribution(path + "lifetime", from.lifetime().raw(), Unit::kDuration);
    if (work.kind == Workload::Kind::kJob && !from.has_lifetime() && !from.has_trace())
      causes_.push_back(required(path + "lifetime", "how long the pods of a Job run"));
    if (from.has_replicas())
      work.replicas = distribution(path + "replicas", from.replicas().raw(), Unit::kNumber);
    if (from.has_replicas() && work.kind == Workload::Kind::kPod)
      causes_.push_back(forbidden(path + "replicas", "a Pod is one; say size, or another kind"));
    work.pod = from.pod();
    if (!work.pod.containers().empty())
      causes_.push_back(forbidden(path + "pod.containers", "the shapes say what the container is"));
    if (from.has_trace()) {
      for (const auto& [field, isSet] : {std::pair("every", from.has_every()),
                                         {"size", from.has_size()},
                                         {"lifetime", from.has_lifetime()},
                                         {"replicas", from.has_replicas()},
                                         {"shapes", !from.shapes().empty()},
                                         {"zipf", from.has_zipf()}}) {
        if (isSet) causes_.push_back(forbidden(path + field, "the trace says it"));
      }
      readTrace(from.trace(), path + "trace", work);
    } else {
      if (!from.has_every())
        causes_.push_back(required(path + "every", "how much time is between two arrivals"));
      readShapes(from, path, work);
    }
    scenario_.workloads.push_back(std::move(work));
  }

  void readShapes(const config::v1alpha1::Workload& from, const std::string& path, Workload& work) {
    if (from.shapes().empty() == !from.has_zipf()) {
      causes_.push_back(required(path + "shapes", "say either shapes or zipf"));
      return;
    }
    for (int i = 0; i < from.shapes_size(); ++i) {
      const std::string at = path + "shapes[" + std::to_string(i) + "].";
      const auto& shape = from.shapes(i);
      if (!shape.has_cpu()) causes_.push_back(required(at + "cpu", "a quantity such as 100m"));
      if (!shape.has_memory())
        causes_.push_back(required(at + "memory", "a quantity such as 500Mi"));
      if (shape.has_cpu()) quantity(at + "cpu", shape.cpu());
      if (shape.has_memory()) quantity(at + "memory", shape.memory());
      if (shape.has_weight() && !(shape.weight() > 0 && std::isfinite(shape.weight())))
        causes_.push_back(
            invalidField(at + "weight", std::to_string(shape.weight()), "must be above 0"));
      work.shapes.push_back({api::Quantity::read(shape.cpu()).milliValue(),
                             api::Quantity::read(shape.memory()).value(),
                             shape.has_weight() ? shape.weight() : 1});
    }
    if (from.has_zipf()) readZipf(from.zipf(), path + "zipf.", work);
  }

  void readZipf(const config::v1alpha1::ZipfShapes& zipf, const std::string& path, Workload& work) {
    if (zipf.count() < 1 || zipf.count() > kMaxShapes) {
      causes_.push_back(invalidField(path + "count", std::to_string(zipf.count()),
                                     "must be between 1 and " + std::to_string(kMaxShapes)));
      return;
    }
    if (!zipf.has_cpu()) causes_.push_back(required(path + "cpu", "a distribution of cores"));
    if (!zipf.has_memory()) causes_.push_back(required(path + "memory", "a distribution of GiB"));
    if (!zipf.has_cpu() || !zipf.has_memory()) return;
    const double exponent = zipf.has_exponent() ? zipf.exponent() : 1;
    const auto cpu = distribution(path + "cpu", zipf.cpu().raw(), Distribution::Unit::kNumber);
    const auto memory =
        distribution(path + "memory", zipf.memory().raw(), Distribution::Unit::kNumber);
    SeededRng rng(scenario_.seed, "shapes/" + work.name);
    const auto inSteps = [](double amount, std::int64_t step, std::int64_t most) {
      const double steps = std::clamp(std::round(amount / static_cast<double>(step)), 1.0,
                                      static_cast<double>(most / step));
      return static_cast<std::int64_t>(steps) * step;
    };
    for (int i = 1; i <= zipf.count(); ++i) {
      Shape shape;
      shape.milliCpu = inSteps(cpu.sample(rng) * 1000, kCpuStep, 1'000'000'000);
      shape.memory = inSteps(memory.sample(rng) * (1 << 30), kMemoryStep, std::int64_t{1} << 50);
      shape.weight = std::pow(i, -exponent);
      work.shapes.push_back(shape);
    }
  }

  /// arrival,lifetime,cpu,memory[,replicas]; an empty lifetime is for ever.
  void readTrace(const std::string& file, const std::string& field, Workload& work) {
    auto text = readFile_(file);
    if (!text) {
      causes_.push_back(invalidField(field, file, text.status().message()));
      return;
    }
    std::multimap<Duration, Workload::TraceEntry> inOrder;
    std::string_view rest = *text;
    for (int number = 1; !rest.empty(); ++number) {
      const auto end = rest.find('\n');
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty() || line.starts_with('#') || (number == 1 && line.starts_with("arrival")))
        continue;
      auto entry = traceEntry(line, work.kind);
      if (!entry) {
        causes_.push_back(
            invalidField(field, file + ":" + std::to_string(number), entry.status().message()));
        return;
      }
      inOrder.emplace(entry->arrival, *entry);
    }
    work.trace.emplace();
    for (const auto& [arrival, entry] : inOrder) work.trace->push_back(entry);
  }

  static Result<Workload::TraceEntry> traceEntry(std::string_view line, Workload::Kind kind) {
    std::vector<std::string> cells(1);
    for (const char c : line) {
      if (c == ',') {
        cells.emplace_back();
      } else if (c != ' ') {
        cells.back() += c;
      }
    }
    const auto fault = [](const std::string& what) { return Status(Code::kBadRequest, what); };
    if (cells.size() < 4 || cells.size() > 5)
      return fault("must be arrival,lifetime,cpu,memory[,replicas], such as 90s,10m,500m,1Gi");
    Workload::TraceEntry entry;
    const auto seconds = [](const std::string& text) -> std::optional<Duration> {
      double value = 0;
      const auto end = text.data() + text.size();
      const auto [parsed, error] = std::from_chars(text.data(), end, value);
      const auto duration = error == std::errc() && parsed == end
                                ? Duration(std::llround(std::min(value, 1e9) * 1e9))
                                : parseDuration(text).value_or(Duration(-1));
      if (duration < Duration(0) || duration > kLongest) return std::nullopt;
      return duration;
    };
    const auto arrival = seconds(cells[0]);
    if (!arrival) return fault("\"" + cells[0] + "\" is no time of arrival; say 90s, or seconds");
    entry.arrival = *arrival;
    if (!cells[1].empty()) {
      entry.lifetime = seconds(cells[1]);
      if (!entry.lifetime) return fault("\"" + cells[1] + "\" is no lifetime; say 10m, or seconds");
    } else if (kind == Workload::Kind::kJob) {
      return fault("a Job's pods need a lifetime");
    }
    const auto cpu = api::Quantity::parse(cells[2]);
    const auto memory = api::Quantity::parse(cells[3]);
    if (!cpu || cpu->isNegative()) return fault("\"" + cells[2] + "\" is no amount of CPU");
    if (!memory || memory->isNegative())
      return fault("\"" + cells[3] + "\" is no amount of memory");
    entry.shape = {cpu->milliValue(), memory->value(), 1};
    if (cells.size() < 5) return entry;
    const auto end = cells[4].data() + cells[4].size();
    const auto [parsed, error] = std::from_chars(cells[4].data(), end, entry.replicas);
    if (error != std::errc() || parsed != end || entry.replicas < 1)
      return fault("\"" + cells[4] + "\" is no number of replicas");
    return entry;
  }

  void readFaults() {
    scenario_.faults = file_.faults();
    if (!scenario_.faults.has_seed() || overrides_.seed)
      scenario_.faults.set_seed(static_cast<std::int64_t>(scenario_.seed));
    lab::NodeLabels labels;
    for (const auto& group : scenario_.nodes) {
      for (int i = 0; i < std::min(group.count, kMaxNodes); ++i)
        labels[group.nodeName(i)] = group.labels;
    }
    if (labels.empty()) return;
    for (int i = 0; i < scenario_.faults.timeline_size(); ++i) {
      const auto& entry = scenario_.faults.timeline(i);
      const std::string path = "faults.timeline[" + std::to_string(i) + "].";
      if (scenario_.direct && entry.kind() != kServerKill && !isOfHosts(entry.kind())) {
        causes_.push_back(invalidField(path + "kind", entry.kind(),
                                       "with network.mode direct there is no network; say rpc"));
        continue;
      }
      if (entry.kind() == "rate" || entry.kind() == "node-freeze") {
        causes_.push_back(invalidField(path + "kind", entry.kind(),
                                       "is not simulated; delay and link-down come near"));
        continue;
      }
      config::v1alpha1::Fault known = entry;
      if (entry.kind() == kServerKill) {
        if (entry.has_nodes()) causes_.push_back(forbidden(path + "nodes", "there is one server"));
        known.set_kind("node-kill");
        known.set_nodes("*");
      } else if (entry.kind() == kReset) {
        known.set_kind("agent-kill");
      }
      auto faults = lab::faultsOfEntry(known, labels, path);
      causes_.insert(causes_.end(), faults.begin(), faults.end());
    }
  }
  static bool isOfHosts(std::string_view kind) {
    return kind == "node-kill" || kind == "agent-kill";
  }

  const config::v1alpha1::Scenario& file_;
  const ScenarioOverrides& overrides_;
  const std::function<Result<std::string>(const std::string&)>& readFile_;
  Scenario scenario_;
  std::vector<Cause> causes_;
};

}  // namespace

int Scenario::nodeCount() const {
  std::int64_t count = 0;
  for (const auto& group : nodes) count += group.count;
  return static_cast<int>(std::min<std::int64_t>(count, std::numeric_limits<int>::max()));
}

Result<Scenario> parseScenario(
    std::string_view text, const ScenarioOverrides& overrides,
    const std::function<Result<std::string>(const std::string& path)>& readFile) {
  using File = config::v1alpha1::Scenario;
  bool isScenario = false;
  const auto lookup = [&](const api::TypeMeta& type) -> const google::protobuf::Message* {
    isScenario = type.kind == "Scenario" && type.apiVersion == lab::kClusterApiVersion;
    return isScenario ? &File::default_instance() : nullptr;
  };
  api::DecodeOptions options;
  options.strict = true;
  auto objects = api::decodeManifest(text, lookup, options);
  if (!objects && isScenario) return objects.status();
  if (!objects || objects->size() != 1)
    return Status(
        Code::kBadRequest,
        (objects ? std::string("there must be exactly one document") : objects.status().message()) +
            "; a scenario has apiVersion: " + std::string(lab::kClusterApiVersion) +
            ", kind: Scenario");
  return Reader(static_cast<const File&>(*objects->front().object), overrides, readFile).read();
}

}  // namespace podlab::sim
