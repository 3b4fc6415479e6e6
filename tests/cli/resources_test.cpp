#include "cli/resources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "api/support.hpp"
#include "cli/executable.hpp"
#include "cli/manifests.hpp"
#include "cli/table.hpp"
#include "cli/three_way_merge.hpp"

namespace podlab::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Table, ColumnsAreThreeSpacesApart) {
  Table table({"NAME", "AGE"});
  EXPECT_TRUE(table.empty());
  table.add({"a-long-name", "5s"});
  table.add({"b", "10m"});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.text(), "NAME          AGE\na-long-name   5s\nb             10m\n");
}

TEST(Table, HeaderLeftOutTakesNoRoom) {
  Table table({"A VERY LONG HEADER", "X"});
  table.add({"a", "b"});
  EXPECT_EQ(table.text(false), "a   b\n");
}

TEST(Table, WidthIsOfCharacters) {
  Table table({"N", "X"});
  table.add({"\xc3\xa4\xc3\xb6", "1"});
  table.add({"abc", "2"});
  EXPECT_EQ(table.text(false), "\xc3\xa4\xc3\xb6    1\nabc   2\n");
}

TEST(SplitList, Parts) {
  EXPECT_THAT(splitList(""), IsEmpty());
  EXPECT_THAT(splitList("a"), ElementsAre("a"));
  EXPECT_THAT(splitList("a,b"), ElementsAre("a", "b"));
}

/// "kind:namespace/name" of each.
std::vector<std::string> resolved(Selection selection) {
  auto ids = resolve(selection);
  if (!ids) return {"error: " + ids.status().message()};
  std::vector<std::string> texts;
  for (const auto& id : *ids)
    texts.push_back(std::string(id.kind->kind) + ":" + id.ns + "/" + id.name);
  return texts;
}

Selection arguments(std::vector<std::string> words) {
  Selection selection;
  selection.arguments = std::move(words);
  return selection;
}

TEST(ResolveArguments, Forms) {
  EXPECT_THAT(resolved(arguments({"pods"})), ElementsAre("Pod:default/"));
  EXPECT_THAT(resolved(arguments({"po", "a", "b"})), ElementsAre("Pod:default/a", "Pod:default/b"));
  EXPECT_THAT(resolved(arguments({"pod/a", "node/n"})), ElementsAre("Pod:default/a", "Node:/n"));
  EXPECT_THAT(resolved(arguments({"pods,nodes"})), ElementsAre("Pod:default/", "Node:/"));
  Selection everywhere = arguments({"pods"});
  everywhere.allNamespaces = true;
  EXPECT_THAT(resolved(everywhere), ElementsAre("Pod:/"));
  EXPECT_THAT(resolved(arguments({"po,no", "a"})), ElementsAre("Pod:default/a", "Node:/a"));
  EXPECT_THAT(resolved(arguments({"all"})), testing::Contains("Deployment:default/"));
  EXPECT_THAT(resolved(arguments({})), IsEmpty());
}

TEST(ResolveArguments, Errors) {
  const auto message = [](Selection selection) { return resolved(std::move(selection)).front(); };
  EXPECT_THAT(message(arguments({"podz"})), HasSubstr("doesn't have a resource type \"podz\""));
  EXPECT_THAT(message(arguments({"pod/"})), HasSubstr("must have a single resource and name"));
  EXPECT_THAT(message(arguments({"pod/a", "b"})), HasSubstr("no need to specify a resource type"));
  EXPECT_THAT(message(arguments({"pod", "pod/a"})),
              HasSubstr("no need to specify a resource type"));
  EXPECT_THAT(message(arguments({"pod/a/b"})), HasSubstr("more than one slash"));
  Selection both = arguments({"pod", "a"});
  both.labels = "x=y";
  EXPECT_THAT(message(both), HasSubstr("name cannot be provided when a selector is specified"));
  Selection everywhere = arguments({"pod", "a"});
  everywhere.allNamespaces = true;
  EXPECT_THAT(message(everywhere), HasSubstr("by name across all namespaces"));
}

TEST(ResolveOne, TakesItsKindUnlessToldOtherwise) {
  const auto& pods = api::kindFor<corev1::Pod>();
  EXPECT_EQ(resolveOne("web", "n", pods)->kind, &pods);
  EXPECT_EQ(resolveOne("pod/web", "n", pods)->name, "web");
  EXPECT_EQ(resolveOne("node/x", "n", pods)->ns, "");
  EXPECT_FALSE(resolveOne("podz/x", "n", pods).ok());
}

class Manifests : public testing::Test {
 protected:
  Manifests() {
    std::string path = testing::TempDir() + "/podlab-manifests-XXXXXX";
    folder_ = ::mkdtemp(path.data());
  }
  ~Manifests() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  std::string folder_;
};

constexpr const char* kPod =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: "
    "host}]}\n";

TEST_F(Manifests, NamespaceIsFilledIn) {
  write("b.yaml", kPod);
  write("a.json", R"({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})");
  write("notes.txt", "not read");
  Selection selection;
  selection.files = {folder_};
  selection.ns = "here";
  const auto objects = readManifests(selection);
  ASSERT_TRUE(objects.ok()) << objects.status().toString();
  ASSERT_EQ(objects->size(), 2u);
  EXPECT_EQ(idOf((*objects)[0]).ns, "");
  EXPECT_EQ(idOf((*objects)[0]).name, "x");
  EXPECT_EQ(idOf((*objects)[1]).ns, "here");
  EXPECT_EQ((*objects)[1].kind->kind, "Pod");
}

