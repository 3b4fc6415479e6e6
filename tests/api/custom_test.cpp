#include <chrono>
#include <functional>

#include <re2/re2.h>

#include "api/custom/custom_object.hpp"
#include "api/custom/definition_validation.hpp"
#include "api/custom/member_path.hpp"
#include "api/custom/schema.hpp"
#include "api/managed_fields.hpp"
#include "api/patch.hpp"
#include "api/validation.hpp"
#include "common/rng.hpp"
#include "tests/api/custom_objects.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;

const Kind& cronTabs() {
  return *findKind("stable.example.com/v1", "CronTab");
}

std::string faultsOf(const std::string& spec) {
  return lines(cronTabs().strategy.validate(cronTab(spec)));
}

TEST(CustomKinds, AreListedUnderAllTheirNames) {
  EXPECT_EQ(findKind("stable.example.com/v1", "CronTab"), nullptr);
  const Kind* kind = nullptr;
  {
    const ListedKinds listed(kCronTab);
    kind = findResource("stable.example.com", "crontabs");
    ASSERT_NE(kind, nullptr);
    for (const char* name : {"ct", "crontab", "CronTabs", "crontabs.stable.example.com",
                             "crontabs.v1.stable.example.com"})
      EXPECT_EQ(findByUserName(name), kind) << name;
    EXPECT_EQ(findResource("stable.example.com", "crontabs", "v2"), nullptr);
    EXPECT_EQ(kindOf(cronTab("{}")), kind);
    EXPECT_EQ(kindOf(*kind->make()), kind);
  }
  EXPECT_EQ(findResource("stable.example.com", "crontabs"), nullptr);
  EXPECT_EQ(kindOf(*kind->make()), kind) << "objects that are left still have their kind";
  const ListedKinds again(kCronTab);
  EXPECT_EQ(findResource("stable.example.com", "crontabs"), kind);
}

TEST(CustomKinds, PrefersVersionsAsKubernetesDoes) {
  const char* kOrder[] = {"v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "foo1", "foo10"};
  for (std::size_t i = 0; i < std::size(kOrder); ++i) {
    for (std::size_t j = 0; j < std::size(kOrder); ++j)
      EXPECT_EQ(isPreferredVersion(kOrder[i], kOrder[j]), i < j) << kOrder[i] << kOrder[j];
  }
}

TEST(CustomObjects, KeepWhatTheirSchemaSpecifies) {
  const ListedKinds listed(kCronTab);
  std::vector<FieldProblem> problems;
  const CustomObject object = cronTab(
      R"({"cronSpec": "* * * * *", "colour": 1, "free": {"any": {"thing": [1]}},
          "labels": {"a": "b"}, "steps": [{"name": "x", "wrong": true}], "cronSpec": "1 * * * *"})",
      &problems);
  std::string texts;
  for (const auto& problem : problems) texts += problem.message + "\n";
  EXPECT_EQ(texts,
            "duplicate field \"spec.cronSpec\"\nunknown field \"spec.colour\"\n"
            "unknown field \"spec.steps[0].wrong\"\n");
  EXPECT_EQ(contentOf(object)["spec"],
            Json::parse(R"({"cronSpec": "1 * * * *", "free": {"any": {"thing": [1]}},
                            "labels": {"a": "b"}, "steps": [{"name": "x"}]})"));
}

TEST(CustomObjects, ReadBackAsTheyWereWritten) {
  const ListedKinds listed(kCronTab);
  const CustomObject object =
      cronTab(R"({"cronSpec": "\u00e9 \"x\"", "replicas": 3, "free": {"z": 1.5, "a": -1e300}})");
  const std::string json = toJson(object);
  EXPECT_EQ(Json::parse(json)["apiVersion"], "stable.example.com/v1");
  EXPECT_EQ(Json::parse(json)["metadata"]["name"], "mine");
  CustomObject again;
  ASSERT_TRUE(fromJson(json, again).ok());
  EXPECT_EQ(toJson(again), json);
  EXPECT_EQ(again.SerializeAsString(), object.SerializeAsString());
  EXPECT_NE(toYaml(object).find("kind: CronTab\n"), std::string::npos);
}

