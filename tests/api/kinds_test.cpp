#include "api/kinds.hpp"

#include <gtest/gtest.h>

namespace podlab::api {
namespace {

TEST(Kinds, AreFoundByVersionResourceAndMessage) {
  for (const Kind& kind : kinds()) {
    EXPECT_EQ(findKind(kind.apiVersion(), kind.kind), &kind);
    EXPECT_EQ(findResource(kind.group, kind.plural), &kind);
    EXPECT_EQ(kindOf(*kind.make()), &kind);
    EXPECT_FALSE(kind.columns.empty()) << kind.kind;
  }
  EXPECT_EQ(findKind("v2", "Pod"), nullptr);
  EXPECT_EQ(findResource("apps", "pods"), nullptr);
  EXPECT_EQ(kindOf(metav1::Status()), nullptr);
  EXPECT_EQ(&kindFor<corev1::Pod>(), findKind("v1", "Pod"));
}

TEST(Kinds, BindingExistsOnlyInRequests) {
  ASSERT_NE(findKind("v1", "Binding"), nullptr);
  EXPECT_EQ(kindOf(corev1::Binding()), findKind("v1", "Binding"));
  EXPECT_EQ(findResource("", "bindings"), nullptr);
  EXPECT_EQ(findByUserName("bindings"), nullptr);
}

TEST(Kinds, NamesOfGroupsAppearInVersionsAndResources) {
  const Kind& lease = kindFor<coordinationv1::Lease>();
  EXPECT_EQ(lease.apiVersion(), "coordination.k8s.io/v1");
  EXPECT_EQ(lease.resource(), "leases.coordination.k8s.io");
  EXPECT_EQ(kindFor<corev1::Pod>().apiVersion(), "v1");
  EXPECT_EQ(kindFor<corev1::Pod>().resource(), "pods");
}

TEST(Kinds, UsersMayNameThemAsInKubectl) {
  const Kind* pod = findKind("v1", "Pod");
  for (const char* name : {"pods", "pod", "po", "Pod", "PODS", "pods.v1."}) {
    EXPECT_EQ(findByUserName(name), pod) << name;
  }
  const Kind* lease = findKind("coordination.k8s.io/v1", "Lease");
  for (const char* name :
       {"leases", "lease", "lease.coordination.k8s.io", "leases.v1.coordination.k8s.io"}) {
    EXPECT_EQ(findByUserName(name), lease) << name;
  }
  for (const char* name : {"", "p", "pods.apps", "leases.v2.coordination.k8s.io"}) {
    EXPECT_EQ(findByUserName(name), nullptr) << name;
  }
}

TEST(Object, MetadataIsReachableInEveryKind) {
  for (const Kind& kind : kinds()) {
    const MutableObjectPtr object = kind.make();
    mutableMeta(*object).set_name("a");
    EXPECT_EQ(meta(*object).name(), "a");
    EXPECT_EQ(keyOf(*object), "a");
    mutableMeta(*object).set_namespace_("n");
    EXPECT_EQ(keyOf(*object), "n/a");
  }
  EXPECT_THROW(meta(corev1::Container()), std::logic_error);
}

}  // namespace
}  // namespace podlab::api
