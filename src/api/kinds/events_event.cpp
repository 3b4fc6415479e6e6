#include "core_v1.pb.h"
#include "events_v1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using eventsv1::Event;

/// What both forms have alike.
template <typename From, typename To>
void copyCommon(const From& from, To& to) {
  if (from.has_metadata()) *to.mutable_metadata() = from.metadata();
  if (from.has_eventtime()) *to.mutable_eventtime() = from.eventtime();
  if (from.has_action()) to.set_action(from.action());
  if (from.has_reason()) to.set_reason(from.reason());
  if (from.has_type()) to.set_type(from.type());
  if (from.has_related()) *to.mutable_related() = from.related();
  if (from.has_reportinginstance()) to.set_reportinginstance(from.reportinginstance());
  if (!from.has_series()) return;
  auto& series = *to.mutable_series();
  if (from.series().has_count()) series.set_count(from.series().count());
  if (from.series().has_lastobservedtime())
    *series.mutable_lastobservedtime() = from.series().lastobservedtime();
}

/// Upstream: pkg/apis/events/v1/conversion.go.
void toCore(const Event& event, corev1::Event& core) {
  copyCommon(event, core);
  if (event.has_note()) core.set_message(event.note());
  if (event.has_regarding()) *core.mutable_involvedobject() = event.regarding();
  if (event.has_reportingcontroller()) core.set_reportingcomponent(event.reportingcontroller());
  if (event.has_deprecatedsource()) *core.mutable_source() = event.deprecatedsource();
  if (event.has_deprecatedfirsttimestamp())
    *core.mutable_firsttimestamp() = event.deprecatedfirsttimestamp();
  if (event.has_deprecatedlasttimestamp())
    *core.mutable_lasttimestamp() = event.deprecatedlasttimestamp();
  if (event.has_deprecatedcount()) core.set_count(event.deprecatedcount());
}

void fromCore(const corev1::Event& core, Event& event) {
  copyCommon(core, event);
  if (core.has_message()) event.set_note(core.message());
  if (core.has_involvedobject()) *event.mutable_regarding() = core.involvedobject();
  if (core.has_reportingcomponent()) event.set_reportingcontroller(core.reportingcomponent());
  if (core.has_source()) *event.mutable_deprecatedsource() = core.source();
  if (core.has_firsttimestamp()) *event.mutable_deprecatedfirsttimestamp() = core.firsttimestamp();
  if (core.has_lasttimestamp()) *event.mutable_deprecatedlasttimestamp() = core.lasttimestamp();
  if (core.has_count()) event.set_deprecatedcount(core.count());
}

void validateSeries(const Event& event, FieldErrors& errors) {
  if (!event.has_series()) return;
  const FieldPath path("series");
  if (event.series().count() < 2) errors.invalid(path.child("count"), "", "should be at least 2");
  if (!isSet(event.series().lastobservedtime())) errors.required(path.child("lastObservedTime"));
}

/// What only this form demands, in the names of the other one
/// (pkg/apis/core/validation/events.go).
std::vector<Cause> validateNew(const Event& event) {
  FieldErrors errors;
  const auto unset = [&](const char* field, bool given) {
    if (given) errors.invalid(FieldPath(field), "", "needs to be unset");
  };
  validateSeries(event, errors);
  if (!isSet(event.eventtime())) errors.required(FieldPath("eventTime"));
  if (event.type() != "Normal" && event.type() != "Warning")
    errors.invalid(FieldPath("type"), "", "has invalid value: " + event.type());
  unset("firstTimestamp", isSet(event.deprecatedfirsttimestamp()));
  unset("lastTimestamp", isSet(event.deprecatedlasttimestamp()));
  unset("count", event.deprecatedcount() != 0);
  unset("source",
        !event.deprecatedsource().component().empty() || !event.deprecatedsource().host().empty());
  return errors.take();
}

std::vector<Cause> validateChange(const Event& now, const Event& before) {
  FieldErrors errors;
  const auto same = [&](const char* field, const std::string& value, const std::string& old) {
    if (value != old) errors.invalid(FieldPath(field), value, kImmutable);
  };
  const auto sameWhole = [&](const char* field, bool isSame) {
    if (!isSame) errors.invalidWhole(FieldPath(field), kImmutable);
  };
  if (!sameMessage(now.series(), before.series())) validateSeries(now, errors);
  sameWhole("involvedObject", sameMessage(now.regarding(), before.regarding()));
  same("reason", now.reason(), before.reason());
  same("message", now.note(), before.note());
  sameWhole("source", sameMessage(now.deprecatedsource(), before.deprecatedsource()));
  sameWhole("firstTimestamp",
            sameMessage(now.deprecatedfirsttimestamp(), before.deprecatedfirsttimestamp()));
  sameWhole("lastTimestamp",
            sameMessage(now.deprecatedlasttimestamp(), before.deprecatedlasttimestamp()));
  sameWhole("count", now.deprecatedcount() == before.deprecatedcount());
  same("type", now.type(), before.type());
  sameWhole("eventTime", sameMessage(now.eventtime(), before.eventtime()));
  same("action", now.action(), before.action());
  sameWhole("related", sameMessage(now.related(), before.related()));
  same("reportingController", now.reportingcontroller(), before.reportingcontroller());
  same("reportingInstance", now.reportinginstance(), before.reportinginstance());
  return errors.take();
}

}  // namespace

Kind eventsEventKind() {
  return {
      .group = "events.k8s.io",
      .version = "v1",
      .kind = "Event",
      .plural = "events",
      .singular = "event",
      .shortNames = {"ev"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Event::default_instance(),
      .columns = {},
      .strategy = {.validate = reads<Event>(validateNew),
                   .validateUpdate = compares<Event>(validateChange)},
      .form = Kind::Form{.stored = &corev1::Event::default_instance(),
                         .toStored = converts<Event, corev1::Event, toCore>,
                         .fromStored = converts<corev1::Event, Event, fromCore>,
                         .fieldLabels = {{"regarding.kind", "involvedObject.kind"},
                                         {"regarding.namespace", "involvedObject.namespace"},
                                         {"regarding.name", "involvedObject.name"},
                                         {"regarding.uid", "involvedObject.uid"},
                                         {"regarding.apiVersion", "involvedObject.apiVersion"},
                                         {"regarding.resourceVersion",
                                          "involvedObject.resourceVersion"},
                                         {"regarding.fieldPath", "involvedObject.fieldPath"},
                                         {"reason", "reason"},
                                         {"reportingController", "reportingComponent"},
                                         {"type", "type"}}},
  };
}

}  // namespace podlab::api
