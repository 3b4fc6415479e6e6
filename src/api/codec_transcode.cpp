#include <google/protobuf/wire_format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "custom_object.pb.h"
#include "intstr.pb.h"
#include "meta_v1.pb.h"
#include "resource.pb.h"

#include "api/codec.hpp"
#include "api/codec_base64.hpp"
#include "api/codec_table.hpp"
#include "api/codec_values.hpp"
#include "api/codec_wire.hpp"
#include "api/custom/custom_object.hpp"
#include "api/quantity.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using codec::Field;
using codec::Form;
using codec::Shape;
using codec::Table;
using codec::WireReader;
using codec::WireValue;

/// Of messages in one another, as protobuf's parsers have it.
constexpr int kMaxDepth = 100;

/// The fields of a message that has a scalar form, of which the last of each number counts.
struct Parts {
  static constexpr std::size_t kNumbers = 4;

  explicit Parts(std::string_view bytes) {
    WireReader in(bytes);
    std::uint32_t field = 0;
    WireValue value;
    while (in.next(field, value)) {
      if (field >= kNumbers) continue;
      if (value.type == WireValue::kVarint) integers[field] = {true, value.number};
      if (value.type == WireValue::kBytes) texts[field] = value.bytes;
    }
    ok = in.ok();
  }

  std::int64_t integer(std::size_t field) const {
    return static_cast<std::int64_t>(integers[field].second);
  }
  template <typename Time>
  Time time() const {
    Time made;
    if (integers[Time::kSecondsFieldNumber].first)
      made.set_seconds(integer(Time::kSecondsFieldNumber));
    if (integers[Time::kNanosFieldNumber].first)
      made.set_nanos(static_cast<std::int32_t>(integer(Time::kNanosFieldNumber)));
    return made;
  }

  std::array<std::pair<bool, std::uint64_t>, kNumbers> integers{};
  std::array<std::string_view, kNumbers> texts{};
  bool ok = true;
};

/// Walks a message's bytes once, notes what there is of each member, and writes the members in
/// their order.
class Transcoder {
 public:
  explicit Transcoder(JsonWriter& out) : out_(out) {}

  bool root(std::string_view bytes, const Table& table, const TypeMeta& type) {
    codec::TypeMembers typeMembers(out_, type);
    out_.beginObject();
    const bool ok = members(bytes, table, [&](std::string_view name) { typeMembers.before(name); });
    typeMembers.rest();
    out_.endObject();
    return ok;
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// A value of a member, and where the next one is.
  struct Piece {
    WireValue value;
    std::uint32_t next = kNone;
  };
  /// The values of a member, in pieces_; unknown where the member is not there.
  struct Slot {
    std::uint32_t first;
    std::uint32_t last;
  };

  bool object(std::string_view bytes, const Table& table) {
    if (depth_ == kMaxDepth) return false;
    ++depth_;
    out_.beginObject();
    const bool ok = members(bytes, table, [](std::string_view) {});
    out_.endObject();
    --depth_;
    return ok;
  }

  template <typename Before>
  bool members(std::string_view bytes, const Table& table, const Before& before) {
    const std::size_t slots = slots_.size();
    const std::size_t pieces = pieces_.size();
    slots_.resize(slots + table.fields().size());
    Table::FieldBits there{};
    bool ok = collect(bytes, table, 0, slots, there);
    for (std::size_t word = 0; word < there.size() && ok; ++word) {
      for (std::uint64_t left = there[word] | table.always()[word]; left != 0 && ok;
           left &= left - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(left));
        const Field& field = table.fields()[word * 64 + bit];
        before(field.name);
        const bool has = (there[word] >> bit & 1) != 0;
        ok = member(field, has ? slots_[slots + field.index].first : kNone);
      }
    }
    slots_.resize(slots);
    pieces_.resize(pieces);
    return ok;
  }

  /// Notes the fields of the object's own message, or of one that is inlined.
  bool collect(std::string_view bytes, const Table& table, std::size_t group, std::size_t slots,
               Table::FieldBits& there) {
    WireReader in(bytes);
    std::uint32_t number = 0;
    WireValue value;
    while (in.next(number, value)) {
      const std::uint16_t at = table.groups()[group].at(number);
      if (at == Table::Group::kNone) continue;
      if ((at & Table::Group::kInlined) != 0) {
        const std::size_t inlined = at & ~Table::Group::kInlined;
        if (value.type == WireValue::kBytes && !collect(value.bytes, table, inlined, slots, there))
          return false;
        continue;
      }
      if (!fits(table.fields()[at], value)) continue;
      const auto index = static_cast<std::uint32_t>(pieces_.size());
      pieces_.push_back({value});
      Slot& slot = slots_[slots + at];
      std::uint64_t& word = there[at / 64];
      const std::uint64_t bit = std::uint64_t{1} << at % 64;
      ((word & bit) == 0 ? slot.first : pieces_[slot.last].next) = index;
      slot.last = index;
      word |= bit;
    }
    return in.ok();
  }

