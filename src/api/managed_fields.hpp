#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include <nlohmann/json_fwd.hpp>

#include "api/api.hpp"
#include "api/field_set.hpp"
#include "api/kinds.hpp"
#include "api/patch.hpp"
#include "common/time.hpp"

/// Who owns which fields of an object (metadata.managedFields), and server-side apply on top of it
/// (upstream's structured-merge-diff, merge/update.go, and apimachinery's managedfields).
namespace podlab::api {

/// Whose fields an entry of managedFields has.
struct ManagerId {
  std::string operation;  ///< "Apply" or "Update"
  std::string manager;
  std::string apiVersion;
  std::string subresource;
  auto operator<=>(const ManagerId&) const = default;
};

struct ManagerEntry {
  FieldSet fields;
  metav1::Time time;
};
using Managers = std::map<ManagerId, ManagerEntry>;

/// The managers of the metadata; kBadRequest names an entry that is malformed.
Result<Managers> readManagers(const metav1::ObjectMeta& metadata);
void writeManagers(const Managers& managers, metav1::ObjectMeta& metadata);

/// Who writes.
struct FieldWriter {
  std::string manager;
  std::string subresource;
  WallTime now;
};

/// Sets the managedFields of `next`, which is to follow `current` (null: it is made) by an update
/// of the writer, who then owns what is new or different. `wanted` is the object as the client sent
/// it: its managedFields count in place of those of `current` when they are there and well-formed,
/// and one empty entry takes all of them away. An object without managers stays so.
void trackUpdate(const Kind& kind, const google::protobuf::Message* current,
                 const metav1::ObjectMeta& wanted, google::protobuf::Message& next,
                 const FieldWriter& writer);

/// Whether the managers own the same, whenever they got it.
bool hasSameManagers(const metav1::ObjectMeta& a, const metav1::ObjectMeta& b);

struct ApplyOptions {
  FieldWriter writer;
  bool force = false;
  FieldValidation validation = FieldValidation::kWarn;
};

/// `current` (null: there is none) with a manager's configuration, JSON or YAML, and with the
/// managers that follow from it: what the configuration has becomes the manager's, what it no
/// longer has, and nobody else owns, goes. kConflict, with a cause for each field, when it changes
/// what others own and `force` is not set; kBadRequest for a malformed configuration. Defaults are
/// not applied and nothing is validated.
Result<Patched> applyConfiguration(const Kind& kind, const google::protobuf::Message* current,
                                   std::string_view configuration, const ApplyOptions& options);

/// A configuration in the form of another kind.
struct Configured {
  std::string text;  ///< JSON
  std::vector<std::string> warnings;
};
/// A configuration of a kind that is another form of one that is stored (Kind::Form), in the stored
/// form. kBadRequest as above.
Result<Configured> storedConfiguration(const Kind& kind, std::string_view configuration,
                                       FieldValidation validation);
/// The configuration of an object of a kind that has the subresource scale, by a configuration of
/// its Scale. kInvalid for a negative number, else as above.
Result<Configured> scaleConfiguration(const Kind& kind, std::string_view configuration,
                                      FieldValidation validation);

}  // namespace podlab::api
