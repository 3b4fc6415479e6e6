#pragma once
#include <memory>
#include <string>

#include "common/status.hpp"

struct archive;

namespace podlab::image {

/// The bytes of a layer's tar, plain or out of gzip or zstd, and their digest: what an image's
/// configuration calls the layer's diff_id.
class LayerStream {
 public:
  static Result<std::unique_ptr<LayerStream>> open(const std::string& file);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  /// A reader of the tar, at its first entry; it lives as long as this.
  struct archive* tar() { return tar_; }
  /// Reads what is left and returns "sha256:HEX" of all. Faults of the file are kInvalid.
  Result<std::string> finish();

 private:
  struct State;
  LayerStream();
  std::unique_ptr<State> state_;
  struct archive* tar_ = nullptr;
};

/// The text of one file of a tar (plain, gzip or zstd) and whether others are there: kNotFound when
/// there is no such entry. At most `limit` bytes.
Result<std::string> readTarEntry(const std::string& tarFile, const std::string& entry,
                                 std::size_t limit = 16UL << 20);

}  // namespace podlab::image
