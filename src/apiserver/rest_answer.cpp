#include "apiserver/rest_answer.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "api/kinds.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::size_t kPiece = 64UL << 10;
/// Of the texts of events, for watches that have not got them yet.
constexpr std::size_t kKept = 1UL << 20;

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

/// The next part of a list, which loses it.
std::string_view takePart(std::string_view& list, char separator) {
  const auto end = list.find(separator);
  const std::string_view part = trim(list.substr(0, end));
  list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  return part;
}

/// One entry: "application/json;as=Table;v=v1;g=meta.k8s.io".
RestForm formOf(std::string_view entry) {
  RestForm none;
  none.kind = RestForm::Kind::kNone;
  const std::string_view type = takePart(entry, ';');
  if (type != "application/json" && type != "application/*" && type != "*/*") return none;
  std::map<std::string, std::string, std::less<>> parameters;
  while (!entry.empty()) {
    std::string_view parameter = takePart(entry, ';');
    const std::string_view name = takePart(parameter, '=');
    parameters.emplace(name, parameter);
  }
  RestForm form;
  const auto as = parameters.find("as");
  if (as == parameters.end()) return form;
  const auto& version = parameters["v"];
  if (parameters["g"] != "meta.k8s.io" || (version != "v1" && version != "v1beta1")) return none;
  form.metaVersion = version;
  if (as->second == "Table") {
    form.kind = RestForm::Kind::kTable;
  } else if (as->second.starts_with("PartialObjectMetadata")) {
    form.kind = RestForm::Kind::kMetadata;
  } else {
    return none;
  }
  return form;
}

void writeTypeMeta(JsonWriter& writer, std::string_view kind, std::string_view apiVersion) {
  writer.key("kind");
  writer.string(kind);
  writer.key("apiVersion");
  writer.string(apiVersion);
}

void writeMetadata(JsonWriter& writer, const RestForm& form,
                   const google::protobuf::Message& object) {
  writer.beginObject();
  writeTypeMeta(writer, "PartialObjectMetadata", "meta.k8s.io/" + form.metaVersion);
  writer.key("metadata");
  api::writeJson(writer, api::meta(object));
  writer.endObject();
}

void writeListMeta(JsonWriter& writer, const api::ListResult& list) {
  writer.key("metadata");
  writer.beginObject();
  writer.key("resourceVersion");
  writer.string(list.resourceVersion);
  if (!list.continueToken.empty()) {
    writer.key("continue");
    writer.string(list.continueToken);
  }
  if (list.remainingItemCount) {
    writer.key("remainingItemCount");
    writer.number(*list.remainingItemCount);
  }
  writer.endObject();
}

void writeColumns(JsonWriter& writer, const api::Kind& kind) {
  for (const auto& column : kind.stored().columns) {
    writer.beginObject();
    writer.key("name");
    writer.string(column.name);
    writer.key("type");
    writer.string(column.type);
    writer.key("format");
    writer.string(column.name == "Name" ? "name" : column.format);
    writer.key("description");
    writer.string(column.description);
    writer.key("priority");
    writer.number(std::int64_t{column.priority});
    writer.endObject();
  }
}

void writeRow(JsonWriter& writer, const RestForm& form, const api::Kind& kind,
              const google::protobuf::Message& object, WallTime now) {
  api::MutableObjectPtr stored;
  if (kind.form) {
    stored = kind.stored().make();
    kind.form->toStored(object, *stored);
  }
  writer.beginObject();
  writer.key("cells");
  writer.beginArray();
  for (const auto& column : kind.stored().columns)
    writer.string(column.cell(stored ? *stored : object, now));
  writer.endArray();
  if (form.includeObject != "None") writer.key("object");
  if (form.includeObject == "Metadata") writeMetadata(writer, form, object);
  if (form.includeObject == "Object") api::writeJson(writer, object, typeOf(kind));
  writer.endObject();
}

/// All before a table's first row. Of the columns only where they are wanted.
void beginTable(JsonWriter& writer, const RestForm& form, const api::Kind& kind,
                const api::ListResult& list, bool withColumns) {
  writer.beginObject();
  writeTypeMeta(writer, "Table", "meta.k8s.io/" + form.metaVersion);
  writeListMeta(writer, list);
  writer.key("columnDefinitions");
  writer.beginArray();
  if (withColumns) writeColumns(writer, kind);
  writer.endArray();
  writer.key("rows");
  writer.beginArray();
}

/// All before a list's first item.
void beginList(JsonWriter& writer, const RestForm& form, const api::Kind& kind,
               const api::ListResult& list) {
  if (form.kind == RestForm::Kind::kTable) return beginTable(writer, form, kind, list, true);
  const bool metadata = form.kind == RestForm::Kind::kMetadata;
  writer.beginObject();
  writeTypeMeta(writer, metadata ? "PartialObjectMetadataList" : kind.listKind(),
                metadata ? "meta.k8s.io/" + form.metaVersion : kind.apiVersion());
  writeListMeta(writer, list);
  writer.key("items");
  writer.beginArray();
}

void writeItem(JsonWriter& writer, const RestForm& form, const api::Kind& kind,
               const api::ListItem& item, WallTime now) {
  switch (form.kind) {
    case RestForm::Kind::kTable:
      return writeRow(writer, form, kind, *item, now);
    case RestForm::Kind::kMetadata:
      return writeMetadata(writer, form, *item);
    default:
      if (const auto& packed = item.packed()) {
        // What is stored has been read once.
        (void)api::transcodeJson(writer, packed->bytes(), packed->descriptor());
      } else {
        api::writeJson(writer, *item);
      }
  }
}

