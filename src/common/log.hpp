#pragma once
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab {

/// Logs are one line an event, key=value, on stderr ("2026-01-02T03:04:05.678Z INFO pod_started
/// pod=default/web ip=10.244.1.2"), or JSON. stdout is for data.
enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

/// For the mains: sets level, format and the process's name in each line ("" for none).
void initLogging(LogLevel level, LogFormat format, std::string_view process);
bool logEnabled(LogLevel level);

/// One key=value of a log line.
struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <typename T>
    requires(std::integral<T> || std::floating_point<T>)
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, const Status& v) : key(k), value(v.toString()) {}
};

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
inline void logDebug(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kDebug, event, fields);
}
inline void logInfo(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kInfo, event, fields);
}
inline void logWarning(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kWarning, event, fields);
}
inline void logError(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kError, event, fields);
}

}  // namespace podlab
