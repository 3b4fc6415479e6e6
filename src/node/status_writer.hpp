#pragma once
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "api/packed.hpp"
#include "common/clock.hpp"
#include "node/shared_limits.hpp"

namespace podlab::node {

/// Brings the pods' statuses to the server: for each pod at most one write at a time, the latest
/// status wins, and writes are tried again until they succeed or the pod (by uid) is gone.
class StatusWriter {
 public:
  /// `limits`: null: none.
  StatusWriter(api::Api& api, Clock& clock, asio::any_io_executor executor,
               std::shared_ptr<SharedLimits> limits = nullptr);
  ~StatusWriter();

  /// The pod as the server has it; older states than the known one are ignored.
  void observe(const api::ObjectPtr& pod);
  /// What the pod's status is to be. The pod must have been observed.
  void set(const std::string& uid, api::PackedPtr status);
  /// Until what was set is at the server, or cannot be because the pod is gone.
  Co<void> flush(std::string uid);
  /// Drops what was set.
  void forget(const std::string& uid);
  Co<void> stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::node
