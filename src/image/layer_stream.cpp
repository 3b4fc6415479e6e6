#include "image/layer_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace podlab::image {
namespace {

constexpr std::size_t kBlock = 64UL * 1024;
constexpr std::size_t kTarBlock = 512;

Status readFailure(archive* reader, const std::string& file) {
  const int error = archive_errno(reader);
  const char* text = archive_error_string(reader);
  const std::string what = "cannot read " + file;
  if (error == ENOENT || error == EACCES || error == EISDIR) return errnoStatus(error, what);
  return Status(Code::kInvalid, what + ": " + (text != nullptr ? text : "it is damaged"));
}

std::string hexOf(const unsigned char* bytes, unsigned size) {
  static const char* kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

struct FreeArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Reader = std::unique_ptr<archive, FreeArchive>;

}  // namespace

/// One archive takes the compression away, a second one reads the tar from it; the digest is of
/// what passes between them.
struct LayerStream::State {
  std::string file;
  Reader bytes{archive_read_new()};
  Reader tar{archive_read_new()};
  std::unique_ptr<EVP_MD_CTX, FreeDigest> digest{EVP_MD_CTX_new()};
  std::array<char, kBlock> buffer;
  Status failed;

  std::uint64_t total = 0;
  bool completed = false;

  la_ssize_t next() {
    const la_ssize_t n = archive_read_data(bytes.get(), buffer.data(), buffer.size());
    if (n > 0) {
      total += static_cast<std::uint64_t>(n);
      EVP_DigestUpdate(digest.get(), buffer.data(), static_cast<std::size_t>(n));
    } else if (n < 0) {
      failed = readFailure(bytes.get(), file);
    }
    return n;
  }

  static la_ssize_t read(archive* reader, void* self, const void** data) {
    auto* state = static_cast<State*>(self);
    *data = state->buffer.data();
    la_ssize_t n = state->next();
    // umoci writes layers without the end of the last block, nor the two empty ones; Go's readers
    // do not ask for them.
    if (n == 0 && !std::exchange(state->completed, true)) {
      n = static_cast<la_ssize_t>((kTarBlock - state->total % kTarBlock) % kTarBlock +
                                  2 * kTarBlock);
      std::fill_n(state->buffer.begin(), n, '\0');
    }
    if (n < 0) archive_set_error(reader, EIO, "%s", archive_error_string(state->bytes.get()));
    return n < 0 ? -1 : n;
  }
};

LayerStream::LayerStream() : state_(std::make_unique<State>()) {}
LayerStream::~LayerStream() = default;

Result<std::unique_ptr<LayerStream>> LayerStream::open(const std::string& file) {
  std::unique_ptr<LayerStream> stream(new LayerStream());
  State& state = *stream->state_;
  state.file = file;
  EVP_DigestInit_ex(state.digest.get(), EVP_sha256(), nullptr);
  archive* bytes = state.bytes.get();
  archive_read_support_filter_gzip(bytes);
  archive_read_support_filter_zstd(bytes);
  archive_read_support_format_raw(bytes);
  archive_entry* entry = nullptr;
  if (archive_read_open_filename(bytes, file.c_str(), kBlock) != ARCHIVE_OK ||
      archive_read_next_header(bytes, &entry) != ARCHIVE_OK)
    return readFailure(bytes, file);
  archive_read_support_format_tar(state.tar.get());
  if (archive_read_open(state.tar.get(), &state, nullptr, State::read, nullptr) != ARCHIVE_OK)
    return state.failed.ok() ? readFailure(state.tar.get(), file) : state.failed;
  stream->tar_ = state.tar.get();
  return stream;
}

Result<std::string> LayerStream::finish() {
  la_ssize_t n = 0;
  while ((n = state_->next()) > 0) {
  }
  if (n < 0) return state_->failed;
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->digest.get(), bytes.data(), &size);
  return "sha256:" + hexOf(bytes.data(), size);
}

Result<std::string> readTarEntry(const std::string& tarFile, const std::string& entry,
                                 std::size_t limit) {
  const Reader reader(archive_read_new());
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_empty(reader.get());
  if (archive_read_open_filename(reader.get(), tarFile.c_str(), kBlock) != ARCHIVE_OK)
    return readFailure(reader.get(), tarFile);
  archive_entry* found = nullptr;
  int result = ARCHIVE_OK;
  while ((result = archive_read_next_header(reader.get(), &found)) == ARCHIVE_OK ||
         result == ARCHIVE_WARN) {
    const char* path = archive_entry_pathname(found);
    std::string name = path != nullptr ? path : "";
    if (name.starts_with("./")) name.erase(0, 2);
    if (name != entry) continue;
    std::string text;
    std::array<char, 4096> buffer;
    la_ssize_t n = 0;
    while ((n = archive_read_data(reader.get(), buffer.data(), buffer.size())) > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(n));
      if (text.size() > limit)
        return Status(Code::kInvalid, tarFile + ": " + entry + " is larger than " +
                                          std::to_string(limit) + " bytes");
    }
    if (n < 0) return readFailure(reader.get(), tarFile);
    return text;
  }
  if (result != ARCHIVE_EOF) return readFailure(reader.get(), tarFile);
  return Status(Code::kNotFound, tarFile + " has no " + entry);
}

}  // namespace podlab::image