  /// Whether it is what a parser takes: anything else is an unknown field.
  static bool fits(const Field& field, const WireValue& value) {
    if (field.shape == Shape::kList && value.type == WireValue::kBytes &&
        field.wireType != WireValue::kBytes)
      return !value.bytes.empty();
    if (value.type != field.wireType) return false;
    return field.form != Form::kEnum || field.shape == Shape::kMap || isKnown(field, value);
  }
  static bool isKnown(const Field& field, const WireValue& value) {
    return field.value->enum_type()->FindValueByNumber(static_cast<int>(value.number)) != nullptr;
  }

  bool member(const Field& field, std::uint32_t first) {
    switch (field.shape) {
      case Shape::kSingle:
        return single(field, first);
      case Shape::kList:
        return list(field, first);
      case Shape::kMap:
        return map(field, first);
    }
    return false;
  }

  static bool isMessage(const Field& field) {
    return field.value->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE;
  }

  bool single(const Field& field, std::uint32_t first) {
    WireValue value;
    std::string whole;
    if (first != kNone) {
      std::uint32_t last = first;
      while (pieces_[last].next != kNone) last = pieces_[last].next;
      value = pieces_[last].value;
      // A message that comes in pieces is what they make together.
      if (first != last && isMessage(field)) {
        for (std::uint32_t at = first; at != kNone; at = pieces_[at].next)
          whole += pieces_[at].value.bytes;
        value.bytes = whole;
      }
    }
    if (!field.always && !field.presence && isZero(field, value)) return true;
    out_.quotedKey(field.quoted);
    if (first == kNone && field.presence) {
      out_.null();
      return true;
    }
    return write(field, value);
  }

  static bool isZero(const Field& field, const WireValue& value) {
    switch (field.form) {
      case Form::kBool:
      case Form::kInt64:
      case Form::kUint64:
        return value.number == 0;
      case Form::kInt32:
      case Form::kUint32:
        return static_cast<std::uint32_t>(value.number) == 0;
      case Form::kDouble:
        return std::bit_cast<double>(value.number) == 0;
      case Form::kString:
      case Form::kBytes:
        return value.bytes.empty();
      case Form::kTime:
      case Form::kMicroTime: {
        const Parts parts(value.bytes);
        return parts.ok && !parts.integers[1].first && !parts.integers[2].first;
      }
      default:
        return false;
    }
  }

  bool list(const Field& field, std::uint32_t first) {
    out_.quotedKey(field.quoted);
    out_.beginArray();
    for (std::uint32_t at = first; at != kNone; at = pieces_[at].next) {
      const WireValue value = pieces_[at].value;
      const bool ok = value.type == field.wireType ? write(field, value) : packed(field, value);
      if (!ok) return false;
    }
    out_.endArray();
    return true;
  }

  bool packed(const Field& field, const WireValue& values) {
    WireReader in(values.bytes);
    WireValue value;
    while (in.nextPacked(field.wireType, value)) {
      if (field.form == Form::kEnum && !isKnown(field, value)) continue;
      if (!write(field, value)) return false;
    }
    return in.ok();
  }