TEST(CustomObjects, NeedTheirType) {
  CustomObject object;
  EXPECT_EQ(fromJson(R"({"kind": "CronTab"})", object).message(),
            R"(Object 'apiVersion' is missing in '{"kind": "CronTab"}')");
  EXPECT_FALSE(fromJson(R"({"apiVersion": "a/v1", "kind": 7})", object).ok());
  EXPECT_EQ(
      fromJson(R"({"apiVersion": "a/v1", "kind": "B", "metadata": {"labels": {"x": 1}}})", object)
          .causes()[0]
          .field,
      "metadata.labels.x");
}

TEST(CustomObjects, HaveDefaults) {
  const ListedKinds listed(kCronTab);
  CustomObject object = cronTab(R"({"cronSpec": "* * * * *", "level": null, "note": null})");
  cronTabs().strategy.applyDefaults(object);
  EXPECT_EQ(contentOf(object)["spec"],
            Json::parse(R"({"cronSpec": "* * * * *", "image": "web", "note": null})"));
}

TEST(CustomObjects, AreValidatedInUpstreamsWords) {
  const ListedKinds listed(kCronTab);
  const std::pair<const char*, const char*> kCases[] = {
      {R"({"cronSpec": "* * * * */5", "image": "my"})", ""},
      {"{}", "spec.cronSpec: Required value\n"},
      {R"({"cronSpec": "* * * *"})",
       "spec.cronSpec: Invalid value: \"* * * *\": spec.cronSpec in body should match "
       "'^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$'\n"},
      {R"({"cronSpec": "* * * * *", "replicas": 0})",
       "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to "
       "1\n"},
      {R"({"cronSpec": "* * * * *", "replicas": 11})",
       "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to "
       "10\n"},
      {R"({"cronSpec": "* * * * *", "replicas": "many"})",
       "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: "
       "\"string\"\n"},
      {R"({"cronSpec": "* * * * *", "replicas": 2.5})",
       "spec.replicas: Invalid value: \"number\": spec.replicas in body must be of type integer: "
       "\"number\"\n"},
      {R"({"cronSpec": "* * * * *", "level": "mid"})",
       "spec.level: Unsupported value: \"mid\": supported values: \"low\", \"high\"\n"},
      {R"({"cronSpec": "* * * * *", "port": true})",
       "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: "
       "\"boolean\"\n"},
      {R"({"cronSpec": "* * * * *", "port": 80, "labels": {"a": 1}})",
       "spec.labels.a: Invalid value: \"integer\": spec.labels.a in body must be of type string: "
       "\"integer\"\n"},
      {R"({"cronSpec": "* * * * *", "tags": ["a", "b", "a"]})",
       "spec.tags[2]: Duplicate value: \"a\"\n"},
      {R"({"cronSpec": "* * * * *", "steps": [{"name": "a"}, {"name": "a", "run": "b"}]})",
       "spec.steps[1]: Duplicate value: {\"name\":\"a\"}\n"},
      {"[]", "spec: Invalid value: \"array\": spec in body must be of type object: \"array\"\n"},
  };
  for (const auto& [spec, faults] : kCases) EXPECT_EQ(faultsOf(spec), faults) << spec;
}

struct SchemaCase {
  const char* schema;
  const char* valid;
  const char* invalid;
};

