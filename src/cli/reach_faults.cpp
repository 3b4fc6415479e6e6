#include "cli/reach_faults.hpp"

#include <algorithm>
#include <utility>

namespace podlab::cli {
namespace {

bool comesBetween(const lab::FaultEffects::Loss& loss, const std::string& one,
                  const std::string& other) {
  return (loss.from.contains(one) && loss.to.contains(other)) ||
         (loss.from.contains(other) && loss.to.contains(one));
}

bool isFull(const lab::Fault& fault) {
  switch (fault.kind) {
    case lab::FaultKind::kPartition:
    case lab::FaultKind::kLinkDown:
    case lab::FaultKind::kNodeKill:
    case lab::FaultKind::kNodeFreeze:
      return true;
    case lab::FaultKind::kLoss:
      return fault.loss >= 1;
    default:
      return false;
  }
}

/// Whether it holds the node itself, so that nothing of it answers, not even to itself.
bool holdsNodes(lab::FaultKind kind) {
  return kind == lab::FaultKind::kNodeKill || kind == lab::FaultKind::kNodeFreeze;
}

}  // namespace

ReachFaults::ReachFaults(const google::protobuf::RepeatedPtrField<lab::FaultInForce>& inForce,
                         const lab::NodeLabels& nodes) {
  for (const auto& one : inForce) {
    auto fault = lab::readFault(one.fault(), nodes);
    if (!fault) continue;  // a node of it has gone meanwhile
    std::string text = "fault " + one.id() + ", " + one.fault().kind() + " " +
                       lab::wordsFor(one.fault()) + " until " + one.endsat();
    auto effects = lab::effectsOf({{one.id(), *fault}}, nodes);
    faults_.push_back({std::move(text), std::move(*fault), std::move(effects.losses)});
  }
}

ReachFaults::Cause ReachFaults::causeOf(const ReachEnd& from, const ReachEnd& to,
                                        bool measured) const {
  const std::string server(lab::kServerMember);
  const auto keeps = [&](const Declared& declared) {
    const bool between = std::ranges::any_of(declared.losses, [&](const auto& loss) {
      return comesBetween(loss, from.node, to.node) ||
             (!measured && comesBetween(loss, from.node, server));
    });
    if (between) return true;
    if (!declared.losses.empty()) return false;
    const auto& nodes = declared.fault.groups.front();
    const bool of = nodes.contains(from.node) || nodes.contains(to.node);
    return of && (from.node != to.node || !measured || holdsNodes(declared.fault.kind));
  };
  // One that lets nothing pass is a better reason than one that lets some.
  const Declared* found = nullptr;
  for (const Declared& declared : faults_) {
    if (!keeps(declared)) continue;
    if (isFull(declared.fault)) return {declared.text, true};
    if (found == nullptr) found = &declared;
  }
  return found == nullptr ? Cause() : Cause{found->text, false};
}

}  // namespace podlab::cli
