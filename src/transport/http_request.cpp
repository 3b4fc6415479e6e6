#include "transport/http_request.hpp"

#include <algorithm>
#include <charconv>

#include "common/json.hpp"

namespace podlab::http {
namespace {

constexpr std::size_t kMaxLine = 1024;  // of a chunk's size

/// tchar (RFC 9110, 5.6.2).
bool isTokenChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool isToken(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, isTokenChar);
}

/// What may be in a header's value: no control characters but the tab.
bool isValue(std::string_view text) {
  return std::ranges::all_of(text,
                             [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); });
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

/// All of `text` as a number of that base.
std::optional<std::uint64_t> readNumber(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

const std::string* Request::header(std::string_view name) const {
  const auto found =
      std::ranges::find_if(headers, [&](const auto& header) { return header.first == name; });
  return found == headers.end() ? nullptr : &found->second;
}

bool Request::headerHas(std::string_view name, std::string_view token) const {
  for (const auto& [own, value] : headers) {
    if (own != name) continue;
    std::string_view rest = value;
    while (true) {
      const auto comma = rest.find(',');
      if (equalsIgnoringCase(trim(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

bool RequestParser::fail(int code, std::string why) {
  fault_ = Fault{code, std::move(why)};
  return false;
}

std::size_t RequestParser::feed(std::string_view bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && !done() && !fault_) {
    const std::string_view rest = bytes.substr(taken);
    if (state_ == State::kLength || state_ == State::kChunk) {
      const std::size_t count = std::min<std::uint64_t>(left_, rest.size());
      request_.body.append(rest.substr(0, count));
      taken += count;
      left_ -= count;
      if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
      continue;
    }
    // Up to and including the next line's end.
    const auto newline = rest.find('\n');
    const std::size_t count = newline == std::string_view::npos ? rest.size() : newline + 1;
    const std::size_t limit = state_ == State::kHead ? limits_.head : kMaxLine;
    if (buffer_.size() + count > limit) {
      fail(state_ == State::kHead ? 431 : 400,
           state_ == State::kHead ? "the request's head is larger than 64 KiB" : "malformed chunk");
      break;
    }
    buffer_.append(rest.substr(0, count));
    taken += count;
    if (newline == std::string_view::npos) break;
    if (!buffer_.ends_with("\r\n")) {
      fail(400, "a line of the request does not end in CR LF");
      break;
    }
    if (state_ == State::kHead) {
      if (buffer_ == "\r\n") {
        buffer_.clear();  // an empty line before the request (RFC 9112, 2.2)
      } else if (buffer_.ends_with("\r\n\r\n")) {
        const std::string head = std::exchange(buffer_, "");
        parseHead(std::string_view(head).substr(0, head.size() - 2));
      }
      continue;
    }
    const std::string line = std::exchange(buffer_, "");
    chunkLine(std::string_view(line).substr(0, line.size() - 2));
  }
  return taken;
}

bool RequestParser::parseHead(std::string_view head) {
  const auto end = head.find("\r\n");
  if (!parseRequestLine(head.substr(0, end))) return false;
  head.remove_prefix(end + 2);
  while (!head.empty()) {
    const auto next = head.find("\r\n");
    if (!parseHeader(head.substr(0, next))) return false;
    head.remove_prefix(next + 2);
  }
  return parseFraming(isHttp11_);
}

bool RequestParser::parseRequestLine(std::string_view line) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return fail(400, "malformed request line");
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  request_.method = line.substr(0, first);
  if (!isToken(request_.method)) return fail(400, "malformed method");
  if (!version.starts_with("HTTP/")) return fail(400, "malformed request line");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return fail(505, "only HTTP/1.1 is spoken here");
  isHttp11_ = version == "HTTP/1.1";
  const bool visible =
      std::ranges::all_of(target, [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!target.starts_with('/') || !visible) return fail(400, "malformed request target");
  const auto query = target.find('?');
  request_.path = target.substr(0, query);
  if (query != std::string_view::npos) request_.query = target.substr(query + 1);
  return true;
}

bool RequestParser::parseHeader(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !isToken(line.substr(0, colon)))
    return fail(400, "malformed header line");
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), lower);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!isValue(value)) return fail(400, "malformed value of the header " + name);
  request_.headers.emplace_back(std::move(name), value);
  return true;
}

bool RequestParser::parseFraming(bool isHttp11) {
  std::optional<std::uint64_t> length;
  int hosts = 0;
  int codings = 0;
  for (const auto& [name, value] : request_.headers) {
    if (name == "host") ++hosts;
    if (name == "transfer-encoding") {
      ++codings;
      if (!equalsIgnoringCase(value, "chunked"))
        return fail(501, "the transfer coding \"" + value + "\" is not known; chunked is");
    }
    if (name == "content-length") {
      const bool digits = std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
      const auto number = digits ? readNumber(value, 10) : std::nullopt;
      if (!number || length) return fail(400, "malformed or repeated Content-Length");
      length = number;
    }
  }
  if (hosts > 1 || (isHttp11 && hosts == 0)) return fail(400, "one Host header is required");
  if (codings > 1 || (codings == 1 && (length || !isHttp11)))
    return fail(400, "the body's length is given in two ways");
  request_.keepAlive = isHttp11 ? !request_.headerHas("connection", "close")
                                : request_.headerHas("connection", "keep-alive");
  if (length.value_or(0) > limits_.body)
    return fail(413, "Request entity too large: limit is " + std::to_string(limits_.body));
  left_ = length.value_or(0);
  state_ = codings == 1 ? State::kChunkSize : left_ > 0 ? State::kLength : State::kDone;
  wantsContinue_ =
      state_ != State::kDone && isHttp11 && request_.headerHas("expect", "100-continue");
  return true;
}

/// A line of a chunked body: a size, the end of a chunk, or a trailer (which is dropped).
bool RequestParser::chunkLine(std::string_view line) {
  switch (state_) {
    case State::kChunkSize: {
      const auto size = readNumber(line.substr(0, line.find(';')), 16);
      if (!size) return fail(400, "malformed chunk");
      if (*size > limits_.body || request_.body.size() + *size > limits_.body)
        return fail(413, "Request entity too large: limit is " + std::to_string(limits_.body));
      left_ = *size;
      state_ = left_ > 0 ? State::kChunk : State::kTrailer;
      return true;
    }
    case State::kChunkEnd:
      if (!line.empty()) return fail(400, "malformed chunk");
      state_ = State::kChunkSize;
      return true;
    default:
      trailerSize_ += line.size();
      if (trailerSize_ > limits_.head) return fail(431, "the trailer is larger than 64 KiB");
      if (line.empty()) state_ = State::kDone;
      return true;
  }
}

Request RequestParser::take() {
  Request request = std::move(request_);
  *this = RequestParser(limits_);
  return request;
}

std::optional<std::string> percentDecode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parseQuery(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> fields;
  while (!query.empty()) {
    const auto end = query.find('&');
    std::string field(query.substr(0, end));
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (field.empty()) continue;
    std::ranges::replace(field, '+', ' ');
    const auto equals = field.find('=');
    auto name = percentDecode(std::string_view(field).substr(0, equals));
    auto value = equals == std::string::npos
                     ? std::string()
                     : percentDecode(std::string_view(field).substr(equals + 1));
    if (!name || !value || !isUtf8(*name) || !isUtf8(*value)) return std::nullopt;
    fields.emplace_back(std::move(*name), std::move(*value));
  }
  return fields;
}

}  // namespace podlab::http
