#include <algorithm>
#include <cctype>

#include "api/age.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

std::vector<Cause> validate(const corev1::Event& object) {
  FieldErrors errors;
  const std::string& involved = object.involvedobject().namespace_();
  const std::string& own = object.metadata().namespace_();
  // Events of cluster-scoped objects live in "default" (or "kube-system").
  const bool fits = involved.empty() ? own == "default" || own == "kube-system" : involved == own;
  if (!fits) {
    errors.invalid(FieldPath("involvedObject.namespace"), involved,
                   "does not match event.namespace");
  }
  return errors.take();
}

std::string firstSeen(const corev1::Event& event, WallTime now) {
  return isSet(event.firsttimestamp()) ? ageOf(event.firsttimestamp(), now)
                                       : ageOf(event.eventtime(), now);
}

std::string lastSeen(const corev1::Event& event, WallTime now) {
  if (event.has_series()) return ageOf(event.series().lastobservedtime(), now);
  return isSet(event.lasttimestamp()) ? ageOf(event.lasttimestamp(), now) : firstSeen(event, now);
}

std::string objectOf(const corev1::Event& event) {
  std::string text = event.involvedobject().kind();
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  if (!event.involvedobject().name().empty()) text += "/" + event.involvedobject().name();
  return text;
}

std::string sourceOf(const corev1::Event& event) {
  const bool legacy = !event.source().component().empty();
  const std::string& component = legacy ? event.source().component() : event.reportingcomponent();
  const std::string& host =
      legacy || !event.source().host().empty() ? event.source().host() : event.reportinginstance();
  return host.empty() ? component : component + ", " + host;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string countOf(const corev1::Event& event) {
  const int count = event.has_series() ? event.series().count() : event.count();
  return std::to_string(std::max(count, 1));
}

Column timeColumn(std::string_view name, int priority,
                  std::string (*cell)(const corev1::Event&, WallTime)) {
  return {name, priority, [cell](const google::protobuf::Message& object, WallTime now) {
            return cell(static_cast<const corev1::Event&>(object), now);
          }};
}

template <typename F>
auto label(std::string_view name, F read) {
  return std::pair<std::string_view, std::function<std::string(const google::protobuf::Message&)>>(
      name, reads<corev1::Event>(std::move(read)));
}

/// A selector by a field of involvedObject.
auto involved(std::string_view name, const std::string& (corev1::ObjectReference::*get)() const) {
  return label(name, [get](const corev1::Event& event) { return (event.involvedobject().*get)(); });
}

}  // namespace

Kind eventKind() {
  using Event = corev1::Event;
  using Reference = corev1::ObjectReference;
  const auto type = [](const Event& event) { return event.type(); };
  const auto reason = [](const Event& event) { return event.reason(); };
  Column name = nameColumn();
  name.priority = 1;
  return {
      .group = "",
      .version = "v1",
      .kind = "Event",
      .plural = "events",
      .singular = "event",
      .shortNames = {"ev"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Event::default_instance(),
      .columns = {timeColumn("Last Seen", 0, lastSeen), column<Event>("Type", 0, type),
                  column<Event>("Reason", 0, reason), column<Event>("Object", 0, objectOf),
                  column<Event>(
                      "Subobject", 1,
                      [](const Event& event) { return event.involvedobject().fieldpath(); }),
                  column<Event>("Source", 1, sourceOf),
                  column<Event>("Message", 0,
                                [](const Event& event) { return trimmed(event.message()); }),
                  timeColumn("First Seen", 1, firstSeen), column<Event>("Count", 1, countOf), name},
      .strategy =
          {.validate = reads<Event>(validate),
           .fieldLabels = {involved("involvedObject.kind", &Reference::kind),
                           involved("involvedObject.namespace", &Reference::namespace_),
                           involved("involvedObject.name", &Reference::name),
                           involved("involvedObject.uid", &Reference::uid),
                           involved("involvedObject.apiVersion", &Reference::apiversion),
                           involved("involvedObject.resourceVersion", &Reference::resourceversion),
                           involved("involvedObject.fieldPath", &Reference::fieldpath),
                           label("reason", reason), label("type", type),
                           label("reportingComponent",
                                 [](const Event& event) { return event.reportingcomponent(); }),
                           label("source",
                                 [](const Event& event) {
                                   return event.source().component().empty()
                                              ? event.reportingcomponent()
                                              : event.source().component();
                                 })},
           .dependents = Dependents::kNone},
  };
}

}  // namespace podlab::api
