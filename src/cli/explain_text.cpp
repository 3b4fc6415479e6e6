#include "cli/explain_text.hpp"

#include <algorithm>

#include "cli/table.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

using scheduler::NodeExplanation;

std::string join(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

/// "500m cpu more on n1; or without default/a, default/b".
std::string remedyOf(const NodeExplanation& node) {
  if (node.isHopeless()) return "nothing that is known";
  std::string text = join(node.changes, ", ");
  if (node.leaving.empty()) return text;
  if (!text.empty()) text += node.changesInstead ? "; or " : ", ";
  text += "without " + join(node.leaving, ", ");
  if (node.preempts) text += " (preempts)";
  return text;
}

std::string summary(const PlacementQuestion& question, const scheduler::Explanation& explanation) {
  const auto fitting = std::ranges::count_if(explanation.nodes, &NodeExplanation::fits);
  std::string text = "pod " + question.pod + ", scheduler " + question.scheduler + ", priority " +
                     std::to_string(question.priority) + "\n";
  if (!question.node.empty()) text += "it is on " + question.node + "; as if it were not:\n";
  if (!question.note.empty()) text += question.note + "\n";
  if (fitting == 0) return text + explanation.choice.diagnosis.toString() + "\n";
  return text + "it fits on " + std::to_string(fitting) + " of " +
         std::to_string(explanation.nodes.size()) + " nodes\n";
}

void writeTexts(JsonWriter& writer, std::string_view key, const std::vector<std::string>& texts) {
  writer.key(key);
  writer.beginArray();
  for (const auto& text : texts) writer.string(text);
  writer.endArray();
}

void writeScores(JsonWriter& writer, const scheduler::NodeScores& scores) {
  writer.key("total");
  writer.number(scores.total());
  writer.key("scores");
  writer.beginArray();
  for (std::size_t i = 0; i < scheduler::kScoreCount; ++i) {
    writer.beginObject();
    writer.key("name");
    writer.string(scheduler::kScorePlugins[i].name);
    writer.key("score");
    writer.number(scores.scores[i]);
    writer.key("weight");
    writer.number(scheduler::kScorePlugins[i].weight);
    writer.endObject();
  }
  writer.endArray();
}

void writeRejections(JsonWriter& writer, const NodeExplanation& node) {
  writer.key("rejections");
  writer.beginArray();
  for (const auto& rejection : node.rejections) {
    writer.beginObject();
    writer.key("filter");
    writer.string(rejection.filter);
    writeTexts(writer, "reasons", rejection.reasons);
    writer.endObject();
  }
  writer.endArray();
  writeTexts(writer, "changes", node.changes);
  writeTexts(writer, "leaving", node.leaving);
  writer.key("changesInstead");
  writer.boolean(node.changesInstead);
  writer.key("preempts");
  writer.boolean(node.preempts);
  writeTexts(writer, "keptFor", node.keptFor);
}

}  // namespace

std::string placementText(const PlacementQuestion& question,
                          const scheduler::Explanation& explanation) {
  std::vector<std::string> header{"NODE", "TOTAL"};
  for (const auto& [name, weight] : scheduler::kScorePlugins)
    header.push_back(std::string(name) + "*" + std::to_string(weight));
  Table fitting(std::move(header));
  Table others({"NODE", "FILTER", "REASON", "WOULD FIT WITH"});
  for (const auto& node : explanation.nodes) {
    if (node.fits()) {
      std::vector<std::string> row{node.node, std::to_string(node.scores.total())};
      for (const auto score : node.scores.scores) row.push_back(std::to_string(score));
      fitting.add(std::move(row));
      continue;
    }
    for (std::size_t i = 0; i < node.rejections.size(); ++i) {
      const auto& rejection = node.rejections[i];
      std::string reason = join(rejection.reasons, ", ");
      if (!node.keptFor.empty()) reason += ", with room kept for " + join(node.keptFor, ", ");
      others.add({i == 0 ? node.node : "", std::string(rejection.filter), std::move(reason),
                  i == 0 ? remedyOf(node) : ""});
    }
  }
  std::string text = summary(question, explanation);
  if (!fitting.empty()) text += "\n" + fitting.text();
  if (!others.empty()) text += "\n" + others.text();
  return text;
}

std::string placementJson(const PlacementQuestion& question,
                          const scheduler::Explanation& explanation) {
  std::string text;
  JsonWriter writer(text, 4);
  const auto write = [&writer](std::string_view key, const std::string& value) {
    writer.key(key);
    writer.string(value);
  };
  writer.beginObject();
  write("pod", question.pod);
  write("schedulerName", question.scheduler);
  writer.key("priority");
  writer.number(std::int64_t{question.priority});
  if (!question.node.empty()) write("node", question.node);
  if (!question.note.empty()) write("note", question.note);
  const bool found = explanation.choice.found();
  if (!found) write("message", explanation.choice.diagnosis.toString());
  writer.key("fits");
  writer.boolean(found);
  writer.key("nodes");
  writer.beginArray();
  for (const auto& node : explanation.nodes) {
    writer.beginObject();
    write("node", node.node);
    writer.key("fits");
    writer.boolean(node.fits());
    if (node.fits()) {
      writeScores(writer, node.scores);
    } else {
      writeRejections(writer, node);
    }
    writer.endObject();
  }
  writer.endArray();
  writer.endObject();
  return text + "\n";
}

}  // namespace podlab::cli
