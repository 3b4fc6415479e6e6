#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "apiextensions_v1.pb.h"
#include "custom_object.pb.h"

#include "api/kinds.hpp"

/// The kinds that CustomResourceDefinitions add to the table. A kind once made is never freed, so
/// that caches, watches and controllers may hold it: a changed definition changes it in place, and
/// one that is gone takes it off the lists. All use is from one thread.
namespace podlab::api {

/// By which a definition waits for the end of its objects.
inline constexpr std::string_view kCleanUpFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/// Lists the kinds of a definition as it is now, or takes them off while it is not established.
/// `owner` is whose view of a cluster this is: a later owner replaces an earlier one. The kind that
/// stands for the resource, nullptr when none was ever listed.
const Kind* listCustomKinds(const apiextensionsv1::CustomResourceDefinition& definition,
                            const void* owner);
/// Takes the kinds of a definition, or all of the owner's, off the lists.
void unlistCustomKinds(std::string_view definition, const void* owner);
void unlistCustomKinds(const void* owner);

/// The kind that stands for a definition's resource; nullptr when it is not listed.
const Kind* customResource(std::string_view definition);
/// Those of all definitions; and all served versions, the preferred ones first.
const std::vector<const Kind*>& customResources();
const std::vector<const Kind*>& servedCustomKinds();
/// The kind by the object's apiVersion and kind, listed or not.
const Kind* customKindOf(const CustomObject& object);

/// Counts the changes of what is listed.
std::uint64_t customKindsGeneration();

/// Whether clients should prefer the first version: v2 to v1 to v1beta2 to v1alpha1 to "foo"
/// (apimachinery/pkg/version, CompareKubeAwareVersionStrings).
bool isPreferredVersion(std::string_view a, std::string_view b);

}  // namespace podlab::api