void endList(JsonWriter& writer) {
  writer.endArray();
  writer.endObject();
}

void writeObject(JsonWriter& writer, const RestForm& form, const api::Kind& kind,
                 const google::protobuf::Message& object, bool withColumns, WallTime now) {
  switch (form.kind) {
    case RestForm::Kind::kTable: {
      api::ListResult one;
      one.resourceVersion = api::meta(object).resourceversion();
      beginTable(writer, form, kind, one, withColumns);
      writeRow(writer, form, kind, object, now);
      return endList(writer);
    }
    case RestForm::Kind::kMetadata:
      return writeMetadata(writer, form, object);
    default:
      return api::writeJson(writer, object, typeOf(kind));
  }
}

/// As a quoted-string of a header (RFC 9110, 5.6.4); no control character can be in one.
std::string warningHeader(std::string_view warning) {
  std::string text = "299 - \"";
  for (const char c : warning) {
    if (c == '"' || c == '\\') text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return text + "\"";
}

}  // namespace

RestForm acceptedForm(const http::Request& request) {
  const std::string* accept = request.header("accept");
  if (accept == nullptr || trim(*accept).empty()) return {};
  RestForm form;
  form.kind = RestForm::Kind::kNone;
  for (std::string_view rest = *accept; !rest.empty() && form.kind == RestForm::Kind::kNone;)
    form = formOf(takePart(rest, ','));
  return form;
}

http::Response plainAnswer(int code, std::string text) {
  return {code, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

http::Response jsonAnswer(int code, std::string json, const std::vector<std::string>& warnings) {
  http::Response response{code, {{"Content-Type", "application/json"}}, std::move(json)};
  response.headers.emplace_back("Cache-Control", "no-cache, private");
  for (const auto& warning : warnings)
    response.headers.emplace_back("Warning", warningHeader(warning));
  return response;
}

http::Response statusAnswer(const Status& status, const api::StatusSubject& subject) {
  const auto told = api::toApiStatus(status, subject);
  return jsonAnswer(told.code(), api::toJson(told, {.type = {"v1", "Status"}}));
}

api::TypeMeta typeOf(const api::Kind& kind) {
  return {kind.apiVersion(), std::string(kind.kind)};
}

std::string writeOne(const RestForm& form, const api::Kind& kind,
                     const google::protobuf::Message& object, bool withColumns, WallTime now) {
  std::string text;
  JsonWriter writer(text);
  writeObject(writer, form, kind, object, withColumns, now);
  return text;
}

std::string writeList(const RestForm& form, const api::Kind& kind, const api::ListResult& list,
                      WallTime now) {
  std::string text;
  JsonWriter writer(text);
  beginList(writer, form, kind, list);
  for (const auto& item : list.items) writeItem(writer, form, kind, item, now);
  endList(writer);
  return text;
}

ListWriter::ListWriter(RestForm form, const api::Kind& kind, api::ListResult list, WallTime now)
    : form_(std::move(form)), kind_(kind), list_(std::move(list)), now_(now) {}

std::string ListWriter::next() {
  if (!begun_) beginList(writer_, form_, kind_, list_);
  begun_ = true;
  while (text_.size() < kPiece && written_ < list_.items.size()) {
    // What was written needs not stay.
    const api::ListItem item = std::move(list_.items[written_++]);
    writeItem(writer_, form_, kind_, item, now_);
  }
  if (written_ == list_.items.size() && !ended_) {
    ended_ = true;
    endList(writer_);
  }
  return std::exchange(text_, "");
}

const std::string& EventWriter::textOf(const api::ObjectPtr& object, WallTime now) {
  const std::int64_t second =
      form_.kind == RestForm::Kind::kTable
          ? std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count()
          : 0;
  auto [entry, isNew] = written_.try_emplace(object.get());
  Written& written = entry->second;
  if (!isNew && written.second == second) return written.text;
  if (isNew) oldest_.push_back(object.get());
  bytes_ -= written.text.size();
  written = {object, second, writeOne(form_, kind_, *object, false, now)};
  bytes_ += written.text.size();
  while (bytes_ > kKept && oldest_.size() > 1) {
    const auto first = written_.find(oldest_.front());
    oldest_.pop_front();
    bytes_ -= first->second.text.size();
    written_.erase(first);
  }
  return written.text;
}

void EventWriter::write(const api::WatchEvent& event, bool isFirst, bool shared, WallTime now,
                        std::string& out) {
  out.append(R"({"type":")").append(api::nameOf(event.type)).append(R"(","object":)");
  // A bookmark has no more than a version.
  if (event.type == api::EventType::kBookmark) {
    out += writeOne({}, kind_, *event.object, false, now);
  } else if (shared && !(isFirst && form_.kind == RestForm::Kind::kTable)) {
    out += textOf(event.object, now);
  } else {
    out += writeOne(form_, kind_, *event.object, isFirst, now);
  }
  out += "}\n";
}

std::string writeErrorEvent(const Status& status) {
  std::string text;
  JsonWriter writer(text);
  writer.beginObject();
  writer.key("type");
  writer.string("ERROR");
  writer.key("object");
  api::writeJson(writer, api::toApiStatus(status), {"v1", "Status"});
  writer.endObject();
  return text + "\n";
}

}  // namespace podlab::apiserver
