#include "apiserver/rest_call.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/kinds.hpp"
#include "apiserver/rest_body.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::size_t kMaxManager = 128;

Result<api::FieldValidation> fieldValidationOf(const std::string& text) {
  if (text.empty() || text == "Warn") return api::FieldValidation::kWarn;
  if (text == "Strict") return api::FieldValidation::kStrict;
  if (text == "Ignore") return api::FieldValidation::kIgnore;
  return Status(Code::kBadRequest, "fieldValidation: Unsupported value: \"" + text +
                                       "\": supported values: \"Ignore\", \"Warn\", \"Strict\"");
}

}  // namespace

std::string RestHandler::Call::text(std::string_view name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

bool RestHandler::Call::flag(std::string_view name) const {
  const std::string value = text(name);
  return value == "true" || value == "1" || value == "True" || value == "TRUE" || value == "t";
}

Result<std::optional<std::int64_t>> RestHandler::Call::number(std::string_view name) const {
  const std::string value = text(name);
  if (value.empty()) return std::optional<std::int64_t>();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) {
    return Status(Code::kBadRequest,
                  std::string(name) + ": \"" + value + "\" is not a whole number");
  }
  return std::optional<std::int64_t>(number);
}

Result<api::WriteOptions> RestHandler::Call::writeOptions() const {
  const std::string dryRun = text("dryRun");
  if (!dryRun.empty() && dryRun != "All") {
    return Status(Code::kBadRequest,
                  "dryRun: Unsupported value: \"" + dryRun + "\": supported values: \"All\"");
  }
  const auto validation = fieldValidationOf(text("fieldValidation"));
  if (!validation) return validation.status();
  const std::string manager = text("fieldManager");
  if (manager.size() > kMaxManager) {
    return Status(Code::kBadRequest, "fieldManager: Too long: may not be more than " +
                                         std::to_string(kMaxManager) + " bytes");
  }
  return api::WriteOptions{dryRun == "All", manager.empty() ? agent() : manager, *validation,
                           flag("force")};
}

std::string RestHandler::Call::agent() const {
  const std::string* header = request.header("user-agent");
  std::string name = header != nullptr ? header->substr(0, header->find('/')) : "";
  std::erase_if(name, [](unsigned char c) { return c < 0x20 || c >= 0x7f; });
  name.resize(std::min(name.size(), kMaxManager));
  return name.empty() ? "unknown" : name;
}

Result<api::DeleteOptions> RestHandler::Call::deleteOptions() const {
  const auto grace = number("gracePeriodSeconds");
  if (!grace) return grace.status();
  api::DeleteOptions options;
  if (!request.body.empty()) {
    // The version is that of whoever asks.
    auto body = readRestBody(request, api::DeleteOptions::default_instance(), {"", ""},
                             api::FieldValidation::kIgnore);
    if (!body) return body.status();
    options.CopyFrom(*body->object);
  }
  if (const std::string dryRun = text("dryRun"); !dryRun.empty()) options.add_dryrun(dryRun);
  if (*grace) options.set_graceperiodseconds(**grace);
  if (const std::string propagation = text("propagationPolicy"); !propagation.empty())
    options.set_propagationpolicy(propagation);
  return options;
}

http::Response RestHandler::Call::answer(int code, const google::protobuf::Message& object,
                                         WallTime now,
                                         const std::vector<std::string>& warnings) const {
  const api::Kind* kind = api::kindOf(object);
  return jsonAnswer(code, writeOne(form, kind != nullptr ? *kind : *id.kind, object, true, now),
                    warnings);
}

}  // namespace podlab::apiserver
