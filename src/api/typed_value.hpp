#pragma once
#include <google/protobuf/descriptor.h>

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "api/field_set.hpp"
#include "api/merge_rules.hpp"

/// JSON values of a known type, as server-side apply takes them apart, merges and compares them
/// (upstream's structured-merge-diff, package typed). null is as good as absent.
namespace podlab::api {

struct Kind;
struct Schema;

/// What a JSON value is.
class ValueType {
 public:
  enum class Kind {
    kAtomic,  ///< changed as a whole
    kStruct,  ///< an object of known members
    kMap,     ///< an object of any members, each for itself
    kSet,     ///< a list of scalars, each for itself
    kKeyed,   ///< a list of objects told apart by keys()
  };

  /// An object of the message; apiVersion and kind are no part of it.
  static ValueType of(const google::protobuf::Descriptor* message);
  /// An object of the kind. Of a custom kind, it must not be kept.
  static ValueType of(const podlab::api::Kind& kind);

  Kind kind() const { return kind_; }
  const std::vector<std::string>& keys() const;
  /// The value, as JSON, of a key that an element leaves out; "" when there is none.
  std::string defaultOf(const std::string& key) const;
  /// The type of a member of a struct or map; nullopt when a struct has none of that name.
  std::optional<ValueType> member(std::string_view name) const;
  /// The type of the elements of a set or keyed list.
  ValueType element() const;
  /// Go's encoder writes the list or map also when it is empty.
  bool isAlways() const { return field_ != nullptr && field_->always; }

 private:
  static ValueType of(const codec::Field& field);
  static ValueType of(const Schema& schema);
  /// Of what no schema specifies: objects are maps, all else is changed as a whole.
  static ValueType open();

  Kind kind_ = Kind::kAtomic;
  const codec::Table* table_ = nullptr;  // of kStruct
  const codec::Field* field_ = nullptr;  // of the others
  const Schema* schema_ = nullptr;       // of what is in a custom object; null: open()
  bool isRoot_ = false;                  // of a custom object
};

/// The fields that a configuration sets (typed/tofieldset.go).
FieldSet fieldsOf(const nlohmann::json& value, const ValueType& type);

/// What differs: fields of `before` alone, of both with other values, and of `after` alone
/// (typed/compare.go).
struct Comparison {
  FieldSet removed;
  FieldSet modified;
  FieldSet added;
};
Comparison compare(const nlohmann::json& before, const nlohmann::json& after,
                   const ValueType& type);

/// `live` with all that `config` sets (typed/merge.go): lists keep the order of both where they
/// agree, and that of `config` where not.
nlohmann::json merge(const nlohmann::json& live, const nlohmann::json& config,
                     const ValueType& type);

/// Takes the members of the set out of the value, with all that is in them (typed/remove.go).
void removeFields(nlohmann::json& value, const FieldSet& fields, const ValueType& type);

/// Makes the structs that lead to a member members, too (FieldSet.EnsureNamedFieldsAreMembers).
void addNamedFields(FieldSet& set, const ValueType& type);

/// The first list, as a path, that has two elements of the same keys, or one without its keys; ""
/// when there is none.
std::string faultOfKeys(const nlohmann::json& value, const ValueType& type);

}  // namespace podlab::api
