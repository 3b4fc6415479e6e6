#include "transport/websocket.hpp"

#include <gtest/gtest.h>

namespace podlab::http {
namespace {

using Kind = WebSocketReader::Kind;

/// A frame as a client sends it.
std::string masked(unsigned first, std::string_view payload) {
  std::string frame(1, static_cast<char>(first));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80U | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0xfe));
    frame.push_back(static_cast<char>(payload.size() >> 8U));
    frame.push_back(static_cast<char>(payload.size()));
  }
  const std::string key("\x12\x34\x56\x78", 4);
  frame += key;
  for (std::size_t i = 0; i < payload.size(); ++i)
    frame.push_back(static_cast<char>(payload[i] ^ key[i % 4]));
  return frame;
}

TEST(WebSocket, AnswersTheKeyOfTheRfc) {
  EXPECT_EQ(webSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, MessagesComeInWhateverPieces) {
  const std::string large(300, 'x');
  const std::string bytes = masked(0x82, "ab") + masked(0x02, "first ") + masked(0x89, "ping") +
                            masked(0x00, "second ") + masked(0x80, "third") + masked(0x82, large) +
                            masked(0x88, "\x03\xe8");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{5}, bytes.size()}) {
    WebSocketReader reader;
    std::vector<WebSocketReader::Message> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      for (auto& message : reader.feed(std::string_view(bytes).substr(at, piece)))
        all.push_back(std::move(message));
    }
    ASSERT_FALSE(reader.fault());
    ASSERT_EQ(all.size(), 5U);
    EXPECT_EQ(all[0].payload, "ab");
    EXPECT_EQ(all[1].kind, Kind::kPing);
    EXPECT_EQ(all[2].payload, "first second third");
    EXPECT_EQ(all[3].payload, large);
    EXPECT_EQ(all[4].kind, Kind::kClose);
  }
}

TEST(WebSocket, BreachesEndTheConnection) {
  const std::string unmasked("\x82\x01z", 3);
  for (const auto& bytes :
       {unmasked, masked(0xc2, "a"), masked(0x83, "a"), masked(0x80, "a"), masked(0x09, "a"),
        masked(0x02, "a") + masked(0x82, "b"), masked(0x89, std::string(126, 'p'))}) {
    WebSocketReader reader;
    (void)reader.feed(bytes);
    EXPECT_EQ(reader.fault(), 1002);
  }
  WebSocketReader reader;
  (void)reader.feed(std::string("\x82\xff\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00", 14));
  EXPECT_EQ(reader.fault(), 1009);
}

TEST(WebSocket, FramesOfAllLengths) {
  EXPECT_EQ(webSocketFrame(Kind::kBinary, "ab"), std::string("\x82\x02"
                                                             "ab",
                                                             4));
  EXPECT_EQ(webSocketFrame(Kind::kBinary, std::string(126, 'x')).substr(0, 4),
            std::string("\x82\x7e\x00\x7e", 4));
  EXPECT_EQ(webSocketFrame(Kind::kBinary, std::string(65536, 'x')).substr(0, 10),
            std::string("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10));
  EXPECT_EQ(webSocketClose(1000), std::string("\x88\x02\x03\xe8", 4));
}

}  // namespace
}  // namespace podlab::http