TEST_F(Manifests, Errors) {
  const auto message = [](const std::string& path) {
    Selection selection;
    selection.files = {path};
    return readManifests(selection).status().message();
  };
  EXPECT_THAT(message(folder_ + "/none.yaml"),
              HasSubstr("the path \"" + folder_ + "/none.yaml\" does not exist"));
  EXPECT_THAT(message(folder_), HasSubstr("recognized file extensions are"));
  EXPECT_THAT(message(write("field.yaml", std::string(kPod) + "specs: {}\n")), HasSubstr("specs"));
  EXPECT_THAT(message(write("kind.yaml", "apiVersion: v1\nkind: Pott\n")), HasSubstr("Pott"));
  EXPECT_THAT(message(write("bad.yaml", "a: [\n")), HasSubstr("bad.yaml"));
}

TEST_F(Manifests, FoldersBelowWithRecursive) {
  std::filesystem::create_directory(folder_ + "/below");
  write("a.yaml", kPod);
  write("below/b.yaml", kPod);
  Selection selection;
  selection.files = {folder_};
  EXPECT_EQ(readManifests(selection)->size(), 1u);
  selection.recursive = true;
  EXPECT_EQ(readManifests(selection)->size(), 2u);
}

TEST_F(Manifests, AreKeptAsTheyWereWritten) {
  const auto objects = parseManifests(
      "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: "
      "a}\n  data: {k: v}\n",
      "n");
  ASSERT_TRUE(objects.ok()) << objects.status().toString();
  EXPECT_EQ(
      objects->front().json,
      R"({"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"a","namespace":"n"}})");
}

TEST_F(Manifests, UnknownFieldsCanBeLetPass) {
  Selection selection;
  selection.files = {write("field.yaml", std::string(kPod) + "specs: {}\n")};
  const auto objects = readManifests(selection, Validation::kWarn);
  ASSERT_TRUE(objects.ok()) << objects.status().toString();
  EXPECT_THAT(objects->front().problems, ElementsAre(HasSubstr("specs")));
}

TEST(ExampleManifest, DemoIsStrictlyValid) {
  Selection selection;
  selection.files = {PODLAB_SOURCE_DIR "/configs/demo.yaml"};
  const auto objects = readManifests(selection);
  ASSERT_TRUE(objects.ok()) << objects.status().toString();
  int pods = 0;
  for (const auto& manifest : *objects) {
    if (manifest.kind != &api::kindFor<corev1::Pod>()) continue;
    ++pods;
    const auto name = idOf(manifest).name;
    EXPECT_EQ(idOf(manifest).ns, "demo");
    manifest.kind->strategy.applyDefaults(*manifest.object);
    EXPECT_EQ(static_cast<const corev1::Pod&>(*manifest.object).spec().containers_size(), 2)
        << name;
    for (const auto& cause : manifest.kind->strategy.validate(*manifest.object))
      ADD_FAILURE() << name << ": " << cause.field << ": " << cause.message;
    EXPECT_THAT(api::unsupportedWarnings(*manifest.object), IsEmpty()) << name;
  }
  EXPECT_EQ(pods, 4);
}

TEST(ThreeWayMerge, Cases) {
  struct Case {
    const char* what;
    const char* last;
    const char* next;
    const char* live;
    const char* merged;
  };
  const Case cases[] = {
      {"adds", "{}", R"({"data":{"a":"1"}})", R"({"data":{"b":"2"}})",
       R"({"data":{"a":"1","b":"2"}})"},
      {"changes", R"({"data":{"a":"1"}})", R"({"data":{"a":"2"}})", R"({"data":{"a":"1"}})",
       R"({"data":{"a":"2"}})"},
      {"removes what was applied", R"({"data":{"a":"1","b":"1"}})", R"({"data":{"a":"1"}})",
       R"({"data":{"a":"1","b":"1"}})", R"({"data":{"a":"1"}})"},
      {"keeps what others set", R"({"data":{"a":"1"}})", R"({"data":{"a":"1"}})",
       R"({"data":{"a":"1"},"metadata":{"labels":{"x":"y"}}})",
       R"({"data":{"a":"1"},"metadata":{"labels":{"x":"y"}}})"},
      {"without a last manifest", "", R"({"data":{"a":"1"}})", R"({"data":{"a":"0","b":"1"}})",
       R"({"data":{"a":"1","b":"1"}})"},
      {"with a broken last manifest", "{", R"({"data":{"a":"1"}})", R"({"data":{"b":"1"}})",
       R"({"data":{"a":"1","b":"1"}})"},
  };
  for (const auto& one : cases) {
    const auto merged =
        threeWayMerge(one.last, one.next, one.live, corev1::ConfigMap::descriptor());
    ASSERT_TRUE(merged.ok()) << one.what;
    EXPECT_EQ(*merged, one.merged) << one.what;
  }
  EXPECT_FALSE(threeWayMerge("", "[]", "{}", corev1::ConfigMap::descriptor()).ok());
  EXPECT_FALSE(threeWayMerge("", "{}", "x", corev1::ConfigMap::descriptor()).ok());
}

TEST(ThreeWayMerge, ListsByTheirKeys) {
  const auto merged = threeWayMerge(
      R"({"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}})",
      R"({"spec":{"containers":[{"name":"a","image":"2"}]}})",
      R"({"spec":{"containers":[{"name":"a","image":"1","tty":true},{"name":"b","image":"1"},{"name":"c","image":"1"}]}})",
      corev1::Pod::descriptor());
  ASSERT_TRUE(merged.ok()) << merged.status().toString();
  EXPECT_EQ(
      *merged,
      R"({"spec":{"containers":[{"image":"2","name":"a","tty":true},{"image":"1","name":"c"}]}})");
}

}  // namespace
}  // namespace podlab::cli
