#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/codec_table.hpp"

namespace podlab::api {

/// How the parts of a field belong to the managers of an object (server-side apply), and how a
/// strategic merge patch changes it. Facts of upstream's types: x-kubernetes-list-type,
/// -list-map-keys, -map-type, -patch-strategy and -patch-merge-key.
struct MergeRule {
  enum class Kind {
    kAtomic,    ///< one value, changed as a whole
    kGranular,  ///< a struct or a map: each member for itself
    kSet,       ///< a list of scalars, each for itself
    kKeyed,     ///< a list of objects that the values of `keys` tell apart
  };
  Kind kind = Kind::kAtomic;
  std::vector<std::string> keys;  ///< of kKeyed
  std::string patchStrategy;      ///< "merge", "merge,retainKeys", ... or ""
  std::string patchKey;           ///< of a merged list of objects
};

/// The rule of a member of a message's JSON object.
const MergeRule& mergeRuleOf(const codec::Field& field);
/// Whether objects of the message are one value wherever they are: a LabelSelector.
bool isAtomic(const google::protobuf::Descriptor* message);
/// The value of a list's key that an element leaves out: "TCP" of a port's protocol; "" when there
/// is none.
std::string_view defaultOfKey(std::string_view key);

}  // namespace podlab::api
