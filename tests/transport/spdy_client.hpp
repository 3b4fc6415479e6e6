#pragma once
#include <gtest/gtest.h>
#include <zlib.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "transport/byte_stream.hpp"
#include "transport/spdy_frame.hpp"

namespace podlab::spdy {

/// Compresses header blocks as Kubernetes' clients do.
class HeaderWriter {
 public:
  HeaderWriter() {
    EXPECT_EQ(::deflateInit(&zlib_, 9), Z_OK);
    const std::string& dictionary = headerDictionary();
    ::deflateSetDictionary(&zlib_, reinterpret_cast<const Bytef*>(dictionary.data()),
                           static_cast<uInt>(dictionary.size()));
  }
  ~HeaderWriter() { ::deflateEnd(&zlib_); }
  HeaderWriter(const HeaderWriter&) = delete;
  HeaderWriter& operator=(const HeaderWriter&) = delete;

  std::string write(const Headers& headers) {
    std::string plain = number32(static_cast<std::uint32_t>(headers.size()));
    for (const auto& [name, value] : headers) {
      plain += number32(static_cast<std::uint32_t>(name.size())) + name;
      plain += number32(static_cast<std::uint32_t>(value.size())) + value;
    }
    return compress(std::move(plain));
  }

  std::string compress(std::string plain) {
    std::string block(plain.size() + 1024, '\0');
    zlib_.next_in = reinterpret_cast<Bytef*>(plain.data());
    zlib_.avail_in = static_cast<uInt>(plain.size());
    zlib_.next_out = reinterpret_cast<Bytef*>(block.data());
    zlib_.avail_out = static_cast<uInt>(block.size());
    EXPECT_EQ(::deflate(&zlib_, Z_SYNC_FLUSH), Z_OK);
    block.resize(block.size() - zlib_.avail_out);
    return block;
  }

 private:
  z_stream zlib_{};
};

/// What a client of SPDY/3.1 sends, and sees.
class Client {
 public:
  /// The frame that opens the next stream.
  std::string open(const Headers& headers, bool fin = false) {
    const std::uint32_t id = next_;
    next_ += 2;
    return controlFrame(Type::kSynStream,
                        number32(id) + number32(0) + std::string(2, '\0') + headers_.write(headers),
                        fin);
  }

  /// Takes what came from the server.
  void take(std::string_view bytes) {
    while (auto frame = reader_.next(bytes)) {
      if (!frame->type) {
        data[frame->stream] += frame->payload;
        if (frame->fin) ended[frame->stream] = true;
      } else {
        if (*frame->type == Type::kSynReply) {
          replied[readNumber32(frame->payload)] = true;
          EXPECT_TRUE(replies_.read(std::string_view(frame->payload).substr(4)));
        }
        if (*frame->type == Type::kRstStream)
          resets[readNumber32(frame->payload)] = readNumber32(frame->payload, 4);
        control.push_back(std::move(*frame));
      }
    }
    EXPECT_EQ(reader_.fault(), "");
  }

  std::map<std::uint32_t, std::string> data;
  std::map<std::uint32_t, bool> ended;
  std::map<std::uint32_t, bool> replied;
  std::map<std::uint32_t, std::uint32_t> resets;
  std::vector<Frame> control;

 private:
  std::uint32_t next_ = 1;
  HeaderWriter headers_;
  FrameReader reader_;
  HeaderReader replies_;
};

}  // namespace podlab::spdy
