#include "api/field_errors.hpp"

#include <gtest/gtest.h>

#include <string>

namespace podlab::api {
namespace {

TEST(FieldPath, IsWrittenAsKubernetesDoes) {
  const FieldPath spec("spec");
  EXPECT_EQ(FieldPath().text(), "");
  EXPECT_EQ(spec.text(), "spec");
  EXPECT_EQ(FieldPath().child("spec").text(), "spec");
  EXPECT_EQ(spec.child("containers").index(12).child("ports").index(0).text(),
            "spec.containers[12].ports[0]");
  EXPECT_EQ(FieldPath("metadata").child("labels").key("a/b").text(), "metadata.labels[a/b]");
}

TEST(FieldPath, HasNoLongest) {
  FieldPath path;
  std::string text;
  for (std::size_t i = 0; i < 40; ++i) {
    path = path.child("properties").key("k").index(i);
    text += (i == 0 ? "properties[k][" : ".properties[k][") + std::to_string(i) + "]";
    EXPECT_EQ(path.text(), text);
  }
}

TEST(FieldPath, LeavesItsParentAsItIs) {
  const FieldPath parent("a");
  const FieldPath one = parent.child("b");
  const FieldPath other = parent.child("c").key("d");
  EXPECT_EQ(parent.text(), "a");
  EXPECT_EQ(one.text(), "a.b");
  EXPECT_EQ(other.text(), "a.c[d]");
}

}  // namespace
}  // namespace podlab::api
