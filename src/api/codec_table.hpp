#pragma once
#include <google/protobuf/descriptor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace podlab::api::codec {

/// How a value looks in JSON.
enum class Form : std::uint8_t {
  kBool,
  kInt32,
  kInt64,
  kUint32,
  kUint64,
  kDouble,
  kString,
  kBytes,
  kEnum,
  kMessage,
  kQuantity,
  kIntOrString,
  kTime,
  kMicroTime,
  kDuration,
  kFieldsV1,
  kRawExtension,
  kBareList,
  kJson,      ///< any value
  kSchemaOr,  ///< a schema, or the other member of the message
};

enum class Shape : std::uint8_t { kSingle, kList, kMap };

class Table;

/// One member of a message's JSON object.
struct Field {
  std::string name;
  std::string quoted;  ///< the name as JSON
  std::vector<const google::protobuf::FieldDescriptor*>
      via;  ///< the inlined messages that lead to the field's message
  const google::protobuf::FieldDescriptor* descriptor = nullptr;
  const google::protobuf::FieldDescriptor* value = nullptr;  ///< the descriptor, or a map's value
  Form form = Form::kString;
  Shape shape = Shape::kSingle;
  bool always = false;
  bool presence = false;
  int wireType = 0;                ///< of one value, protobuf's WireType
  std::size_t index = 0;           ///< in Table::fields()
  std::size_t group = 0;           ///< in Table::groups()
  std::size_t position = 0;        ///< of the descriptor in its message's
  const Table* message = nullptr;  ///< with Form::kMessage
};

/// The members of a message's JSON object, inlined ones included. Immutable, one for each
/// descriptor of the process.
class Table {
 public:
  static constexpr std::size_t kMaxFields = 256;

  /// Built on first use; thread-safe.
  static const Table& of(const google::protobuf::Descriptor* descriptor);

  using FieldBits = std::array<std::uint64_t, kMaxFields / 64>;
  /// The members that are fields of one message: the object's own, or one that is inlined.
  struct Group {
    static constexpr std::uint16_t kNone = 0xffff;
    static constexpr std::uint16_t kInlined = 0x8000;
    std::vector<const google::protobuf::FieldDescriptor*> via;
    std::vector<std::uint16_t> members;  ///< indices into fields() by the descriptor's position
    /// By a field's number: the same, or the inlined message's index into groups() with kInlined.
    std::vector<std::uint16_t> byNumber;

    std::uint16_t at(std::uint32_t number) const {
      return number < byNumber.size() ? byNumber[number] : kNone;
    }
  };

  /// Sorted by name.
  const std::vector<Field>& fields() const { return fields_; }
  const std::vector<Group>& groups() const { return groups_; }
  /// Those with Field::always, by index.
  const FieldBits& always() const { return always_; }
  /// The member of that very name, or nullptr.
  const Field* find(std::string_view name) const;

 private:
  friend class TableRegistry;
  void add(const google::protobuf::Descriptor* descriptor,
           const std::vector<const google::protobuf::FieldDescriptor*>& via);
  void index();
  std::size_t slot(std::string_view name, std::uint64_t seed) const;

  std::vector<Field> fields_;
  std::vector<Group> groups_;
  FieldBits always_{};
  // Perfect hash: the seed is searched until no two names share a slot.
  std::vector<std::uint16_t> slots_;  // 1 + index into fields_, 0: empty
  std::uint64_t seed_ = 0;
};

}  // namespace podlab::api::codec
