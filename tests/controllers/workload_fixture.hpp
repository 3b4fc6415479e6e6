#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps_v1.pb.h"

#include "api/codec.hpp"
#include "api/owners.hpp"
#include "client/informer.hpp"
#include "client/modify.hpp"
#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {

/// What the nodes' agents would do with pods: make them Ready a while after they are bound, and
/// remove them a while after they are to end. The image "broken" never becomes Ready.
class FakeAgents {
 public:
  FakeAgents(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor)
      : api_(api),
        clock_(clock),
        rng_(rng),
        tasks_(executor),
        pods_(api, clock, rng, executor, {&api::kindFor<corev1::Pod>(), "", "", ""}) {
    client::Informer::Handlers handlers;
    handlers.added = [this](const api::ObjectPtr& pod) { see(pod); };
    handlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& pod) { see(pod); };
    pods_.addHandlers(std::move(handlers));
    pods_.start();
  }
  Co<void> stop() {
    co_await pods_.stop();
    co_await tasks_.cancelAndJoin();
  }
  /// A node whose agent is away does nothing for its pods.
  void setAway(const std::string& node, bool away) {
    if (away) {
      away_.insert(node);
      return;
    }
    away_.erase(node);
    for (const auto& pod : pods_.list()) see(pod);
  }
  Duration slowest = std::chrono::seconds(3);
  /// What the pod's container ends with, a while after it is ready; by default it runs on.
  std::function<std::optional<int>(const corev1::Pod&)> exitCode = [](const corev1::Pod&) {
    return std::optional<int>();
  };

 private:
  void see(const api::ObjectPtr& object) {
    const auto& pod = api::as<corev1::Pod>(object);
    if (pod.spec().nodename().empty() || away_.contains(pod.spec().nodename())) return;
    // One that a finalizer holds has no grace left.
    if (pod.metadata().has_deletiontimestamp() && pod.metadata().deletiongraceperiodseconds() == 0)
      return;
    if (pod.metadata().has_deletiontimestamp()) {
      if (ending_.insert(pod.metadata().uid()).second) tasks_.spawn("end", end(object));
    } else if (!api::isFinished(pod) && !api::isTrue(pod.status(), "Ready") &&
               pod.spec().containers(0).image() != "broken") {
      if (starting_.insert(pod.metadata().uid()).second) tasks_.spawn("ready", becomeReady(object));
    }
  }
  Co<void> pause() {
    return clock_.sleepFor(Duration(rng_.below(static_cast<std::uint64_t>(slowest.count()) + 1)));
  }
  api::ResourceId idOf(const google::protobuf::Message& pod) const {
    return {&api::kindFor<corev1::Pod>(), api::meta(pod).namespace_(), api::meta(pod).name(), ""};
  }
  Co<void> becomeReady(api::ObjectPtr pod) {
    co_await pause();
    starting_.erase(api::meta(*pod).uid());
    if (away_.contains(api::as<corev1::Pod>(pod).spec().nodename())) co_return;
    api::ResourceId id = idOf(*pod);
    id.subresource = "status";
    const client::Change change = [&](google::protobuf::Message& now) {
      auto& found = static_cast<corev1::Pod&>(now);
      if (found.metadata().uid() != api::meta(*pod).uid() ||
          found.metadata().has_deletiontimestamp())
        return false;
      found.mutable_status()->set_phase("Running");
      return api::setCondition(*found.mutable_status(), {"Ready", "True", "", ""},
                               clock_.wallNow());
    };
    auto ready = co_await client::modify(api_, std::move(id), nullptr, change);
    if (!ready) co_return;
    if (const auto code = exitCode(api::as<corev1::Pod>(*ready)))
      tasks_.spawn("exit", exit(*ready, *code));
  }
  Co<void> exit(api::ObjectPtr pod, int code) {
    co_await pause();
    if (away_.contains(api::as<corev1::Pod>(pod).spec().nodename())) co_return;
    api::ResourceId id = idOf(*pod);
    id.subresource = "status";
    const client::Change change = [&](google::protobuf::Message& now) {
      auto& found = static_cast<corev1::Pod&>(now);
      if (found.metadata().uid() != api::meta(*pod).uid() || api::isFinished(found)) return false;
      auto& status = *found.mutable_status();
      status.set_phase(code == 0 ? "Succeeded" : "Failed");
      status.clear_containerstatuses();
      auto& container = *status.add_containerstatuses();
      container.set_name(found.spec().containers(0).name());
      auto& terminated = *container.mutable_state()->mutable_terminated();
      terminated.set_exitcode(code);
      *terminated.mutable_finishedat() = api::toTime(clock_.wallNow());
      api::setCondition(status, {"Ready", "False", "PodCompleted", ""}, clock_.wallNow());
      return true;
    };
    (void)co_await client::modify(api_, std::move(id), nullptr, change);
  }
  Co<void> end(api::ObjectPtr pod) {
    co_await pause();
    ending_.erase(api::meta(*pod).uid());
    if (away_.contains(api::as<corev1::Pod>(pod).spec().nodename())) co_return;
    api::DeleteOptions options;
    options.set_graceperiodseconds(0);
    options.mutable_preconditions()->set_uid(api::meta(*pod).uid());
    (void)co_await api_.remove(idOf(*pod), std::move(options));
  }

  api::Api& api_;
  Clock& clock_;
  Rng& rng_;
  std::set<std::string> away_;
  std::set<std::string> starting_;
  std::set<std::string> ending_;
  TaskGroup tasks_;
  client::Informer pods_;
};

