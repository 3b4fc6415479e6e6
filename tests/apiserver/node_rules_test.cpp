#include "apiserver/node_rules.hpp"

#include <gmock/gmock.h>

#include "networking_v1.pb.h"

#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::apiserver {
namespace {

using corev1::Pod;

class NodeRulesTest : public testing::Test {
 protected:
  // Pods: mine and dying (terminating) on n1, theirs on n2, free on none. Events: e1 of n1, e2 of
  // n2.
  static api::ObjectPtr lookup(const api::Kind& kind, const std::string&, const std::string& name) {
    if (&kind == &api::kindFor<corev1::Event>()) {
      auto event = std::make_shared<corev1::Event>();
      event->mutable_source()->set_host(name == "e1" ? "n1" : "n2");
      return event;
    }
    if (&kind == &api::kindFor<corev1::PersistentVolumeClaim>()) {
      auto claim = std::make_shared<corev1::PersistentVolumeClaim>();
      claim->mutable_spec()->set_volumename("pv-of-" + name);
      return claim;
    }
    if (&kind == &api::kindFor<corev1::PersistentVolume>()) return volume(name);
    if (&kind != &api::kindFor<Pod>() || name == "absent") return nullptr;
    auto pod = std::make_shared<Pod>();
    if (name != "free") pod->mutable_spec()->set_nodename(name == "theirs" ? "n2" : "n1");
    if (name == "dying") pod->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
    return pod;
  }
  /// n1 is to remove the folder of "released".
  static std::shared_ptr<corev1::PersistentVolume> volume(const std::string& name) {
    auto made = std::make_shared<corev1::PersistentVolume>();
    made->mutable_spec()->set_storageclassname("local");
    if (name == "released")
      (*made->mutable_metadata()->mutable_labels())[api::kReclaimLabel] = "n1";
    return made;
  }
  /// The pods of n1 refer to the ConfigMap "settings", the Secret "keys" and the claim "data", all
  /// in the namespace "ns"; n2 has none.
  static bool anyPod(const std::string& node,
                     const std::function<bool(const corev1::Pod& pod)>& isSuch) {
    if (node != "n1") return false;
    Pod pod;
    pod.mutable_metadata()->set_namespace_("ns");
    auto& container = *pod.mutable_spec()->add_containers();
    container.add_envfrom()->mutable_secretref()->mutable_localobjectreference()->set_name("keys");
    pod.mutable_spec()
        ->add_volumes()
        ->mutable_volumesource()
        ->mutable_configmap()
        ->mutable_localobjectreference()
        ->set_name("settings");
    pod.mutable_spec()
        ->add_volumes()
        ->mutable_volumesource()
        ->mutable_persistentvolumeclaim()
        ->set_claimname("data");
    return isSuch(pod);
  }
  static bool allows(const Attributes& attributes) {
    return nodeMay("n1", attributes, &NodeRulesTest::lookup, &NodeRulesTest::anyPod);
  }
};

template <typename T>
api::ResourceId id(std::string ns, std::string name, std::string subresource = "") {
  return {&api::kindFor<T>(), std::move(ns), std::move(name), std::move(subresource)};
}

TEST_F(NodeRulesTest, Matrix) {
  using coordinationv1::Lease;
  using corev1::Node;
  api::DeleteOptions none;
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  auto mine = std::make_shared<corev1::Event>();
  mine->mutable_source()->set_host("n1");
  auto theirs = std::make_shared<corev1::Event>();
  theirs->mutable_source()->set_host("n2");
  auto elsewhere = volume("released");
  elsewhere->mutable_spec()->mutable_persistentvolumesource()->mutable_hostpath()->set_path("/");
  using Claim = corev1::PersistentVolumeClaim;
  using Volume = corev1::PersistentVolume;
  const std::string ownPods = "spec.nodeName=n1";
  struct Case {
    Attributes attributes;
    bool allowed;
  };
  const Case cases[] = {
      {{"get", id<Node>("", "n2"), "", nullptr, nullptr}, true},
      {{"list", id<Node>("", ""), "", nullptr, nullptr}, true},
      {{"watch", id<Node>("", ""), "", nullptr, nullptr}, true},
      {{"create", id<Node>("", "n1"), "", nullptr, nullptr}, true},
      {{"create", id<Node>("", "n2"), "", nullptr, nullptr}, false},
      {{"update", id<Node>("", "n1"), "", nullptr, nullptr}, true},
      {{"update", id<Node>("", "n1", "status"), "", nullptr, nullptr}, true},
      {{"patch", id<Node>("", "n1", "status"), "", nullptr, nullptr}, true},
      {{"patch", id<Node>("", "n2", "status"), "", nullptr, nullptr}, false},
      {{"delete", id<Node>("", "n1"), "", &none, nullptr}, false},
      {{"get", id<Lease>("kube-node-lease", "n1"), "", nullptr, nullptr}, true},
      {{"create", id<Lease>("kube-node-lease", "n1"), "", nullptr, nullptr}, true},
      {{"update", id<Lease>("kube-node-lease", "n1"), "", nullptr, nullptr}, true},
      {{"update", id<Lease>("kube-node-lease", "n2"), "", nullptr, nullptr}, false},
      {{"update", id<Lease>("default", "n1"), "", nullptr, nullptr}, false},
      {{"list", id<Lease>("kube-node-lease", ""), "", nullptr, nullptr}, false},
      {{"delete", id<Lease>("kube-node-lease", "n1"), "", &none, nullptr}, false},
      {{"list", id<Pod>("", ""), ownPods, nullptr, nullptr}, true},
      {{"watch", id<Pod>("", ""), ownPods, nullptr, nullptr}, true},
      {{"list", id<Pod>("", ""), "spec.nodeName=n2", nullptr, nullptr}, false},
      {{"list", id<Pod>("", ""), "spec.nodeName!=n1", nullptr, nullptr}, false},
      {{"list", id<Pod>("", ""), "", nullptr, nullptr}, true},
      {{"watch", id<Pod>("", ""), "", nullptr, nullptr}, true},
      {{"list", id<Pod>("default", ""), "", nullptr, nullptr}, false},
      {{"list", id<corev1::Namespace>("", ""), "", nullptr, nullptr}, true},
      {{"watch", id<networkingv1::NetworkPolicy>("", ""), "", nullptr, nullptr}, true},
      {{"get", id<networkingv1::NetworkPolicy>("default", "p"), "", nullptr, nullptr}, false},
      {{"update", id<networkingv1::NetworkPolicy>("default", "p"), "", nullptr, nullptr}, false},
      {{"delete", id<corev1::Namespace>("", "default"), "", &now, nullptr}, false},
      {{"get", id<Pod>("default", "mine"), "", nullptr, nullptr}, true},
      {{"get", id<Pod>("default", "theirs"), "", nullptr, nullptr}, false},
      {{"get", id<Pod>("default", "free"), "", nullptr, nullptr}, false},
      {{"get", id<Pod>("default", "absent"), "", nullptr, nullptr}, true},
      {{"get", id<Pod>("default", "mine", "log"), "", nullptr, nullptr}, false},
      {{"create", id<Pod>("default", "mine", "exec"), "", nullptr, nullptr}, false},
      {{"create", id<Pod>("default", "new"), "", nullptr, nullptr}, false},
      {{"create", id<Pod>("default", "free", "binding"), "", nullptr, nullptr}, false},
      {{"update", id<Pod>("default", "mine", "status"), "", nullptr, nullptr}, true},
      {{"patch", id<Pod>("default", "mine", "status"), "", nullptr, nullptr}, true},
      {{"update", id<Pod>("default", "mine"), "", nullptr, nullptr}, false},
      {{"update", id<Pod>("default", "theirs", "status"), "", nullptr, nullptr}, false},
      {{"update", id<Pod>("default", "free", "status"), "", nullptr, nullptr}, false},
      {{"delete", id<Pod>("default", "dying"), "", &now, nullptr}, true},
      {{"delete", id<Pod>("default", "dying"), "", &none, nullptr}, false},
      {{"delete", id<Pod>("default", "mine"), "", &now, nullptr}, false},
      {{"delete", id<Pod>("default", "theirs"), "", &now, nullptr}, false},
      {{"create", id<corev1::Event>("default", "e"), "", nullptr, mine}, true},
      {{"create", id<corev1::Event>("default", "e"), "", nullptr, theirs}, false},
      {{"create", id<corev1::Event>("default", "e", "binding"), "", nullptr,
        std::make_shared<corev1::Binding>()},
       false},
      {{"create", id<corev1::Event>("default", "e"), "", nullptr,
        std::make_shared<corev1::Binding>()},
       false},
      {{"create", id<corev1::Event>("default", "e"), "", nullptr, nullptr}, false},
      {{"update", id<corev1::Event>("default", "e1"), "", nullptr, mine}, true},
      {{"update", id<corev1::Event>("default", "e1"), "", nullptr, theirs}, false},
      {{"update", id<corev1::Event>("default", "e2"), "", nullptr, mine}, false},
      {{"patch", id<corev1::Event>("default", "e1"), "", nullptr, nullptr}, true},
      {{"patch", id<corev1::Event>("default", "e2"), "", nullptr, nullptr}, false},
      {{"list", id<corev1::Event>("default", ""), "", nullptr, nullptr}, false},
      {{"get", id<corev1::Secret>("default", "s"), "", nullptr, nullptr}, false},
      {{"list", id<corev1::ConfigMap>("default", ""), "", nullptr, nullptr}, false},
      {{"get", id<corev1::ConfigMap>("ns", "settings"), "", nullptr, nullptr}, true},
      {{"get", id<corev1::ConfigMap>("other", "settings"), "", nullptr, nullptr}, false},
      {{"get", id<corev1::ConfigMap>("ns", "keys"), "", nullptr, nullptr}, false},
      {{"get", id<corev1::Secret>("ns", "keys"), "", nullptr, nullptr}, true},
      {{"list", id<corev1::Secret>("ns", ""), "metadata.name=keys", nullptr, nullptr}, true},
      {{"watch", id<corev1::Secret>("ns", ""), "metadata.name=keys", nullptr, nullptr}, true},
      {{"watch", id<corev1::Secret>("", ""), "metadata.name=keys", nullptr, nullptr}, false},
      {{"watch", id<corev1::Secret>("ns", ""), "metadata.name!=keys", nullptr, nullptr}, false},
      {{"watch", id<corev1::Secret>("ns", ""), "", nullptr, nullptr}, false},
      {{"update", id<corev1::Secret>("ns", "keys"), "", nullptr, nullptr}, false},
      {{"get", id<Claim>("ns", "data"), "", nullptr, nullptr}, true},
      {{"get", id<Claim>("ns", "other"), "", nullptr, nullptr}, false},
      {{"update", id<Claim>("ns", "data", "status"), "", nullptr, nullptr}, false},
      {{"get", id<Volume>("", "pv-of-data"), "", nullptr, nullptr}, true},
      {{"watch", id<Volume>("", ""), "metadata.name=pv-of-data", nullptr, nullptr}, true},
      {{"watch", id<Volume>("", ""), "metadata.name=pv-of-else", nullptr, nullptr}, false},
      {{"watch", id<Volume>("", ""), "", nullptr, nullptr}, false},
      {{"watch", id<Volume>("", ""), "", nullptr, nullptr, "podlab.io/reclaimed-by=n1"}, true},
      {{"watch", id<Volume>("", ""), "", nullptr, nullptr, "podlab.io/reclaimed-by=n2"}, false},
      {{"get", id<Volume>("", "released"), "", nullptr, nullptr}, true},
      {{"update", id<Volume>("", "released"), "", nullptr, volume("released")}, true},
      {{"update", id<Volume>("", "released"), "", nullptr, elsewhere}, false},
      {{"update", id<Volume>("", "pv-of-data"), "", nullptr, volume("pv-of-data")}, false},
      {{"delete", id<Volume>("", "released"), "", &none, nullptr}, false},
      {{"create", id<corev1::Namespace>("", "x"), "", nullptr, nullptr}, false},
  };
  for (const auto& item : cases) {
    const auto& target = item.attributes.id;
    EXPECT_EQ(allows(item.attributes), item.allowed)
        << item.attributes.verb << " " << target.kind->plural << "/" << target.subresource << " "
        << target.name << " " << item.attributes.fieldSelector;
  }
}

}  // namespace
}  // namespace podlab::apiserver
