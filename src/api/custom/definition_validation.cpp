#include "api/custom/definition_validation.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "api/codec.hpp"
#include "api/conditions.hpp"
#include "api/custom/custom_kinds.hpp"
#include "api/custom/member_path.hpp"
#include "api/json_path.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;
using Names = apiextensionsv1::CustomResourceDefinitionNames;
using Version = apiextensionsv1::CustomResourceDefinitionVersion;

constexpr const char* kApproval = "api-approved.kubernetes.io";

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// In `may have mixed case, but should otherwise match: ...`.
void validateKindName(const std::string& name, const FieldPath& path, FieldErrors& errors) {
  if (name.empty()) return errors.required(path);
  for (const auto& fault : faultsOfDns1035Label(lower(name)))
    errors.invalid(path, name, "may have mixed case, but should otherwise match: " + fault);
}

void validateNames(const Names& names, const FieldPath& path, FieldErrors& errors) {
  if (names.plural().empty()) {
    errors.required(path.child("plural"));
  } else {
    errors.invalidEach(path.child("plural"), names.plural(), faultsOfDns1035Label(names.plural()));
  }
  if (!names.singular().empty()) {
    errors.invalidEach(path.child("singular"), names.singular(),
                       faultsOfDns1035Label(names.singular()));
  }
  validateKindName(names.kind(), path.child("kind"), errors);
  validateKindName(names.listkind(), path.child("listKind"), errors);
  const auto labels = [&](const auto& list, const char* field) {
    forEach(list, path.child(field), [&](const std::string& name, const FieldPath& at) {
      errors.invalidEach(at, name, faultsOfDns1035Label(name));
    });
  };
  labels(names.shortnames(), "shortNames");
  labels(names.categories(), "categories");
  if (!names.kind().empty() && names.kind() == names.listkind())
    errors.invalid(path.child("listKind"), names.listkind(),
                   "kind and listKind may not be the same");
}

void validateGroup(const Crd& definition, const FieldPath& path, FieldErrors& errors) {
  const std::string& group = definition.spec().group();
  if (group.empty()) return errors.required(path);
  errors.invalidEach(path, group, faultsOfDns1123Subdomain(group));
  if (group.find('.') == std::string::npos)
    errors.invalid(path, group, "should be a domain with at least one dot");
  for (const Kind& kind : servedKinds()) {
    if (kind.custom || kind.group != group) continue;
    return errors.invalid(path, group, "is a group of the server's own kinds: choose another");
  }
  const bool guarded = group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
  if (!guarded || definition.metadata().annotations().contains(kApproval)) return;
  errors.required(FieldPath("metadata").child("annotations").key(kApproval),
                  "protected groups must have approval annotation \"api-approved.kubernetes.io\", "
                  "see https://github.com/kubernetes/enhancements/pull/1111");
}

/// A path of members, that begins with one of the names.
void validateScalePath(const std::string& text, std::initializer_list<std::string_view> roots,
                       const FieldPath& path, FieldErrors& errors) {
  const auto parsed = MemberPath::parse(text);
  if (!parsed) return errors.invalid(path, text, parsed.status().message());
  if (std::ranges::find(roots, parsed->front()) != roots.end()) return;
  std::string all;
  for (const auto root : roots) all += (all.empty() ? "." : " or .") + std::string(root);
  errors.invalid(path, text, "should be a json path under " + all);
}

void validateSubresources(const Version& version, const FieldPath& path, FieldErrors& errors) {
  if (!version.subresources().has_scale()) return;
  const auto& scale = version.subresources().scale();
  const FieldPath at = path.child("subresources").child("scale");
  for (const auto& [field, text, root] :
       {std::tuple("specReplicasPath", &scale.specreplicaspath(), "spec"),
        std::tuple("statusReplicasPath", &scale.statusreplicaspath(), "status")}) {
    if (text->empty()) {
      errors.required(at.child(field));
    } else {
      validateScalePath(*text, {root}, at.child(field), errors);
    }
  }
  if (scale.has_labelselectorpath()) {
    validateScalePath(scale.labelselectorpath(), {"status", "spec"}, at.child("labelSelectorPath"),
                      errors);
  }
}