/// Three nodes, whose agents are faked, and short forms for workloads.
class WorkloadTest : public ClusterTest {
 protected:
  WorkloadTest() : agents_(*admin_, clock_, rng_, io_.get_executor()) {}
  ~WorkloadTest() override {
    run(agents_.stop());
    stopManager();
  }

  void startCluster(api::Api* api = nullptr, int nodes = 3) {
    startManager(options(), api);
    for (int i = 1; i <= nodes; ++i) {
      const std::string name = "n" + std::to_string(i);
      addNode(name);
      auto node = get<corev1::Node>(name);
      for (const auto& [resource, amount] : {std::pair<std::string, std::string>{"cpu", "16"},
                                             {"memory", "64Gi"},
                                             {"pods", "110"}}) {
        (*node->mutable_status()->mutable_capacity())[resource].set_string(amount);
        (*node->mutable_status()->mutable_allocatable())[resource].set_string(amount);
      }
      ASSERT_TRUE(update(*node, "status").ok());
    }
    clock_.runUntilIdle();
  }
  /// The controllers are killed in whatever they do, and start anew.
  void restartManager(api::Api* api = nullptr) {
    const auto alive = alive_;
    stopManager();
    alive_ = alive;
    startManager(options(), api);
  }

  template <typename T>
  static T fromJson(const std::string& json) {
    T object;
    const Status read = api::fromJson(json, object);
    EXPECT_TRUE(read.ok()) << read.toString();
    return object;
  }
  /// `spec` is JSON without its braces, beside selector and template.
  template <typename T>
  static T workload(const std::string& name, const std::string& spec,
                    const std::string& image = "a") {
    return fromJson<T>(R"({"metadata":{"name":")" + name + R"("},"spec":{)" + spec +
                       R"(,"selector":{"matchLabels":{"app":")" + name +
                       R"("}},"template":{"metadata":{"labels":{"app":")" + name +
                       R"("}},"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}}})");
  }
  template <typename T>
  void patched(const std::string& name, const std::string& json) {
    const auto done = patch<T>(name, api::PatchType::kMerge, json);
    ASSERT_TRUE(done.ok()) << done.status().toString();
    clock_.runUntilIdle();
  }
  void setImage(const std::string& deployment, const std::string& image) {
    patched<appsv1::Deployment>(
        deployment, R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" + image +
                        R"("}]}}}})");
  }

  std::vector<corev1::Pod> pods() {
    std::vector<corev1::Pod> all;
    for (const auto& object : list<corev1::Pod>().items)
      all.push_back(api::as<corev1::Pod>(object));
    return all;
  }
  std::vector<appsv1::ReplicaSet> sets() {
    std::vector<appsv1::ReplicaSet> all;
    for (const auto& object : list<appsv1::ReplicaSet>().items)
      all.push_back(api::as<appsv1::ReplicaSet>(object));
    return all;
  }
  /// The set of the deployment whose pods have the image.
  appsv1::ReplicaSet setOf(const std::string& image) {
    for (auto& set : sets()) {
      if (set.spec().template_().spec().containers(0).image() == image) return set;
    }
    ADD_FAILURE() << "no replica set of image " << image;
    return {};
  }
  appsv1::DeploymentCondition condition(const std::string& deployment, const std::string& type) {
    const auto found = get<appsv1::Deployment>(deployment);
    for (const auto& condition : found->status().conditions()) {
      if (condition.type() == type) return condition;
    }
    return {};
  }
  /// Messages of the events about an object with this reason, in their order.
  std::vector<std::string> messages(const std::string& about, const std::string& reason) {
    clock_.runUntilIdle();
    std::map<std::uint64_t, std::string> byRevision;
    for (const auto& object : list<corev1::Event>().items) {
      const auto& event = api::as<corev1::Event>(object);
      if (event.involvedobject().name() == about && event.reason() == reason)
        byRevision[std::stoull(event.metadata().resourceversion())] = event.message();
    }
    std::vector<std::string> found;
    for (auto& [revision, message] : byRevision) found.push_back(std::move(message));
    return found;
  }

  FakeAgents agents_;
};

}  // namespace podlab::controllers
