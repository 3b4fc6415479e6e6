#include "api/field_errors.hpp"

#include <algorithm>
#include <iterator>

namespace podlab::api {

FieldPath FieldPath::with(Step::Kind kind, std::string_view name, std::size_t index) const {
  FieldPath longer = *this;
  if (longer.depth_ == kMaxSteps) {
    longer.prefix_ = text();
    longer.depth_ = 0;
  }
  const std::size_t number = kind == Step::Kind::kIndex ? index : name.size();
  longer.steps_[longer.depth_++] = {kind, static_cast<std::uint32_t>(number), name.data()};
  return longer;
}

std::string FieldPath::text() const {
  std::string text = prefix_;
  for (const Step& step : std::span(steps_).first(depth_)) {
    const auto name = [&] { return std::string_view(step.name, step.number); };
    switch (step.kind) {
      case Step::Kind::kChild:
        if (!text.empty()) text += '.';
        text += name();
        break;
      case Step::Kind::kIndex:
        text.append("[").append(std::to_string(step.number)).append("]");
        break;
      case Step::Kind::kKey:
        text.append("[").append(name()).append("]");
        break;
    }
  }
  return text;
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string made = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        made += "\\\"";
        break;
      case '\\':
        made += "\\\\";
        break;
      case '\n':
        made += "\\n";
        break;
      case '\t':
        made += "\\t";
        break;
      case '\r':
        made += "\\r";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
          made += "\\x";
          made += kHex[byte >> 4];
          made += kHex[byte & 15];
        } else {
          made += c;
        }
      }
    }
  }
  return made + '"';
}

void FieldErrors::add(std::string_view reason, const FieldPath& path, std::string message) {
  causes_.push_back({std::string(reason), path.text(), std::move(message)});
}

void FieldErrors::add(std::vector<Cause> causes) {
  std::ranges::move(causes, std::back_inserter(causes_));
}

namespace {

std::string withDetail(std::string text, std::string_view detail) {
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}

}  // namespace

void FieldErrors::required(const FieldPath& path, std::string_view detail) {
  add("FieldValueRequired", path, withDetail("Required value", detail));
}

void FieldErrors::invalidText(const FieldPath& path, const std::string& value,
                              std::string_view why) {
  add("FieldValueInvalid", path, withDetail("Invalid value: " + value, why));
}

void FieldErrors::invalid(const FieldPath& path, std::string_view value, std::string_view why) {
  invalidText(path, quoted(value), why);
}

void FieldErrors::invalid(const FieldPath& path, const char* value, std::string_view why) {
  invalidText(path, quoted(value), why);
}

void FieldErrors::invalid(const FieldPath& path, std::int64_t value, std::string_view why) {
  invalidText(path, std::to_string(value), why);
}

void FieldErrors::duplicate(const FieldPath& path, std::string_view value) {
  add("FieldValueDuplicate", path, "Duplicate value: " + quoted(value));
}

void FieldErrors::notSupported(const FieldPath& path, std::string_view value,
                               std::span<const std::string_view> supported) {
  std::string text = "Unsupported value: " + quoted(value);
  std::string_view separator = ": supported values: ";
  for (const std::string_view choice : supported) {
    text.append(separator).append(quoted(choice));
    separator = ", ";
  }
  add("FieldValueNotSupported", path, std::move(text));
}

void FieldErrors::notFound(const FieldPath& path, std::string_view value) {
  add("FieldValueNotFound", path, "Not found: " + quoted(value));
}

void FieldErrors::forbidden(const FieldPath& path, std::string_view detail) {
  add("FieldValueForbidden", path, withDetail("Forbidden", detail));
}

void FieldErrors::tooLong(const FieldPath& path, std::int64_t maxBytes) {
  add("FieldValueTooLong", path,
      "Too long: may not be more than " + std::to_string(maxBytes) + " bytes");
}

void FieldErrors::tooMany(const FieldPath& path, std::int64_t count, std::int64_t max) {
  add("FieldValueTooMany", path,
      "Too many: " + std::to_string(count) + ": must have at most " + std::to_string(max) +
          " items");
}

void FieldErrors::invalidWhole(const FieldPath& path, std::string_view why) {
  add("FieldValueInvalid", path, withDetail("Invalid value", why));
}

void FieldErrors::invalidEach(const FieldPath& path, std::string_view value,
                              const std::vector<std::string>& messages) {
  for (const std::string& message : messages) invalid(path, value, message);
}

void FieldErrors::oneOf(const FieldPath& path, std::string_view value,
                        std::span<const std::string_view> supported) {
  if (value.empty()) {
    required(path);
  } else if (std::ranges::find(supported, value) == supported.end()) {
    notSupported(path, value, supported);
  }
}

void FieldErrors::notNegative(const FieldPath& path, std::int64_t value) {
  if (value < 0) invalid(path, value, "must be greater than or equal to 0");
}

}  // namespace podlab::api
