#include "node/http_message.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <vector>

#include "transport/tcp.hpp"

namespace podlab::node {
namespace {

Status notHttp(std::string_view why) {
  return {Code::kInvalid, "malformed HTTP response: " + std::string(why)};
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <typename Number>
std::optional<Number> number(std::string_view text, int base = 10) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// Without "." and ".." (RFC 3986, 5.2.4).
std::string withoutDots(std::string_view path) {
  std::string_view query;
  if (const auto mark = path.find('?'); mark != std::string_view::npos) {
    query = path.substr(mark);
    path = path.substr(0, mark);
  }
  std::vector<std::string_view> segments;
  bool folder = false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
    folder = segment == "." || segment == "..";
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!folder) segments.push_back(segment);
  }
  std::string out;
  for (const auto& segment : segments) out += "/" + std::string(segment);
  if (folder || out.empty()) out += "/";
  return out + std::string(query);
}

}  // namespace

std::string HttpTarget::url() const {
  return std::string(tls ? "https" : "http") + "://" + transport::joinHostPort(host, port) + path;
}

std::string HttpTarget::authority() const {
  if (port != (tls ? 443 : 80)) return transport::joinHostPort(host, port);
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

std::string requestPath(std::string_view path) {
  std::string out = path.starts_with('/') ? "" : "/";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      out += c;
    } else {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

Result<HttpTarget> resolveLocation(const HttpTarget& from, std::string_view location) {
  const auto unusable = [&location](const char* why) {
    return Status(Code::kInvalid,
                  "failed to parse Location header \"" + std::string(location) + "\": " + why);
  };
  location = trimmed(location);
  HttpTarget to = from;
  std::string_view rest = location.substr(0, location.find('#'));
  const auto colon = rest.find(':');
  const auto special = rest.find_first_of("/?");
  if (colon != std::string_view::npos && (special == std::string_view::npos || colon < special)) {
    const auto scheme = rest.substr(0, colon);
    to.tls = equalsIgnoringCase(scheme, "https");
    if (!to.tls && !equalsIgnoringCase(scheme, "http"))
      return Status(Code::kInvalid, "unsupported protocol scheme \"" + std::string(scheme) + "\"");
    rest.remove_prefix(colon + 1);
    if (!rest.starts_with("//")) return unusable("it names no host");
  }
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const auto end = std::min(rest.find_first_of("/?"), rest.size());
    std::string authority(rest.substr(0, end));
    rest.remove_prefix(end);
    authority.erase(0, authority.rfind('@') + 1);
    to.port = to.tls ? 443 : 80;
    const bool bracketed = authority.starts_with('[') && authority.ends_with(']');
    if (bracketed || authority.find(':') == std::string::npos) {
      to.host = bracketed ? authority.substr(1, authority.size() - 2) : authority;
    } else {
      auto parts = transport::splitHostPort(authority);
      if (!parts.ok()) return unusable(parts.status().message().c_str());
      to.host = parts->host;
      to.port = parts->port;
    }
    if (to.host.empty()) return unusable("it names no host");
    to.path = rest.starts_with('/') ? withoutDots(rest) : "/" + std::string(rest);
  } else if (rest.starts_with('/')) {
    to.path = withoutDots(rest);
  } else if (rest.starts_with('?')) {
    to.path = from.path.substr(0, from.path.find('?')) + std::string(rest);
  } else if (!rest.empty()) {
    const auto path = std::string_view(from.path).substr(0, from.path.find('?'));
    to.path = withoutDots(std::string(path.substr(0, path.rfind('/') + 1)) + std::string(rest));
  }
  to.path = requestPath(to.path);
  return to;
}

Status HttpReply::feed(std::string_view bytes) {
  if (done()) return {};
  buffer_.append(bytes);
  while (state_ == State::kHead) {
    // Some servers end lines with a bare line feed.
    const auto strict = buffer_.find("\r\n\r\n");
    const auto lax = buffer_.find("\n\n");
    const auto end = std::min(strict, lax);
    if (end == std::string::npos) {
      if (buffer_.size() > kMaxHead) return notHttp("the head is too large");
      // What is not HTTP is told from its first line, without waiting for more.
      const std::string_view start = std::string_view(buffer_).substr(0, 5);
      if (start != std::string_view("HTTP/").substr(0, start.size()))
        return notHttp("it does not begin with HTTP/");
      return {};
    }
    if (Status bad = parseHead(std::string_view(buffer_).substr(0, end)); !bad) return bad;
    buffer_.erase(0, end + (end == strict ? 4 : 2));
  }
  at_ = 0;
  if (Status bad = parseBody(); !bad) return bad;
  buffer_.erase(0, at_);
  return {};
}

Status HttpReply::parseHead(std::string_view head) {
  const auto nextLine = [&head] {
    const auto end = head.find('\n');
    auto text = head.substr(0, end);
    head = end == std::string_view::npos ? std::string_view() : head.substr(end + 1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
  };
  const auto status = nextLine();
  const bool versioned = status.starts_with("HTTP/1.0 ") || status.starts_with("HTTP/1.1 ");
  const auto code = versioned ? number<int>(status.substr(9, 3)) : std::nullopt;
  if (!code || *code < 100 || (status.size() > 12 && status[12] != ' '))
    return notHttp("\"" + std::string(status.substr(0, 64)) + "\"");
  code_ = *code;
  location_.clear();
  bool chunked = false;
  std::optional<std::uint64_t> length;
  while (!head.empty()) {
    const auto field = nextLine();
    const auto colon = field.find(':');
    if (colon == std::string_view::npos) return notHttp("a header has no colon");
    const auto name = field.substr(0, colon);
    const auto value = trimmed(field.substr(colon + 1));
    if (equalsIgnoringCase(name, "location")) {
      location_ = value;
    } else if (equalsIgnoringCase(name, "transfer-encoding")) {
      chunked = equalsIgnoringCase(value, "chunked");
    } else if (equalsIgnoringCase(name, "content-length")) {
      length = number<std::uint64_t>(value);
      if (!length) return notHttp("bad Content-Length \"" + std::string(value) + "\"");
    }
  }
  if (code_ < 200 && code_ != 101) return {};  // another head follows
  const bool bodiless = code_ == 101 || code_ == 204 || code_ == 304;
  left_ = length.value_or(0);
  state_ = bodiless     ? State::kDone
           : chunked    ? State::kChunkSize
           : !length    ? State::kUntilEnd
           : left_ == 0 ? State::kDone
                        : State::kLength;
  return {};
}

std::optional<std::string_view> HttpReply::line() {
  const auto end = buffer_.find('\n', at_);
  if (end == std::string::npos) return std::nullopt;
  auto text = std::string_view(buffer_).substr(at_, end - at_);
  at_ = end + 1;
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

void HttpReply::takeBody(std::size_t count) {
  body_.append(buffer_, at_, std::min(count, kMaxBody - body_.size()));
  at_ += count;
  if (body_.size() == kMaxBody) state_ = State::kDone;
}

Status HttpReply::parseBody() {
  while (at_ < buffer_.size()) {
    const std::size_t ready = buffer_.size() - at_;
    switch (state_) {
      case State::kUntilEnd:
        takeBody(ready);
        break;
      case State::kLength:
      case State::kChunk: {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, ready));
        left_ -= count;
        const State next = state_ == State::kLength ? State::kDone : State::kChunkEnd;
        if (left_ == 0) state_ = next;
        takeBody(count);
        break;
      }
      case State::kChunkEnd: {
        const auto text = line();
        if (!text) return ready > 2 ? notHttp("a chunk does not end") : Status();
        if (!text->empty()) return notHttp("a chunk does not end");
        state_ = State::kChunkSize;
        break;
      }
      case State::kChunkSize: {
        const auto text = line();
        if (!text) return ready > 256 ? notHttp("bad chunk size") : Status();
        const auto size = number<std::uint64_t>(trimmed(text->substr(0, text->find(';'))), 16);
        if (!size) return notHttp("bad chunk size");
        left_ = *size;
        state_ = left_ == 0 ? State::kDone : State::kChunk;
        break;
      }
      case State::kHead:
      case State::kDone:
        at_ = buffer_.size();
        break;
    }
  }
  return {};
}

Status HttpReply::end() {
  if (state_ == State::kUntilEnd) state_ = State::kDone;
  if (done()) return {};
  return {Code::kInvalid, state_ == State::kHead && buffer_.empty() ? "EOF" : "unexpected EOF"};
}

}  // namespace podlab::node