void validateColumns(const Version& version, const FieldPath& path, FieldErrors& errors) {
  constexpr std::array<std::string_view, 5> kTypes{"boolean", "date", "integer", "number",
                                                   "string"};
  constexpr std::array<std::string_view, 8> kFormats{"byte",  "date",  "date-time", "double",
                                                     "float", "int32", "int64",     "password"};
  forEach(version.additionalprintercolumns(), path.child("additionalPrinterColumns"),
          [&](const auto& column, const FieldPath& at) {
            if (column.name().empty()) errors.required(at.child("name"));
            errors.oneOf(at.child("type"), column.type(), kTypes);
            if (!column.format().empty())
              errors.oneOf(at.child("format"), column.format(), kFormats);
            if (column.jsonpath().empty()) return errors.required(at.child("jsonPath"));
            if (!column.jsonpath().starts_with('.'))
              return errors.invalid(at.child("jsonPath"), column.jsonpath(), "must begin with '.'");
            if (const auto parsed = JsonPath::parse("{" + column.jsonpath() + "}"); !parsed)
              errors.invalid(at.child("jsonPath"), column.jsonpath(), parsed.status().message());
          });
}

/// The schema at a path of members; nullptr when there is none.
const apiextensionsv1::JSONSchemaProps* schemaAt(const apiextensionsv1::JSONSchemaProps& root,
                                                 std::string_view path) {
  const auto* at = &root;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string name(path.substr(0, path.find('.')));
    path.remove_prefix(name.size());
    const auto found = at->properties().find(name);
    if (found == at->properties().end()) return nullptr;
    at = &found->second;
  }
  return at;
}

void validateSelectable(const Version& version, const FieldPath& path, FieldErrors& errors) {
  constexpr int kMost = 8;
  const FieldPath list = path.child("selectableFields");
  if (version.selectablefields_size() > kMost)
    errors.tooMany(list, version.selectablefields_size(), kMost);
  std::set<std::string> seen;
  forEach(version.selectablefields(), list, [&](const auto& field, const FieldPath& element) {
    const FieldPath at = element.child("jsonPath");
    const std::string& text = field.jsonpath();
    if (text.empty()) return errors.required(at);
    const auto parsed = MemberPath::parse(text);
    if (!parsed || text.find('[') != std::string::npos)
      return errors.invalid(at, text, "is an invalid path: does not refer to a valid field");
    if (parsed->front() == "metadata")
      return errors.invalid(at, text, "must not point to fields in metadata");
    const auto* schema = schemaAt(version.schema().openapiv3schema(), text);
    const bool plain =
        schema != nullptr &&
        (schema->type() == "string" || schema->type() == "integer" || schema->type() == "boolean");
    if (!plain) {
      errors.invalid(at, text,
                     "must point to a field of type string, boolean or integer. Enum string fields "
                     "and strings with formats are allowed.");
    }
    if (!seen.insert(text).second) errors.duplicate(at, text);
  });
}

void validateVersion(const Version& version, const FieldPath& path, FieldErrors& errors) {
  errors.invalidEach(path.child("name"), version.name(), faultsOfDns1035Label(version.name()));
  if (version.has_deprecationwarning()) {
    const FieldPath at = path.child("deprecationWarning");
    if (!version.deprecated()) {
      errors.invalid(at, version.deprecationwarning(), "can only be set for deprecated versions");
    }
    constexpr std::int64_t kMost = 256;
    if (static_cast<std::int64_t>(version.deprecationwarning().size()) > kMost)
      errors.tooLong(at, kMost);
  }
  const FieldPath schema = path.child("schema").child("openAPIV3Schema");
  if (version.schema().has_openapiv3schema()) {
    validateStructure(version.schema().openapiv3schema(), schema, errors);
  } else {
    errors.required(schema, "schemas are required");
  }
  validateSubresources(version, path, errors);
  validateColumns(version, path, errors);
  validateSelectable(version, path, errors);
}

