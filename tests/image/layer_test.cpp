#include "image/layer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>

#include "common/filesystem.hpp"
#include "image/layer_stream.hpp"
#include "tests/image/digest.hpp"
#include "tests/image/tar_builder.hpp"

namespace podlab::image {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string gzip(const std::string& text) {
  std::string out(text.size() + 1024, '\0');
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class LayerTest : public testing::Test {
 protected:
  LayerTest() {
    char pattern[] = "/tmp/podlab-layer-XXXXXX";
    top_ = ::mkdtemp(pattern);
    // Two levels down, so that a way out would end in top_.
    root_ = top_ + "/a/root";
    fs::create_directories(root_);
  }
  ~LayerTest() override { (void)files_->removeTree(top_); }

  Result<UnpackReport> unpackBytes(const std::string& bytes, const std::string& diffId) {
    std::ofstream(top_ + "/layer", std::ios::binary) << bytes;
    return unpackLayer(top_ + "/layer", root_, diffId);
  }
  Result<UnpackReport> unpack(const TarBuilder& tar) {
    return unpackBytes(tar.text(), digestOf(tar.text()));
  }
  /// What is outside of the layer's folder: it must stay so.
  std::vector<std::string> outside() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(top_)) {
      const std::string path = entry.path().string().substr(top_.size());
      if (!path.starts_with("/a/root/")) found.push_back(path);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string read(const std::string& path) { return files_->readFile(root_ + path).valueOr("?"); }
  struct stat status(const std::string& path) const {
    struct stat info{};
    ::lstat((root_ + path).c_str(), &info);
    return info;
  }
  bool isWhiteout(const std::string& path) const {
    const auto info = status(path);
    return S_ISCHR(info.st_mode) && info.st_rdev == ::makedev(0, 0);
  }
  bool isOpaque(const std::string& path) const {
    char value = 0;
    return ::getxattr((root_ + path).c_str(), "user.overlay.opaque", &value, 1) == 1 &&
           value == 'y';
  }

  std::unique_ptr<Filesystem> files_ = makeRealFilesystem();
  std::string top_;
  std::string root_;
};

TEST_F(LayerTest, UnpacksPlainGzipAndZstd) {
  TarBuilder tar;
  tar.folder("etc/", 0700).file("./etc/a", "text", 04755).symlink("b", "etc/a");
  tar.hardLink("c", "etc/a").fifo("pipe").file("/absolute", "1").file("no/parent/named", "2");
  const std::string bytes = tar.text();
  for (const auto& form : {bytes, gzip(bytes), zstd(bytes)}) {
    (void)files_->removeTree(root_);
    fs::create_directories(root_);
    const auto report = unpackBytes(form, digestOf(bytes));
    ASSERT_TRUE(report.ok()) << report.status().toString();
    EXPECT_EQ(report->bytes, 6U);
    EXPECT_EQ(read("/etc/a"), "text");
    EXPECT_EQ(status("/etc/a").st_mode & 07777, 04755U);
    EXPECT_EQ(status("/etc").st_mode & 07777, 0700U);
    EXPECT_EQ(status("/etc/a").st_mtime, 1'000'000'000);
    EXPECT_EQ(status("/etc").st_mtime, 1'000'000'000);
    EXPECT_EQ(status("/c").st_ino, status("/etc/a").st_ino);
    EXPECT_EQ(fs::read_symlink(root_ + "/b"), "etc/a");
    EXPECT_TRUE(S_ISFIFO(status("/pipe").st_mode));
    EXPECT_EQ(read("/absolute"), "1");
    EXPECT_EQ(read("/no/parent/named"), "2");
  }
}

TEST_F(LayerTest, WhiteoutsAreOverlayfss) {
  TarBuilder tar;
  tar.folder("d/").file("d/.wh..wh..opq", "").file("d/own", "1").file(".wh.gone", "");
  tar.file("deep/.wh.gone", "").folder("kept/").file(".wh.kept", "").file(".wh.file", "");
  tar.file("file", "own").file(".wh.back", "").folder("back/").file(".wh..wh.plnk", "");
  const auto report = unpack(tar);
  ASSERT_TRUE(report.ok()) << report.status().toString();
  EXPECT_TRUE(isOpaque("/d"));
  EXPECT_EQ(read("/d/own"), "1");
  EXPECT_TRUE(isWhiteout("/gone"));
  EXPECT_TRUE(isWhiteout("/deep/gone"));
  // The layer's own entries stay, and what lower layers have there is hidden, in either order.
  EXPECT_TRUE(isOpaque("/kept"));
  EXPECT_TRUE(isOpaque("/back"));
  EXPECT_EQ(read("/file"), "own");
  EXPECT_FALSE(files_->exists(root_ + "/.wh..wh.plnk"));
}

TEST_F(LayerTest, LaterEntriesReplaceEarlierOnes) {
  TarBuilder tar;
  tar.file("a", "1").file("a", "2").symlink("b", "/elsewhere").file("b", "3");
  tar.symlink("c", "a").folder("c/").file("c/in", "4").folder("d/").file("d", "5");
  const auto report = unpack(tar);
  ASSERT_TRUE(report.ok()) << report.status().toString();
  EXPECT_EQ(read("/a"), "2");
  EXPECT_EQ(read("/b"), "3");
  EXPECT_EQ(read("/c/in"), "4");
  EXPECT_EQ(read("/d"), "5");
}

TEST_F(LayerTest, NothingComesOutOfTheFolder) {
  std::vector<std::pair<const char*, TarBuilder>> attacks;
  const auto attack = [&attacks](const char* what) -> TarBuilder& {
    return attacks.emplace_back(what, TarBuilder()).second;
  };
  attacks.reserve(20);
  attack("..").file("../out", "x");
  attack("deep ..").file("d/../../out", "x");
  attack("absolute ..").file("/../out", "x");
  attack("symbolic link").symlink("l", top_).file("l/out", "x");
  attack("relative link").symlink("l", "../..").file("l/out", "x");
  attack("chain").symlink("l", "..").symlink("m", "l/..").file("m/out", "x");
  attack("link to /tmp").symlink("l", "/").file("l" + top_ + "/out", "x");
  attack("hard link").hardLink("h", "../../layer").file("h", "x");
  attack("absolute hard link").hardLink("h", top_ + "/layer");
  attack("hard link through a link").symlink("l", top_).hardLink("h", "l/layer");
  attack("whiteout ..").file(".wh...", "");
  attack("whiteout .").file("d/.wh..", "");
  attack("whiteout through a link").symlink("l", top_).file("l/.wh.layer", "");
  attack("opaque through a link").symlink("l", top_).file("l/.wh..wh..opq", "");
  attack("folder through a link").symlink("l", "../..").folder("l/out/");
  attack("folder over a link").symlink("l", top_).folder("l/").file("l/out", "x");
  attack("magic link").symlink("l", "/proc/self/cwd").file("l/out", "x");
  for (const auto& [what, tar] : attacks) {
    (void)files_->removeTree(root_);
    fs::create_directories(root_);
    const auto before = tar.text();
    (void)unpack(tar);
    EXPECT_EQ(outside(), (std::vector<std::string>{"/a", "/a/root", "/layer"})) << what;
    EXPECT_EQ(files_->readFile(top_ + "/layer").valueOr(""), before) << what;
  }
  for (const std::size_t refused : {0, 1, 2, 7, 8, 9, 10, 11}) {
    (void)files_->removeTree(root_);
    fs::create_directories(root_);
    EXPECT_TRUE(unpack(attacks[refused].second).status().is(Code::kInvalid))
        << attacks[refused].first;
  }
}

TEST_F(LayerTest, DevicesAndOverlayfssOwnAttributesAreLeftOut) {
  TarBuilder tar;
  tar.device("dev/sda").attribute("user.overlay.opaque", "y").folder("d/");
  tar.attribute("user.note", "kept").file("f", "").attribute("trusted.overlay.redirect", "/etc");
  tar.file("g", "");
  const auto report = unpack(tar);
  ASSERT_TRUE(report.ok()) << report.status().toString();
  EXPECT_EQ(report->devices, 1);
  EXPECT_EQ(report->attributes, 2);
  EXPECT_FALSE(files_->exists(root_ + "/dev/sda"));
  EXPECT_FALSE(isOpaque("/d"));
  char value[8] = {};
  EXPECT_EQ(::getxattr((root_ + "/f").c_str(), "user.note", value, sizeof value), 4);
}

TEST_F(LayerTest, DamageIsAnError) {
  TarBuilder tar;
  tar.file("a", std::string(100'000, 'a')).file("b", "b");
  const std::string whole = tar.text();
  const std::string packed = gzip(whole);
  const std::string id = digestOf(whole);
  for (const auto& bytes :
       {whole.substr(0, 50'000), packed.substr(0, packed.size() / 2), std::string("no tar at all"),
        std::string(), whole + "more", tar.file("c", "c").text()}) {
    (void)files_->removeTree(root_);
    fs::create_directories(root_);
    const auto report = unpackBytes(bytes, id);
    EXPECT_TRUE(report.status().is(Code::kInvalid)) << report.status().toString();
  }
  EXPECT_TRUE(unpackLayer(top_ + "/none", root_, id).status().is(Code::kNotFound));
}

TEST_F(LayerTest, TheLastBlockNeedNotBeWhole) {
  TarBuilder tar;
  tar.file("a", "text");
  const std::string cut = tar.text().substr(0, 512 + 4);
  const auto report = unpackBytes(cut, digestOf(cut));
  ASSERT_TRUE(report.ok()) << report.status().toString();
  EXPECT_EQ(read("/a"), "text");
}

TEST_F(LayerTest, EntriesOfArchivesCanBeRead) {
  TarBuilder tar;
  tar.file("x", "1").file("./manifest.json", "[]");
  std::ofstream(top_ + "/tar", std::ios::binary) << gzip(tar.text());
  EXPECT_EQ(readTarEntry(top_ + "/tar", "manifest.json").valueOr("?"), "[]");
  EXPECT_TRUE(readTarEntry(top_ + "/tar", "index.json").status().is(Code::kNotFound));
  EXPECT_TRUE(readTarEntry(top_ + "/tar", "x", 0).status().is(Code::kInvalid));
}

}  // namespace
}  // namespace podlab::image
