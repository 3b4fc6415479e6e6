#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "api/selectors.hpp"
#include "client/informer.hpp"
#include "common/time.hpp"

namespace podlab::controllers {

/// What of a pod counts for its owner's status.
struct PodFacts {
  std::shared_ptr<const api::Labels> labels;  ///< shared by pods of one owner that have the same
  bool active = false;
  std::optional<WallTime> readySince;
};

/// The facts of all pods of a cache, by owner: who owns thousands learns of a change of one without
/// a look at the others.
class PodFactsIndex {
 public:
  /// Before the handlers of those who read it.
  explicit PodFactsIndex(client::Informer& pods);
  PodFactsIndex(const PodFactsIndex&) = delete;
  PodFactsIndex& operator=(const PodFactsIndex&) = delete;

  /// By key, in no order. The owner as ownerOf() has it.
  using Pods = std::unordered_map<std::string, PodFacts>;
  const Pods& of(const std::string& owner) const;

 private:
  void add(const corev1::Pod& pod);
  void remove(const corev1::Pod& pod);

  std::unordered_map<std::string, Pods> owners_;
};

}  // namespace podlab::controllers
