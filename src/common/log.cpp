#include "common/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "common/log_time.hpp"

namespace podlab {
namespace {

struct Settings {
  LogFormat format = LogFormat::kText;
  std::string process;
  std::function<WallTime()> now;  ///< none: the machine's clock says it
};
Settings& settings() {
  static Settings instance;
  return instance;
}

spdlog::level::level_enum toSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::string_view levelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARN";
    default:
      return "ERROR";
  }
}

spdlog::logger& logger() {
  // Tests and early failures log without initLogging(): warnings and worse, to stderr.
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("podlab",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

bool needsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (unsigned char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == 0x7f) return true;
  }
  return false;
}

std::string jsonQuoted(std::string_view value) {
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void initLogging(LogLevel level, LogFormat format, std::string_view process) {
  settings().format = format;
  settings().process = process;
  logger().set_level(toSpdlog(level));
  const char* pattern = format == LogFormat::kJson ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v}"
                                                   : "%Y-%m-%dT%H:%M:%S.%eZ %v";
  logger().set_pattern(pattern, spdlog::pattern_time_type::utc);
}

bool logEnabled(LogLevel level) {
  return logger().should_log(toSpdlog(level));
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!logEnabled(level)) return;
  std::string line;
  if (settings().format == LogFormat::kJson) {
    line = "\"level\":\"" + std::string(levelName(level)) + "\",\"event\":" + jsonQuoted(event);
    if (!settings().process.empty()) line += ",\"process\":" + jsonQuoted(settings().process);
    for (const auto& field : fields)
      line += "," + jsonQuoted(field.key) + ":" + jsonQuoted(field.value);
  } else {
    line = std::string(levelName(level)) + " ";
    if (!settings().process.empty()) line += "[" + settings().process + "] ";
    line += event;
    for (const auto& field : fields) {
      line += " " + std::string(field.key) + "=";
      line += needsQuotes(field.value) ? jsonQuoted(field.value) : field.value;
    }
  }
  if (!settings().now) return logger().log(toSpdlog(level), "{}", line);
  using Clock = spdlog::log_clock;
  const Clock::time_point time(
      std::chrono::duration_cast<Clock::duration>(settings().now().time_since_epoch()));
  logger().log(time, spdlog::source_loc{}, toSpdlog(level), line);
}

LogTime::LogTime(std::function<WallTime()> now) {
  settings().now = std::move(now);
}

LogTime::~LogTime() {
  settings().now = nullptr;
}

}  // namespace podlab
