#include "lab/fault.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace podlab::lab {
namespace {

constexpr Duration kLongestDelay = std::chrono::minutes(1);
constexpr std::uint64_t kLeastRate = 1'000;
constexpr std::uint64_t kMostRate = 100'000'000'000;
/// The chance of one packet in nftables' terms (net::NftRuleWriter::kChances).
constexpr double kLeastShare = 1e-6;

struct KindName {
  FaultKind kind;
  const char* name;
};
constexpr KindName kKinds[] = {
    {FaultKind::kPartition, "partition"},
    {FaultKind::kLoss, "loss"},
    {FaultKind::kDelay, "delay"},
    {FaultKind::kRate, "rate"},
    {FaultKind::kLinkDown, "link-down"},
    {FaultKind::kNodeKill, "node-kill"},
    {FaultKind::kNodeFreeze, "node-freeze"},
    {FaultKind::kAgentKill, "agent-kill"},
};

std::optional<FaultKind> kindOf(const std::string& name) {
  for (const auto& known : kKinds) {
    if (name == known.name) return known.kind;
  }
  return std::nullopt;
}

/// Whether it is about packets between groups.
bool hasGroups(FaultKind kind) {
  return kind == FaultKind::kPartition || kind == FaultKind::kLoss;
}

Cause required(std::string field, std::string_view what) {
  return {"FieldValueRequired", std::move(field), "Required value: " + std::string(what)};
}

Cause forbidden(std::string field, std::string_view why) {
  return {"FieldValueForbidden", std::move(field), "Forbidden: " + std::string(why)};
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const auto end = text.find(separator);
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.emplace_back(part);
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// With '*' for any characters. Of several ways to match, only the last '*' has to try others.
bool matches(std::string_view pattern, std::string_view name) {
  constexpr auto kNone = std::string_view::npos;
  std::size_t star = kNone, begin = 0, p = 0, n = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      begin = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != kNone) {
      p = star + 1;
      n = ++begin;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == kNone;
}

bool isPattern(std::string_view member) {
  return member.find('*') != std::string_view::npos || member.find('=') != std::string_view::npos;
}

std::string listOf(const NodeLabels& nodes) {
  constexpr std::size_t kShown = 10;
  std::string list;
  std::size_t shown = 0;
  for (const auto& [name, labels] : nodes) {
    if (++shown > kShown) return list + ", ...";
    list += (list.empty() ? "" : ", ") + name;
  }
  return list;
}

/// What a member of a group means; an error's words when that is nothing.
struct Meant {
  std::set<std::string> members;
  std::string problem;
};

Meant membersOf(const std::string& member, const NodeLabels& nodes) {
  if (member.empty()) return {{}, "a name is missing"};
  if (const auto equals = member.find('='); equals != std::string::npos) {
    const std::string key = member.substr(0, equals);
    const std::string value =
        member.substr(member.starts_with(key + "==") ? equals + 2 : equals + 1);
    Meant meant;
    for (const auto& [name, labels] : nodes) {
      const auto label = labels.find(key);
      if (label != labels.end() && label->second == value) meant.members.insert(name);
    }
    if (meant.members.empty()) meant.problem = "no node has the label " + member;
    return meant;
  }
  if (member.find('*') != std::string::npos) {
    Meant meant;
    for (const auto& [name, labels] : nodes) {
      if (matches(member, name)) meant.members.insert(name);
    }
    if (meant.members.empty())
      meant.problem = "no node has such a name; there are: " + listOf(nodes);
    return meant;
  }
  if (nodes.contains(member)) return {{member}, ""};
  if (member == "server") return {{std::string(kServerMember)}, ""};
  return {{}, "no node is called " + member + "; there are: " + listOf(nodes)};
}

struct Field {
  std::string name;
  std::string text;
};

/// The groups of a fault, as its fields have them.
std::vector<Field> groupFields(const FaultConfig& config) {
  if (config.between().empty()) return {{"nodes", config.nodes()}};
  std::vector<Field> fields;
  for (int i = 0; i < config.between_size(); ++i)
    fields.push_back({"between[" + std::to_string(i) + "]", config.between(i)});
  return fields;
}

/// Names first: a pattern or a label takes what no group names.
std::vector<std::set<std::string>> resolve(const std::vector<Field>& fields,
                                           const NodeLabels& nodes, const std::string& path,
                                           std::vector<Cause>& causes) {
  std::vector<std::set<std::string>> groups(fields.size());
  std::set<std::string> taken;
  const std::size_t before = causes.size();
  for (const bool patterns : {false, true}) {
    std::set<std::string> more;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      for (const auto& member : split(fields[i].text, ',')) {
        if (isPattern(member) != patterns) continue;
        const Meant meant = membersOf(member, nodes);
        if (!meant.problem.empty())
          causes.push_back(invalidField(path + fields[i].name, fields[i].text, meant.problem));
        for (const auto& name : meant.members) {
          if (taken.contains(name)) continue;
          const bool other = more.contains(name) && !groups[i].contains(name);
          if (other && !patterns)
            causes.push_back(
                invalidField(path + fields[i].name, fields[i].text, member + " is in two groups"));
          if (!other) groups[i].insert(name);
          more.insert(name);
        }
      }
    }
    taken.merge(more);
  }
  for (std::size_t i = 0; i < groups.size() && causes.size() == before; ++i) {
    if (groups[i].empty())
      causes.push_back(invalidField(path + fields[i].name, fields[i].text,
                                    "its nodes are all in an earlier group"));
  }
  return groups;
}

/// Which kind has which measure, and how it reads.
struct Measure {
  FaultKind kind;
  const char* field;
  const std::string& (FaultConfig::*text)() const;
  bool (FaultConfig::*isSet)() const;
  bool optional;
  bool (*isGood)(std::string_view text);
  const char* form;
};

bool isRate(std::string_view text) {
  const auto rate = parseBitRate(text);
  return rate && *rate >= kLeastRate && *rate <= kMostRate;
}
bool isShare(std::string_view text) {
  return parseShare(text).has_value();
}
bool isDelay(std::string_view text) {
  return parseSpan(text, kLongestDelay).has_value();
}

const Measure kMeasures[] = {
    {FaultKind::kLoss, "loss", &FaultConfig::loss, &FaultConfig::has_loss, false, isShare,
     "must be a share such as 30%, above 0% and at most 100%"},
    {FaultKind::kDelay, "delay", &FaultConfig::delay, &FaultConfig::has_delay, false, isDelay,
     "must be a duration such as 100ms, above 0 and at most 1m"},
    {FaultKind::kDelay, "jitter", &FaultConfig::jitter, &FaultConfig::has_jitter, true, isDelay,
     "must be a duration such as 10ms, above 0 and at most 1m"},
    {FaultKind::kRate, "rate", &FaultConfig::rate, &FaultConfig::has_rate, false, isRate,
     "must be bits a second such as 10Mbit, between 1kbit and 100Gbit"},
};

void checkMeasures(const FaultConfig& config, FaultKind kind, const std::string& path,
                   std::vector<Cause>& causes) {
  for (const auto& measure : kMeasures) {
    const std::string field = path + measure.field;
    if (measure.kind != kind) {
      if ((config.*measure.isSet)())
        causes.push_back(forbidden(field, "not of the kind " + config.kind()));
    } else if ((config.*measure.isSet)()) {
      const std::string& text = (config.*measure.text)();
      if (!measure.isGood(text)) causes.push_back(invalidField(field, text, measure.form));
    } else if (!measure.optional) {
      causes.push_back(required(field, measure.form));
    }
  }
}

Fault check(const FaultConfig& config, const NodeLabels& nodes, const std::string& path,
            std::vector<Cause>& causes) {
  Fault fault;
  const auto kind = kindOf(config.kind());
  if (!kind) {
    std::string supported;
    for (const auto& known : kKinds)
      supported += (supported.empty() ? "\"" : ", \"") + std::string(known.name) + "\"";
    causes.push_back(
        {"FieldValueNotSupported", path + "kind",
         "Unsupported value: \"" + config.kind() + "\": supported values: " + supported});
    return fault;
  }
  fault.kind = *kind;
  fault.oneWay = config.oneway();
  if (config.between().empty() && !config.has_nodes()) {
    causes.push_back(required(path + "nodes", hasGroups(*kind)
                                                  ? "say nodes, or between with several groups"
                                                  : "say which nodes, \"*\" for all"));
  } else if (!config.between().empty() && (config.has_nodes() || !hasGroups(*kind))) {
    causes.push_back(forbidden(path + "between", hasGroups(*kind)
                                                     ? "say either nodes or between"
                                                     : "not of the kind " + config.kind()));
  } else {
    fault.groups = resolve(groupFields(config), nodes, path, causes);
    if (!hasGroups(*kind) && fault.groups.front().contains(std::string(kServerMember)))
      causes.push_back(invalidField(path + "nodes", config.nodes(),
                                    "of the server only partition and loss know"));
  }
  if (fault.oneWay && !hasGroups(*kind))
    causes.push_back(forbidden(path + "oneWay", "not of the kind " + config.kind()));
  checkMeasures(config, *kind, path, causes);
  if (config.has_for_() && *kind == FaultKind::kAgentKill)
    causes.push_back(forbidden(path + "for", "an agent is started again at once"));
  const auto lease = parseSpan(config.for_());
  if (config.has_for_() && !lease)
    causes.push_back(invalidField(path + "for", config.for_(),
                                  "must be a duration such as 30s, above 0 and at most 8760h"));
  fault.lease = lease.value_or(kDefaultLease);
  fault.loss = config.has_loss() ? parseShare(config.loss()).value_or(1) : 1;
  fault.delay = parseDuration(config.delay()).value_or(Duration(0));
  fault.jitter = parseDuration(config.jitter()).value_or(Duration(0));
  fault.bitsPerSecond = parseBitRate(config.rate()).value_or(0);
  return fault;
}

/// A number at the beginning of the text, which is cut off; nullopt: none, or a strange one.
std::optional<double> takeNumber(std::string_view& text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

}  // namespace

Cause invalidField(std::string field, std::string_view value, std::string_view why) {
  return {"FieldValueInvalid", std::move(field),
          "Invalid value: \"" + std::string(value) + "\": " + std::string(why)};
}

std::vector<Cause> faultsOfFault(const FaultConfig& config, const NodeLabels& nodes,
                                 const std::string& path) {
  std::vector<Cause> causes;
  (void)check(config, nodes, path, causes);
  return causes;
}

Result<Fault> readFault(const FaultConfig& config, const NodeLabels& nodes) {
  std::vector<Cause> causes;
  Fault fault = check(config, nodes, "", causes);
  if (causes.empty()) return fault;
  std::string message = causes.front().field + ": " + causes.front().message;
  return Status(Code::kInvalid, std::move(message), std::move(causes));
}

Result<std::set<std::string>> nodesOf(const std::string& list, const NodeLabels& nodes) {
  std::vector<Cause> causes;
  auto groups = resolve({{"nodes", list}}, nodes, "", causes);
  if (causes.empty()) return groups.front();
  return Status(Code::kInvalid, causes.front().field + ": " + causes.front().message, causes);
}

std::string wordsFor(const FaultConfig& config) {
  std::string words;
  for (const std::string* measure : {&config.loss(), &config.delay(), &config.rate()}) {
    if (!measure->empty()) words = *measure;
  }
  if (config.has_jitter()) words += "±" + config.jitter();
  if (!words.empty()) words += config.between().empty() ? " at " : " between ";
  std::string groups = config.nodes();
  for (const auto& group : config.between()) groups += (groups.empty() ? "" : "|") + group;
  words += groups;
  if (config.oneway()) words += ", one way";
  return words;
}

std::optional<double> parseShare(std::string_view text) {
  const auto percent = takeNumber(text);
  if (!percent || text != "%") return std::nullopt;
  const double share = *percent / 100;
  if (share < kLeastShare || share > 1) return std::nullopt;
  return share;
}

std::optional<std::uint64_t> parseBitRate(std::string_view text) {
  const auto number = takeNumber(text);
  if (!number || *number < 0) return std::nullopt;
  if (text.ends_with("bit")) text.remove_suffix(3);
  double unit = 1;
  if (text == "k" || text == "K") {
    unit = 1e3;
  } else if (text == "M" || text == "m") {
    unit = 1e6;
  } else if (text == "G" || text == "g") {
    unit = 1e9;
  } else if (!text.empty()) {
    return std::nullopt;
  }
  const double bits = std::round(*number * unit);
  if (bits > 1e18) return std::nullopt;
  return static_cast<std::uint64_t>(bits);
}

std::optional<Duration> parseSpan(std::string_view text, Duration most) {
  const auto duration = parseDuration(text);
  if (!duration || *duration <= Duration(0) || *duration > most) return std::nullopt;
  return duration;
}

}  // namespace podlab::lab