TEST(Schemas, SayWhichValuesAreValid) {
  const SchemaCase kCases[] = {
      {R"({"type": "string", "minLength": 2, "maxLength": 3})", R"("éé")", R"("é")"},
      {R"({"type": "number", "multipleOf": 0.5})", "1.5", "1.3"},
      {R"({"type": "number", "minimum": 1, "exclusiveMinimum": true})", "1.1", "1"},
      {R"({"type": "number", "maximum": 1, "exclusiveMaximum": true})", "0", "1"},
      {R"({"type": "integer", "format": "int32"})", "2147483647", "2147483648"},
      {R"({"type": "integer"})", "2.0", "2.5"},
      {R"({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "boolean"}})", "[true]",
       "[true, false, true]"},
      {R"({"type": "object", "minProperties": 1, "maxProperties": 1})", R"({"a": 1})", "{}"},
      {R"({"type": "string", "format": "ipv4"})", R"("10.0.0.1")", R"("10.0.0.256")"},
      {R"({"type": "string", "format": "ipv6"})", R"("fd00::1")", R"("10.0.0.1")"},
      {R"({"type": "string", "format": "cidr"})", R"("10.0.0.0/8")", R"("10.0.0.0/33")"},
      {R"({"type": "string", "format": "date-time"})", R"("2026-01-02T03:04:05Z")", R"("today")"},
      {R"({"type": "string", "format": "date"})", R"("2026-01-02")", R"("2026-13-02")"},
      {R"({"type": "string", "format": "uuid"})", R"("123e4567-e89b-12d3-a456-426614174000")",
       R"("x")"},
      {R"({"type": "string", "format": "byte"})", R"("aGk=")", R"("a")"},
      {R"({"type": "string", "format": "duration"})", R"("1h2m")", R"("soon")"},
      {R"({"type": "string", "format": "nobody-knows"})", R"("x")", "1"},
      {R"({"type": "string", "nullable": true})", "null", "1"},
      {R"({"type": "string"})", R"("x")", "null"},
      {R"({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
           "oneOf": [{"required": ["a"]}, {"required": ["b"]}]})",
       R"({"a": "1"})", R"({"a": "1", "b": "2"})"},
      {R"({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]})", R"({"b": 1})",
       R"({"c": 1})"},
      {R"({"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "b$"}]})", R"("ab")",
       R"("ac")"},
      {R"({"type": "string", "not": {"enum": ["x"]}})", R"("y")", R"("x")"},
      {R"({"type": "object", "x-kubernetes-embedded-resource": true})",
       R"({"apiVersion": "v1", "kind": "Pod"})", R"({"kind": "Pod"})"},
  };
  for (const auto& [text, valid, invalid] : kCases) {
    Schema::Props props;
    ASSERT_TRUE(fromJson(text, props, {.strict = true}).ok()) << text;
    EXPECT_EQ(Json::parse(toJson(props)), Json::parse(text)) << "the codec's form";
    const Schema schema(props);
    const auto faults = [&](const char* value) {
      FieldErrors errors;
      validateBySchema(Json::parse(value), schema, FieldPath("x"), errors);
      return lines(errors.take());
    };
    EXPECT_EQ(faults(valid), "") << text;
    EXPECT_NE(faults(invalid), "") << text;
  }
}

