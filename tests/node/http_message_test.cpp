#include "node/http_message.hpp"

#include <gtest/gtest.h>

namespace podlab::node {
namespace {

TEST(HttpReply, ReadsBodiesHoweverTheyComeAndEnd) {
  struct Case {
    const char* text;
    bool needsEnd;
    const char* body;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcrest", false, "abc"},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n2;x=1\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
       false, "abc"},
      {"HTTP/1.1 200 OK\n\nabc", true, "abc"},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, ""},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, ""},
  };
  for (const auto& one : cases) {
    for (const bool bytewise : {false, true}) {
      HttpReply reply;
      const std::string_view text = one.text;
      for (std::size_t i = 0; i < text.size(); i += bytewise ? 1 : text.size()) {
        ASSERT_TRUE(reply.feed(text.substr(i, bytewise ? 1 : text.size())).ok()) << one.text;
      }
      EXPECT_EQ(reply.done(), !one.needsEnd) << one.text;
      EXPECT_TRUE(reply.end().ok());
      EXPECT_EQ(reply.body(), one.body);
    }
  }
}

TEST(HttpReply, KeepsTheBeginningOfALargeBody) {
  HttpReply reply;
  ASSERT_TRUE(reply.feed("HTTP/1.1 200 OK\r\n\r\n").ok());
  for (int i = 0; i < 100 && !reply.done(); ++i) {
    ASSERT_TRUE(reply.feed(std::string(1000, 'x')).ok());
  }
  EXPECT_TRUE(reply.done());
  EXPECT_EQ(reply.body().size(), HttpReply::kMaxBody);
}

TEST(HttpReply, RefusesWhatIsNotHttp) {
  for (const char* text :
       {"SSH-2.0-x\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"}) {
    HttpReply reply;
    EXPECT_FALSE(reply.feed(text).ok()) << text;
  }
  HttpReply endless;
  EXPECT_FALSE(endless.feed("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')).ok());
}

TEST(HttpTarget, LocationsAreResolvedAsInRfc3986) {
  HttpTarget from;
  from.host = "10.0.0.1";
  from.port = 8080;
  from.path = "/a/b/c?x=1";
  const std::pair<const char*, const char*> cases[] = {
      {"/y", "http://10.0.0.1:8080/y"},
      {"y?z", "http://10.0.0.1:8080/a/b/y?z"},
      {"../y", "http://10.0.0.1:8080/a/y"},
      {"./", "http://10.0.0.1:8080/a/b/"},
      {"/../../y/.", "http://10.0.0.1:8080/y/"},
      {"?q", "http://10.0.0.1:8080/a/b/c?q"},
      {"#part", "http://10.0.0.1:8080/a/b/c?x=1"},
      {"//other/y", "http://other:80/y"},
      {"HTTPS://other", "https://other:443/"},
      {"https://me:secret@[fd00::1]:99/y", "https://[fd00::1]:99/y"},
      {" /with blank ", "http://10.0.0.1:8080/with%20blank"},
  };
  for (const auto& [location, url] : cases) {
    auto to = resolveLocation(from, location);
    ASSERT_TRUE(to.ok()) << location << to.status().message();
    EXPECT_EQ(to->url(), url) << location;
  }
  for (const char* bad : {"ftp://x/", "http:x", "http:///x", "http://h:x/", "http://h:99999/"}) {
    EXPECT_FALSE(resolveLocation(from, bad).ok()) << bad;
  }
  EXPECT_EQ(from.authority(), "10.0.0.1:8080");
  from.port = 80;
  EXPECT_EQ(from.authority(), "10.0.0.1");
}

}  // namespace
}  // namespace podlab::node
