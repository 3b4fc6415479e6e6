#include "transport/http_request.hpp"

#include <gtest/gtest.h>

namespace podlab::http {
namespace {

/// The parser after all of `text`, in pieces of that size.
RequestParser parse(std::string_view text, std::size_t piece = 1 << 20,
                    RequestParser::Limits limits = {}) {
  RequestParser parser(limits);
  for (std::size_t at = 0; at < text.size() && !parser.done() && !parser.fault();) {
    const std::string_view part = text.substr(at, piece);
    at += parser.feed(part);
  }
  return parser;
}

TEST(HttpRequest, IsReadInWhateverPiecesItComes) {
  const std::string text =
      "\r\nPOST /api/v1/pods?limit=5&x=a%20b HTTP/1.1\r\nHost: x\r\nContent-TYPE:  "
      "application/json \r\n"
      "Accept: a, B\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{7}, text.size()}) {
    RequestParser parser = parse(text, piece);
    ASSERT_TRUE(parser.done()) << piece;
    const Request request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/api/v1/pods");
    EXPECT_EQ(request.query, "limit=5&x=a%20b");
    EXPECT_EQ(*request.header("content-type"), "application/json");
    EXPECT_TRUE(request.headerHas("accept", "b"));
    EXPECT_FALSE(request.headerHas("accept", "c"));
    EXPECT_EQ(request.body, "hello");
    EXPECT_TRUE(request.keepAlive);
    EXPECT_TRUE(parser.isEmpty());
  }
}

TEST(HttpRequest, ChunkedBodiesAndContinue) {
  RequestParser parser;
  parser.feed(
      "PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(parser.takeContinue());
  EXPECT_FALSE(parser.takeContinue());
  parser.feed("4\r\nwiki\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n");
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.take().body, "wiki0123456789");
}

TEST(HttpRequest, WhetherTheConnectionGoesOn) {
  const auto keeps = [](const char* text) { return parse(text).take().keepAlive; };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(HttpRequest, WhatCouldBeReadInTwoWaysIsRefused) {
  struct Case {
    const char* text;
    int code;
  };
  const Case kCases[] = {
      {"GET / HTTP/1.1\nHost: x\n\n", 400},                   // bare LF
      {"GET / HTTP/1.1\r\nHost: x\n\r\n", 400},               // one bare LF
      {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400},  // obs-fold
      {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},            // space before colon
      {"GET / HTTP/1.1\r\n\r\n", 400},                        // no host
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},  // two hosts
      {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},            // two spaces
      {"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},     // absolute form
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"G\x01T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413},
  };
  for (const auto& each : kCases) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1} << 20}) {
      const RequestParser parser = parse(each.text, piece);
      ASSERT_TRUE(parser.fault()) << each.text;
      EXPECT_EQ(parser.fault()->code, each.code) << each.text << parser.fault()->why;
      EXPECT_FALSE(parser.done());
    }
  }
}

TEST(HttpRequest, LargeHeadsAreRefusedBeforeTheyAreWhole) {
  RequestParser parser;
  parser.feed("GET / HTTP/1.1\r\nHost: x\r\n");
  for (int i = 0; i < 100 && !parser.fault(); ++i) parser.feed(std::string(1024, 'a'));
  ASSERT_TRUE(parser.fault());
  EXPECT_EQ(parser.fault()->code, 431);
}

TEST(HttpRequest, QueriesAreReadAsForms) {
  const auto fields =
      parseQuery("labelSelector=app+in+%28a%2Cb%29%2C%21zz&watch=1&flag&command=a&command=b&");
  ASSERT_TRUE(fields);
  using Fields = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(*fields, (Fields{{"labelSelector", "app in (a,b),!zz"},
                             {"watch", "1"},
                             {"flag", ""},
                             {"command", "a"},
                             {"command", "b"}}));
  for (const char* bad : {"a=%", "a=%1", "a=%zz", "a=%ff", "%c0%80=b"})
    EXPECT_FALSE(parseQuery(bad)) << bad;
}

}  // namespace
}  // namespace podlab::http
