#pragma once
#include <memory>
#include <string>
#include <string_view>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "common/clock.hpp"

namespace podlab::client {

enum class EventClass { kNormal, kWarning };

/// Writes core/v1 Events about objects, in the background and in the order in which they were
/// recorded. Repeated ones become one Event with a count; those that differ in their messages alone
/// share one from the tenth in 10 min on ("(combined from similar events): ..."); an object that
/// makes too many is throttled (25 at once, then one in 5 min): all as client-go's correlator.
/// Events are for people: what cannot be written after a few tries is dropped.
class EventRecorder {
 public:
  /// `component` and `host` name the source ("podlab-agent", "node-1").
  EventRecorder(api::Api& api, Clock& clock, asio::any_io_executor executor, std::string component,
                std::string host = "");
  ~EventRecorder();

  /// Normal events are not recorded from now on.
  void recordWarningsOnly();
  void record(const google::protobuf::Message& object, EventClass type, std::string_view reason,
              std::string message);
  /// About a part of an object: `fieldPath` is e.g. "spec.containers{web}".
  void record(const google::protobuf::Message& object, std::string_view fieldPath, EventClass type,
              std::string_view reason, std::string message);
  /// About an object that only a reference names.
  void record(corev1::ObjectReference about, EventClass type, std::string_view reason,
              std::string message);

  /// Until all that was recorded is written or dropped.
  Co<void> flush();
  Co<void> stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// As kubelet and the node controllers refer to a node: by its name, also for the uid.
corev1::ObjectReference referenceToNode(const std::string& name);

}  // namespace podlab::client