TEST(Schemas, MatchAnyPatternInLinearTime) {
  Schema::Props props;
  props.set_type("string");
  props.set_pattern("^(a+)+(a|a)*(a*)*$");
  const Schema schema(props);
  FieldErrors errors;
  validateBySchema(std::string(100'000, 'a') + "b", schema, FieldPath("x"), errors);
  EXPECT_EQ(errors.take().size(), 1U);
  EXPECT_EQ(compilePattern("((((((x{1000}){1000}){1000}){1000}))))"), nullptr);
}

TEST(Schemas, NameSoManyFaultsAtMost) {
  Schema::Props props;
  ASSERT_TRUE(fromJson(R"({"type": "array", "items": {"type": "string"}})", props).ok());
  FieldErrors errors;
  validateBySchema(Json(std::vector<int>(100'000, 1)), Schema(props), FieldPath("x"), errors);
  EXPECT_EQ(errors.take().size(), 100U);
}

/// The faults of the CronTab's definition after a change of its JSON.
std::string faultsAfter(const std::function<void(Json&)>& change) {
  Json json = Json::parse(kCronTab);
  change(json);
  Crd definition;
  const Status read = fromJson(json.dump(), definition);
  if (!read) return read.toString();
  kindFor<Crd>().strategy.applyDefaults(definition);
  return lines(validateDefinition(definition));
}

TEST(Definitions, AreValidated) {
  EXPECT_EQ(faultsAfter([](Json&) {}), "");
  const auto at = [](const char* pointer, Json value) {
    return faultsAfter([&](Json& json) { json[Json::json_pointer(pointer)] = value; });
  };
  const std::string schema = "spec.versions[0].schema.openAPIV3Schema";
  const std::string props = "/spec/versions/0/schema/openAPIV3Schema/properties";
  EXPECT_EQ(at("/metadata/name", "x.y"),
            "metadata.name: Invalid value: \"x.y\": must be spec.names.plural+\".\"+spec.group\n");
  EXPECT_EQ(at("/spec/scope", "Everywhere"),
            "spec.scope: Unsupported value: \"Everywhere\": supported values: \"Cluster\", "
            "\"Namespaced\"\n");
  EXPECT_EQ(at("/spec/versions/0/storage", false),
            "spec.versions: Invalid value: \"v1\": must have exactly one version marked as storage "
            "version\n");
  EXPECT_EQ(at("/spec/versions/0/schema", Json::object()),
            schema + ": Required value: schemas are required\n" +
                "spec.versions[0].selectableFields[0].jsonPath: Invalid value: \".spec.level\": "
                "must point to a field of type string, boolean or integer. Enum string fields and "
                "strings with formats are allowed.\n");
  EXPECT_EQ(at("/spec/names/listKind", "CronTab"),
            "spec.names.listKind: Invalid value: \"CronTab\": kind and listKind may not be the "
            "same\n");
  EXPECT_NE(at("/spec/conversion", {{"strategy", "Webhook"}}).find("podlab does not call"),
            std::string::npos);
  const std::pair<const char*, Json> kSpecs[] = {
      {"type: Required value: must not be empty for specified object fields", Json::object()},
      {"type: Unsupported value: \"text\"", {{"type", "text"}}},
      {"pattern: Invalid value: \"[\": must be a valid regular expression",
       {{"type", "string"}, {"pattern", "["}}},
      {"additionalProperties: Forbidden: additionalProperties cannot be set to false",
       {{"type", "object"}, {"additionalProperties", false}}},
      {"uniqueItems: Forbidden: uniqueItems cannot be set to true",
       {{"type", "array"}, {"items", {{"type", "string"}}}, {"uniqueItems", true}}},
      {"items: Required value: must be specified", {{"type", "array"}}},
      {"items.type: Required value: must not be empty for specified array items",
       {{"type", "array"}, {"items", Json::object()}}},
      {"x-kubernetes-list-map-keys: Required value: must not be empty",
       {{"type", "array"}, {"items", {{"type", "object"}}}, {"x-kubernetes-list-type", "map"}}},
      {"$ref: Forbidden: $ref is not supported", {{"type", "string"}, {"$ref", "#/x"}}},
      {"anyOf[0].type: Forbidden: must be empty to be structural",
       {{"type", "string"}, {"anyOf", Json::array({{{"type", "string"}}})}}},
      {"oneOf[0].properties[y]: Required value: because it is defined in",
       {{"type", "object"}, {"oneOf", Json::array({{{"properties", {{"y", Json::object()}}}}})}}},
      {"default: Invalid value: \"integer\":", {{"type", "string"}, {"default", 1}}},
      {"x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
       {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", false}}},
  };
  for (const auto& [fault, value] : kSpecs) {
    const std::string faults = at((props + "/new").c_str(), value);
    EXPECT_NE(faults.find(schema + ".properties[new]." + fault), std::string::npos) << value << "\n"
                                                                                    << faults;
  }
  EXPECT_NE(at((props + "/metadata").c_str(),
               Json::parse(R"({"type": "object", "properties": {"labels": {"type": "object"}}})"))
                .find("must not specify anything other than name and generateName"),
            std::string::npos);
}

TEST(Definitions, AreNestedOnlySoDeep) {
  Json deep{{"type", "string"}};
  for (int i = 0; i < 45; ++i) deep = {{"type", "array"}, {"items", deep}};
  const std::string faults = faultsAfter([&](Json& json) {
    json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["deep"] = deep;
  });
  EXPECT_NE(faults.find("schemas may be nested 40 times"), std::string::npos) << faults;
  // The deepest that may be is readable from the store.
  Json allowed{{"type", "string"}};
  for (int i = 0; i < 38; ++i) allowed = {{"type", "array"}, {"items", allowed}};
  Json json = Json::parse(kCronTab);
  json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["deep"] = allowed;
  const Crd definition = definitionFrom(json.dump());
  EXPECT_EQ(lines(validateDefinition(definition)), "");
  Crd again;
  EXPECT_TRUE(again.ParseFromString(definition.SerializeAsString()));
}

TEST(Definitions, WarnOfRulesInCel) {
  Json json = Json::parse(kCronTab);
  json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
      Json::array({{{"rule", "self.spec.replicas > 1"}}});
  const auto warnings = kindFor<Crd>().strategy.warningsOf(definitionFrom(json.dump()));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("not evaluated"), std::string::npos);
}

TEST(MemberPaths, NameOneMember) {
  const Json value = Json::parse(R"({"a": {"b.c": 1, "d": {"e": 2}, "list": [3]}})");
  const std::pair<const char*, const char*> kCases[] = {
      {".a.d.e", "2"}, {".a['b.c']", "1"}, {".a.d", R"({"e":2})"},
      {".a.x", ""},    {".a.list.x", ""},  {".nothing.here", ""}};
  for (const auto& [text, found] : kCases) {
    const auto path = MemberPath::parse(text);
    ASSERT_TRUE(path.ok()) << text;
    const Json* one = path->find(value);
    EXPECT_EQ(one == nullptr ? "" : one->dump(), found) << text;
  }
  for (const char* text : {"", "a", ".", "..", ".a.", ".a[0]", ".a[*]", ".a['b", "{.a}", ".a b"})
    EXPECT_FALSE(MemberPath::parse(text).ok()) << text;
  Json made = Json::object();
  const auto replicas = *MemberPath::parse(".spec.replicas");
  EXPECT_EQ(replicas.pointer(), "/spec/replicas");
  EXPECT_TRUE(replicas.set(made, 3));
  EXPECT_EQ(made.dump(), R"({"spec":{"replicas":3}})");
  made["spec"] = 1;
  EXPECT_FALSE(replicas.set(made, 4));
}

TEST(CustomObjects, AreAppliedByTheirSchema) {
  const ListedKinds listed(kCronTab);
  const auto apply = [&](const CustomObject* live, const char* manager, const std::string& spec) {
    ApplyOptions options;
    options.writer = {manager, "", WallTime()};
    auto made = applyConfiguration(
        cronTabs(), live,
        R"({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "mine"},
            "spec": )" +
            spec + "}",
        options);
    EXPECT_TRUE(made.ok()) << made.status().toString();
    return made ? static_cast<const CustomObject&>(*made->object) : CustomObject();
  };
  const CustomObject first =
      apply(nullptr, "one", R"({"steps": [{"name": "a", "run": "x"}], "tags": ["t"]})");
  const CustomObject second =
      apply(&first, "two", R"({"steps": [{"name": "b", "run": "y"}], "tags": ["u"]})");
  EXPECT_EQ(contentOf(second)["spec"].dump(),
            R"({"steps":[{"name":"a","run":"x"},{"name":"b","run":"y"}],"tags":["t","u"]})");
  const CustomObject third = apply(&second, "one", R"({"tags": ["t"]})");
  EXPECT_EQ(contentOf(third)["spec"].dump(),
            R"({"steps":[{"name":"b","run":"y"}],"tags":["t","u"]})");
}

TEST(CustomObjects, TakePatchesButStrategicOnes) {
  const ListedKinds listed(kCronTab);
  const CustomObject object = cronTab(R"({"cronSpec": "* * * * *"})");
  const auto merged = applyPatch(object, PatchType::kMerge, R"({"spec": {"replicas": 2, "no": 1}})",
                                 FieldValidation::kWarn);
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->warnings, std::vector<std::string>{"unknown field \"spec.no\""});
  EXPECT_EQ(contentOf(static_cast<const CustomObject&>(*merged->object))["spec"]["replicas"], 2);
  EXPECT_TRUE(applyPatch(object, PatchType::kStrategicMerge, "{}", FieldValidation::kWarn)
                  .status()
                  .is(Code::kUnsupportedMediaType));
}

TEST(CustomObjects, ScaleAndShowColumns) {
  const ListedKinds listed(kCronTab);
  CustomObject object = cronTab(R"({"cronSpec": "* * * * *", "replicas": 3, "level": "low"})");
  const auto& strategy = cronTabs().strategy;
  EXPECT_EQ(strategy.scaling->wanted(object), 3);
  EXPECT_EQ(strategy.scaling->pointer, "/spec/replicas");
  strategy.scaling->setWanted(object, 5);
  EXPECT_EQ(contentOf(object)["spec"]["replicas"], 5);
  ASSERT_EQ(strategy.fieldLabels.size(), 1U);
  EXPECT_EQ(strategy.fieldLabels[0].first, "spec.level");
  EXPECT_EQ(strategy.fieldLabels[0].second(object), "low");
  object.mutable_metadata()->mutable_creationtimestamp()->set_seconds(1000);
  const WallTime now{std::chrono::seconds(1060)};
  std::string row;
  for (const auto& column : cronTabs().columns)
    row += std::string(column.name) + "=" + column.cell(object, now) + ";";
  EXPECT_EQ(row, "Name=mine;Spec=* * * * *;Replicas=5;Age=60s;");
}

TEST(CustomObjects, PruneAndDefaultTheSameTwice) {
  const ListedKinds listed(kCronTab);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRng rng(seed);
    const std::function<Json(int)> random = [&](int depth) -> Json {
      const char* kNames[] = {"cronSpec", "image", "free", "steps", "labels", "name", "x", "note"};
      switch (rng.below(depth > 3 ? 4 : 6)) {
        case 0:
          return nullptr;
        case 1:
          return rng.below(20);
        case 2:
          return "text";
        case 3:
          return rng.chance(0.5);
        case 4: {
          Json list = Json::array();
          for (auto n = rng.below(3); n > 0; --n) list.push_back(random(depth + 1));
          return list;
        }
        default: {
          Json object = Json::object();
          for (auto n = rng.below(5); n > 0; --n)
            object[kNames[rng.below(std::size(kNames))]] = random(depth + 1);
          return object;
        }
      }
    };
    CustomObject object = cronTab(random(0).dump());
    cronTabs().strategy.applyDefaults(object);
    const std::string once = toJson(object);
    (void)cronTabs().strategy.validate(object);
    std::vector<FieldProblem> problems;
    CustomObject again;
    ASSERT_TRUE(fromJson(once, again, {}, &problems).ok()) << "seed " << seed;
    cronTabs().strategy.applyDefaults(again);
    EXPECT_TRUE(problems.empty()) << "seed " << seed << ": " << problems[0].message;
    EXPECT_EQ(toJson(again), once) << "seed " << seed;
  }
}

}  // namespace
}  // namespace podlab::api
