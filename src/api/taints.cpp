#include "api/taints.hpp"

#include <algorithm>

namespace podlab::api {

bool tolerates(const corev1::Toleration& toleration, const corev1::Taint& taint) {
  if (!toleration.effect().empty() && toleration.effect() != taint.effect()) return false;
  if (!toleration.key().empty() && toleration.key() != taint.key()) return false;
  if (toleration.operator_() == "Exists") return true;
  if (!toleration.operator_().empty() && toleration.operator_() != "Equal") return false;
  return toleration.value() == taint.value();
}

bool tolerates(const Tolerations& tolerations, const corev1::Taint& taint) {
  return std::ranges::any_of(
      tolerations, [&](const corev1::Toleration& each) { return tolerates(each, taint); });
}

const corev1::Taint* firstUntolerated(const Taints& taints, const Tolerations& tolerations,
                                      std::string_view effect, std::string_view orEffect) {
  for (const corev1::Taint& taint : taints) {
    if (taint.effect() != effect && taint.effect() != orEffect) continue;
    if (!tolerates(tolerations, taint)) return &taint;
  }
  return nullptr;
}

const corev1::Taint* findTaint(const corev1::Node& node, std::string_view key,
                               std::string_view effect) {
  for (const corev1::Taint& taint : node.spec().taints()) {
    if (taint.key() == key && taint.effect() == effect) return &taint;
  }
  return nullptr;
}

}  // namespace podlab::api