  bool map(const Field& field, std::uint32_t first) {
    struct Entry {
      std::size_t number;
      std::string_view key;
      WireValue value;
    };
    std::vector<Entry> entries;
    std::deque<std::string> wholes;  // views into them stay
    for (std::uint32_t at = first; at != kNone; at = pieces_[at].next) {
      Entry& made = entries.emplace_back(Entry{entries.size(), {}, {}});
      if (!entry(field, pieces_[at].value.bytes, made.key, made.value, wholes)) return false;
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.key, a.number) < std::tie(b.key, b.number);
    });
    out_.quotedKey(field.quoted);
    out_.beginObject();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      // Of those with the same key the last counts.
      if (i + 1 < entries.size() && entries[i + 1].key == entries[i].key) continue;
      out_.key(entries[i].key);
      if (!write(field, entries[i].value)) return false;
    }
    out_.endObject();
    return true;
  }

  static bool entry(const Field& field, std::string_view bytes, std::string_view& key,
                    WireValue& value, std::deque<std::string>& wholes) {
    using google::protobuf::internal::WireFormat;
    WireReader in(bytes);
    std::uint32_t number = 0;
    WireValue found;
    while (in.next(number, found)) {
      if (number == 1 && found.type == WireValue::kBytes) key = found.bytes;
      if (number != 2 || found.type != WireFormat::WireTypeForFieldType(field.value->type()))
        continue;
      if (isMessage(field) && !value.bytes.empty()) {
        std::string& whole = wholes.emplace_back(value.bytes);
        found.bytes = whole.append(found.bytes);
      }
      value = found;
    }
    return in.ok();
  }

  bool write(const Field& field, const WireValue& value) {
    switch (field.form) {
      case Form::kBool:
        out_.boolean(value.number != 0);
        return true;
      case Form::kInt32:
        out_.number(std::int64_t{static_cast<std::int32_t>(value.number)});
        return true;
      case Form::kInt64:
        out_.number(static_cast<std::int64_t>(value.number));
        return true;
      case Form::kUint32:
        out_.number(std::uint64_t{static_cast<std::uint32_t>(value.number)});
        return true;
      case Form::kUint64:
        out_.number(value.number);
        return true;
      case Form::kDouble:
        out_.number(std::bit_cast<double>(value.number));
        return true;
      case Form::kString:
        out_.string(value.bytes);
        return true;
      case Form::kBytes:
        out_.plainString(codec::base64Encode(value.bytes));
        return true;
      case Form::kEnum:
        codec::writeEnum(out_, field, static_cast<int>(value.number));
        return true;
      case Form::kMessage:
        return object(value.bytes, *field.message);
      case Form::kBareList:
        return bareList(field, value.bytes);
      case Form::kSchemaOr:
        return schemaOr(field, value.bytes);
      default:
        return scalar(field.form, Parts(value.bytes));
    }
  }

  bool scalar(Form form, const Parts& parts) {
    if (!parts.ok) return false;
    switch (form) {
      case Form::kQuantity:
        codec::writeQuantity(out_, parts.texts[resourcev1::Quantity::kStringFieldNumber]);
        break;
      case Form::kIntOrString: {
        using k8s::io::apimachinery::pkg::util::intstr::IntOrString;
        if (parts.integer(IntOrString::kTypeFieldNumber) != 0) {
          out_.string(parts.texts[IntOrString::kStrValFieldNumber]);
        } else {
          const auto number = parts.integer(IntOrString::kIntValFieldNumber);
          out_.number(std::int64_t{static_cast<std::int32_t>(number)});
        }
        break;
      }
      case Form::kTime:
        codec::writeTime(out_, parts.time<metav1::Time>());
        break;
      case Form::kMicroTime:
        codec::writeTime(out_, parts.time<metav1::MicroTime>());
        break;
      case Form::kDuration: {
        const Duration duration(parts.integer(metav1::Duration::kDurationFieldNumber));
        out_.plainString(formatDuration(duration));
        break;
      }
      default:  // kFieldsV1, kRawExtension and kJson
        codec::writeRaw(out_, parts.texts[metav1::FieldsV1::kRawFieldNumber]);
    }
    return true;
  }

  bool bareList(const Field& field, std::string_view bytes) {
    const Field& items = Table::of(field.value->message_type()).fields()[0];
    WireReader in(bytes);
    std::uint32_t number = 0;
    WireValue value;
    out_.beginArray();
    while (in.next(number, value)) {
      const bool isItem = std::cmp_equal(number, items.descriptor->number());
      if (isItem && value.type == items.wireType) write(items, value);
    }
    out_.endArray();
    return in.ok();
  }

  /// By the message, as these are few.
  bool schemaOr(const Field& field, std::string_view bytes) {
    const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(
        field.value->message_type());
    const std::unique_ptr<google::protobuf::Message> message(prototype->New());
    if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
    codec::writeSchemaOr(out_, *message);
    return true;
  }

  JsonWriter& out_;
  std::vector<Slot> slots_;    ///< of the messages that are being written, the innermost last
  std::vector<Piece> pieces_;  ///< likewise
  int depth_ = 0;
};

}  // namespace

bool transcodeJson(JsonWriter& writer, std::string_view bytes,
                   const google::protobuf::Descriptor* descriptor, const TypeMeta& type) {
  if (descriptor == CustomObject::descriptor()) {
    CustomObject object;
    if (!object.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
    writeCustomObject(writer, object);
    return true;
  }
  return Transcoder(writer).root(bytes, Table::of(descriptor), type);
}

}  // namespace podlab::api
