#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/conditions.hpp"
#include "api/times.hpp"
#include "controllers/controller_manager.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::controllers {

/// The control plane in virtual time, with agents that only renew their Leases.
class ClusterTest : public apiserver::ServiceTest {
 protected:
  ~ClusterTest() override { stopManager(); }

  static ManagerOptions options(const char* range = "10.244.0.0/16", int prefix = 24) {
    ManagerOptions made;
    made.ranges = {{*net::Cidr::parse(range), prefix}};
    return made;
  }

  void startManager(ManagerOptions chosen = options(), api::Api* api = nullptr) {
    manager_ = std::make_unique<ControllerManager>(api == nullptr ? *admin_ : *api, clock_, rng_,
                                                   io_.get_executor(), std::move(chosen));
    manager_->start();
    run(manager_->waitForSync());
    clock_.runUntilIdle();
  }
  void stopManager() {
    alive_.clear();
    if (manager_) run(manager_->stop());
    manager_.reset();
  }

  /// A Ready node with a Lease; renewed by pass() while it is in alive_.
  void addNode(const std::string& name) {
    corev1::Node node;
    node.mutable_metadata()->set_name(name);
    ASSERT_TRUE(create(node).ok());
    setReady(name, "True");
    coordinationv1::Lease lease;
    lease.mutable_metadata()->set_name(name);
    lease.mutable_metadata()->set_namespace_("kube-node-lease");
    ASSERT_TRUE(create(lease).ok());
    alive_.insert(name);
    clock_.runUntilIdle();
  }
  void setReady(const std::string& name, const std::string& status) {
    auto node = get<corev1::Node>(name);
    const api::ConditionState ready{"Ready", status, "Test", ""};
    api::setCondition(*node->mutable_status(), ready, clock_.wallNow());
    ASSERT_TRUE(update(*node, "status").ok());
    clock_.runUntilIdle();
  }
  /// Lets time pass; living agents renew every 10 s.
  void pass(Duration time) {
    for (Duration done{}; done < time; done += std::chrono::seconds(10)) {
      for (const auto& name : alive_) {
        const api::ResourceId lease{&api::kindFor<coordinationv1::Lease>(), "kube-node-lease", name,
                                    ""};
        auto found = run(admin_->get(lease));
        auto next = std::make_shared<coordinationv1::Lease>(api::as<coordinationv1::Lease>(*found));
        *next->mutable_spec()->mutable_renewtime() = api::toMicroTime(clock_.wallNow());
        ASSERT_TRUE(run(admin_->update(lease, next, {})).ok());
      }
      clock_.advance(std::min<Duration>(std::chrono::seconds(10), time - done));
    }
  }

  void addPod(const std::string& name, const std::string& node) {
    ASSERT_TRUE(create(pod(name, node)).ok());
    auto made = get<corev1::Pod>(name);
    made->mutable_status()->set_phase("Running");
    const api::ConditionState ready{"Ready", "True", "", ""};
    api::setCondition(*made->mutable_status(), ready, clock_.wallNow());
    ASSERT_TRUE(update(*made, "status").ok());
    clock_.runUntilIdle();
  }
  std::string ready(const std::string& node) {
    const auto found = get<corev1::Node>(node);
    const auto* condition = api::findCondition(found->status(), "Ready");
    return condition == nullptr ? "" : condition->status();
  }
  std::set<std::string> taints(const std::string& node) {
    std::set<std::string> made;
    const auto found = get<corev1::Node>(node);
    for (const auto& taint : found->spec().taints()) {
      made.insert(taint.key() + ":" + taint.effect());
    }
    return made;
  }
  std::vector<std::string> ranges(const std::string& node) {
    const auto found = get<corev1::Node>(node);
    return {found->spec().podcidrs().begin(), found->spec().podcidrs().end()};
  }
  /// Reasons of the events about an object, in order.
  std::multiset<std::string> events(const std::string& about) {
    clock_.runUntilIdle();
    std::multiset<std::string> reasons;
    for (const auto& object : list<corev1::Event>().items) {
      const auto& event = api::as<corev1::Event>(object);
      if (event.involvedobject().name() == about) reasons.insert(event.reason());
    }
    return reasons;
  }

  std::set<std::string> alive_;
  std::unique_ptr<ControllerManager> manager_;
};

}  // namespace podlab::controllers
