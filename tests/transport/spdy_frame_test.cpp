#include "transport/spdy_frame.hpp"

#include <gtest/gtest.h>

#include "spdy_client.hpp"

namespace podlab::spdy {
namespace {

std::vector<Frame> readAll(FrameReader& reader, std::string_view bytes, std::size_t piece) {
  std::vector<Frame> frames;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (auto frame = reader.next(part)) frames.push_back(std::move(*frame));
  }
  return frames;
}

TEST(SpdyFrames, ComeInWhateverPieces) {
  const std::string bytes = controlFrame(Type::kPing, number32(1)) + dataFrame(3, "hello", true) +
                            dataFrame(5, "") + dataFrame(5, "", true) + rstFrame(7, Reset::kCancel);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{9}, bytes.size()}) {
    FrameReader reader;
    std::string data;
    std::vector<std::uint32_t> ended;
    std::vector<Type> control;
    for (const Frame& frame : readAll(reader, bytes, piece)) {
      if (frame.type) control.push_back(*frame.type);
      if (frame.stream == 3) data += frame.payload;
      if (frame.fin) ended.push_back(frame.stream);
    }
    EXPECT_EQ(data, "hello") << piece;
    EXPECT_EQ(ended, (std::vector<std::uint32_t>{3, 5})) << piece;
    EXPECT_EQ(control, (std::vector<Type>{Type::kPing, Type::kRstStream})) << piece;
    EXPECT_EQ(reader.fault(), "");
  }
}

TEST(SpdyFrames, DataIsNotGatheredAndControlFramesAreBounded) {
  FrameReader reader;
  // The largest frame there is: 16 MiB.
  std::string_view head("\0\0\0\1\1\xff\xff\xff", 8);
  EXPECT_FALSE(reader.next(head));
  std::string_view piece("some");
  const auto frame = reader.next(piece);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->payload, "some");
  EXPECT_FALSE(frame->fin);

  FrameReader other;
  std::string_view large("\x80\3\0\1\0\xff\xff\xff", 8);
  EXPECT_FALSE(other.next(large));
  EXPECT_NE(other.fault(), "");
  FrameReader old;
  std::string_view version2("\x80\2\0\1\0\0\0\0", 8);
  EXPECT_FALSE(old.next(version2));
  EXPECT_NE(old.fault(), "");
}

TEST(SpdyHeaders, ReadWhatGoWrites) {
  // kubectl's first empty block, then a later one: one stream of zlib.
  HeaderReader reader;
  const std::string first("\x78\xf9\xe3\xc6\xa7\xc2\x02\xa6\x23\x06\0\0\0\0\xff\xff", 16);
  EXPECT_EQ(reader.read(first), Headers());
  EXPECT_EQ(reader.read(std::string("\x02\x01\0\0\0\0\xff\xff", 8)), Headers());
  EmptyHeaders empty;
  EXPECT_EQ(empty.next(), first);
  HeaderReader client;
  EXPECT_EQ(client.read(first), Headers());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.read(empty.next()), Headers());
}

TEST(SpdyHeaders, AreOneStreamOfBlocks) {
  HeaderWriter writer;
  HeaderReader reader;
  for (const char* type : {"error", "data", "data"}) {
    const Headers headers{{"streamtype", type}, {"port", "8080"}, {"requestid", ""}};
    EXPECT_EQ(reader.read(writer.write(headers)), headers);
  }
}

TEST(SpdyHeaders, RefusesWhatIsMalformed) {
  const std::string bomb(1 << 20, 'x');
  const std::string cases[] = {
      "",                               // no number
      number32(1),                      // no header
      number32(0) + "x",                // more than announced
      number32(1) + number32(9) + "a",  // a name that is cut
      number32(0xffffffff),             // a number that memory would have to believe
      number32(1) + number32(1 << 20) + bomb + number32(0),  // small when compressed
  };
  for (const std::string& plain : cases) {
    HeaderWriter writer;
    HeaderReader reader;
    EXPECT_FALSE(reader.read(writer.compress(plain))) << plain.substr(0, 20);
  }
  HeaderReader reader;
  EXPECT_FALSE(reader.read("not zlib at all"));
}

}  // namespace
}  // namespace podlab::spdy
