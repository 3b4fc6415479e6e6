#include <yaml.h>

#include "common/json.hpp"
#include "common/yaml.hpp"
#include "common/yaml_scalar.hpp"

namespace podlab {
namespace {

int append(void* out, unsigned char* buffer, std::size_t size) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(buffer), size);
  return 1;
}

/// libyaml's emitter, which go-yaml's is a translation of: both choose the same quotes, folds and
/// indentation.
class Emitter {
 public:
  explicit Emitter(std::string& out) {
    yaml_emitter_initialize(&emitter_);
    yaml_emitter_set_output(&emitter_, append, &out);
    yaml_emitter_set_unicode(&emitter_, 1);
  }
  ~Emitter() { yaml_emitter_delete(&emitter_); }
  Emitter(const Emitter&) = delete;
  Emitter& operator=(const Emitter&) = delete;

  void document(JsonReader& reader) {
    yaml_event_t event;
    emit(yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), event);
    emit(yaml_document_start_event_initialize(&event, nullptr, nullptr, nullptr, 1), event);
    value(reader);
    emit(yaml_document_end_event_initialize(&event, 1), event);
    emit(yaml_stream_end_event_initialize(&event), event);
  }
  bool ok() const { return ok_; }

 private:
  void value(JsonReader& reader) {
    yaml_event_t event;
    std::string_view text;
    switch (reader.type()) {
      case JsonType::kObject:
        emit(yaml_mapping_start_event_initialize(&event, nullptr, nullptr, 1,
                                                 YAML_BLOCK_MAPPING_STYLE),
             event);
        reader.beginObject();
        while (reader.nextKey(&text)) {
          string(text);
          value(reader);
        }
        return emit(yaml_mapping_end_event_initialize(&event), event);
      case JsonType::kArray:
        emit(yaml_sequence_start_event_initialize(&event, nullptr, nullptr, 1,
                                                  YAML_BLOCK_SEQUENCE_STYLE),
             event);
        reader.beginArray();
        while (reader.nextElement()) value(reader);
        return emit(yaml_sequence_end_event_initialize(&event), event);
      case JsonType::kString:
        if (reader.readString(&text)) string(text);
        return;
      default:
        if (reader.skip(&text)) scalar(text, YAML_PLAIN_SCALAR_STYLE);
    }
  }

  void string(std::string_view text) {
    scalar(text, text.find('\n') != text.npos ? YAML_LITERAL_SCALAR_STYLE
                 : isAmbiguousYaml(text)      ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                              : YAML_PLAIN_SCALAR_STYLE);
  }

  void scalar(std::string_view text, yaml_scalar_style_t style) {
    yaml_event_t event;
    const auto* bytes = reinterpret_cast<const yaml_char_t*>(text.data());
    emit(yaml_scalar_event_initialize(&event, nullptr, nullptr, bytes,
                                      static_cast<int>(text.size()), 1, 1, style),
         event);
  }

  void emit(int made, yaml_event_t& event) {
    ok_ = made && yaml_emitter_emit(&emitter_, &event) && ok_;
  }

  yaml_emitter_t emitter_{};
  bool ok_ = true;
};

}  // namespace

Result<std::string> jsonToYaml(std::string_view json) {
  std::string yaml;
  JsonReader reader(json);
  Emitter emitter(yaml);
  emitter.document(reader);
  if (!reader.finish()) return reader.status();
  if (!emitter.ok()) return Status(Code::kInternal, "libyaml refused the document");
  return yaml;
}

}  // namespace podlab