void validateVersions(const Crd& definition, const FieldPath& path, FieldErrors& errors) {
  const auto& versions = definition.spec().versions();
  if (versions.empty())
    return errors.invalid(path, "", "must have at least one version: exactly one is stored");
  std::set<std::string> names;
  int stored = 0;
  bool unique = true;
  for (const Version& version : versions) {
    stored += version.storage() ? 1 : 0;
    unique &= names.insert(version.name()).second;
  }
  std::string listed;
  for (const std::string& name : names) listed += (listed.empty() ? "" : ",") + name;
  if (!unique) errors.invalid(path, listed, "must contain unique version names");
  if (stored != 1)
    errors.invalid(path, listed, "must have exactly one version marked as storage version");
  forEach(versions, path, [&](const Version& version, const FieldPath& at) {
    validateVersion(version, at, errors);
  });
}

void validateConversion(const Crd& definition, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kStrategies[] = {"None"};
  const auto& conversion = definition.spec().conversion();
  if (conversion.strategy() == "Webhook") {
    return errors.invalid(path.child("strategy"), conversion.strategy(),
                          "podlab does not call conversion webhooks: use None, with which versions "
                          "differ in nothing but their apiVersion");
  }
  errors.oneOf(path.child("strategy"), conversion.strategy(), kStrategies);
  if (conversion.has_webhook()) {
    errors.forbidden(path.child("webhook"),
                     "should not be set when strategy is not set to Webhook");
  }
}

}  // namespace

std::vector<Cause> validateDefinition(const Crd& definition) {
  constexpr std::string_view kScopes[] = {"Cluster", "Namespaced"};
  const FieldPath path("spec");
  const auto& spec = definition.spec();
  FieldErrors errors;
  validateGroup(definition, path.child("group"), errors);
  errors.oneOf(path.child("scope"), spec.scope(), kScopes);
  if (spec.preserveunknownfields()) {
    errors.invalid(path.child("preserveUnknownFields"), true,
                   "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                   "spec.versions[*].schema instead");
  }
  validateNames(spec.names(), path.child("names"), errors);
  validateVersions(definition, path.child("versions"), errors);
  validateConversion(definition, path.child("conversion"), errors);
  if (definition.metadata().name() != spec.names().plural() + "." + spec.group()) {
    errors.invalid(FieldPath("metadata").child("name"), definition.metadata().name(),
                   "must be spec.names.plural+\".\"+spec.group");
  }
  return errors.take();
}

std::vector<Cause> validateDefinitionUpdate(const Crd& now, const Crd& before) {
  FieldErrors errors;
  const FieldPath path("spec");
  const auto same = [&](const FieldPath& at, const std::string& value, const std::string& old) {
    if (value != old) errors.invalid(at, value, kImmutable);
  };
  same(path.child("group"), now.spec().group(), before.spec().group());
  const FieldPath names = path.child("names");
  same(names.child("plural"), now.spec().names().plural(), before.spec().names().plural());
  if (isTrue(before.status(), "Established")) {
    same(path.child("scope"), now.spec().scope(), before.spec().scope());
    same(names.child("kind"), now.spec().names().kind(), before.spec().names().kind());
  }
  errors.add(validateDefinitionStatus(now, before));
  return errors.take();
}

std::vector<Cause> validateDefinitionStatus(const Crd& now, const Crd& /*before*/) {
  FieldErrors errors;
  forEach(now.status().storedversions(), FieldPath("status").child("storedVersions"),
          [&](const std::string& name, const FieldPath& at) {
            const bool known =
                std::ranges::any_of(now.spec().versions(),
                                    [&](const Version& version) { return version.name() == name; });
            if (!known) errors.invalid(at, name, "must appear in spec.versions");
          });
  return errors.take();
}

}  // namespace podlab::api
