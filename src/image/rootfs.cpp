#include "image/rootfs.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "image/tool.hpp"

namespace podlab::image {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kLeftOut{
    "/usr/share/doc/", "/usr/share/man/",     "/usr/share/info/",    "/usr/share/locale/",
    "/usr/share/bug/", "/usr/share/lintian/", "/usr/share/doc-base/"};
constexpr int kMaxLinks = 40;  // as the kernel

std::vector<std::string> linesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool isLeftOut(const std::string& path) {
  return std::ranges::any_of(kLeftOut,
                             [&](std::string_view prefix) { return path.starts_with(prefix); });
}

/// The packages that a Depends field asks for, of alternatives the first. "a (>= 1) | b, c:any".
std::vector<std::string> dependenciesIn(std::string text) {
  std::vector<std::string> names;
  std::ranges::replace(text, '\n', ' ');
  std::istringstream groups(text);
  for (std::string group; std::getline(groups, group, ',');) {
    const auto begin = group.find_first_not_of(' ');
    if (begin == std::string::npos) continue;
    names.push_back(group.substr(begin, group.find_first_of(" :|(", begin) - begin));
  }
  return names;
}

class Builder {
 public:
  Builder(const RootfsOptions& options, std::string root, std::string work, int lock)
      : options_(options), root_(std::move(root)), work_(std::move(work)), lock_(lock) {}

  Status run() {
    Status status = makeBase();
    for (const auto& package : options_.packages) {
      if (status) status = addPackage(package);
    }
    for (const auto& file : options_.files) {
      if (status) status = addFile(file);
    }
    if (status) status = addLibraries();
    if (status) status = linkApplets();
    return status;
  }

 private:
  Result<std::string> tool(std::vector<std::string> argv) const {
    return runTool({std::move(argv), lock_, false});
  }

  static Status failure(const std::error_code& error, const std::string& what) {
    return error ? errnoStatus(error.value(), what) : Status();
  }

  Status makeBase() {
    std::error_code error;
    // /bin, /lib and the like are links into /usr, or folders, as they are here.
    for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
      const fs::path own = fs::path("/") / name;
      if (!fs::is_symlink(own, error)) continue;
      const fs::path target = fs::read_symlink(own, error);
      fs::create_directories(fs::path(root_) / target.relative_path(), error);
      fs::create_symlink(target, fs::path(root_) / name, error);
    }
    for (const char* name : {"dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp"}) {
      fs::create_directories(fs::path(root_) / name, error);
      if (error) return failure(error, "cannot make " + root_ + "/" + name);
    }
    ::chmod((root_ + "/tmp").c_str(), 01777);
    ::chmod((root_ + "/var/tmp").c_str(), 01777);
    ::chmod((root_ + "/root").c_str(), 0700);
    std::ofstream(root_ + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n"
                                            "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
    std::ofstream(root_ + "/etc/group") << "root:x:0:\nnogroup:x:65534:\n";
    return {};
  }

  Status addPackage(const std::string& name) {
    if (name.ends_with(".deb")) return unpackDeb(name);
    if (!isInstalled(name)) return download(name);
    std::deque<std::string> wanted{name};
    std::set<std::string> seen{name};
    while (!wanted.empty()) {
      const std::string package = wanted.front();
      wanted.pop_front();
      auto files = tool({"dpkg-query", "-L", package});
      if (!files) return files.status();
      for (const auto& path : linesOf(*files)) {
        // "diverted by ..." and "/." are no files.
        if (!path.starts_with('/') || path == "/." || isLeftOut(path + "/")) continue;
        if (Status copied = copy(path, path); !copied && !copied.is(Code::kNotFound)) return copied;
      }
      if (!options_.dependencies) continue;
      auto fields = tool({"dpkg-query", "-W", "-f", "${Pre-Depends}, ${Depends}", package});
      if (!fields) return fields.status();
      for (const auto& dependency : dependenciesIn(*fields)) {
        // Virtual ones are nobody's.
        if (seen.insert(dependency).second && isInstalled(dependency)) wanted.push_back(dependency);
      }
    }
    return {};
  }

  bool isInstalled(const std::string& package) const {
    const auto state = tool({"dpkg-query", "-W", "-f", "${db:Status-Status}", package});
    return state && state->starts_with("installed");
  }

  Status download(const std::string& package) {
    const std::string folder = work_ + "/debs-" + std::to_string(downloads_++);
    std::error_code error;
    fs::create_directories(folder, error);
    const auto done =
        tool({"sh", "-c", "cd \"$0\" && exec apt-get -q download \"$1\"", folder, package});
    if (!done)
      return done.status().withContext("package " + package +
                                       " is not installed here and could not be downloaded");
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (Status unpacked = unpackDeb(entry.path()); !unpacked) return unpacked;
    }
    return {};
  }

  /// By way of a folder of its own, so that /bin and the like stay the links that they are.
  Status unpackDeb(const std::string& file) {
    const std::string folder = work_ + "/deb-" + std::to_string(downloads_++);
    if (auto done = tool({"dpkg-deb", "-x", file, folder}); !done) return done.status();
    std::error_code error;
    for (auto it = fs::recursive_directory_iterator(folder, error);
         it != fs::recursive_directory_iterator(); it.increment(error)) {
      const std::string path = it->path().string().substr(folder.size());
      if (isLeftOut(path + "/")) continue;
      if (Status copied = copyFrom(it->path(), path); !copied) return copied;
    }
    return failure(error, "cannot read " + folder);
  }

  Status addFile(const std::string& text) {
    const auto colon = text.find(':');
    const std::string path = text.substr(0, colon);
    const std::string target = colon == std::string::npos ? path : text.substr(colon + 1);
    if (!path.starts_with('/') || !target.starts_with('/'))
      return Status(Code::kBadRequest, "--file: \"" + text +
                                           "\" is not an absolute path, nor two "
                                           "with a colon between");
    std::error_code error;
    if (!fs::is_directory(path, error)) return copyChain(path, target);
    Status copied = copy(path, target);
    for (auto it = fs::recursive_directory_iterator(path, error);
         copied && it != fs::recursive_directory_iterator(); it.increment(error)) {
      copied = copy(it->path(), target + it->path().string().substr(path.size()));
    }
    return copied ? failure(error, "cannot read " + path) : copied;
  }

  /// A file; of a symbolic link also what it leads to.
  Status copyChain(const std::string& path, const std::string& target) {
    fs::path from = path;
    fs::path to = target;
    std::error_code error;
    for (int i = 0; i < kMaxLinks; ++i) {
      if (Status copied = copy(from, to); !copied) return copied;
      if (!fs::is_symlink(from, error)) return {};
      const fs::path link = fs::read_symlink(from, error);
      to = (link.is_absolute() ? link : to.parent_path() / link).lexically_normal();
      from = (link.is_absolute() ? link : from.parent_path() / link).lexically_normal();
    }
    return Status(Code::kInvalid, path + ": too many symbolic links");
  }

  Status copy(const fs::path& from, const fs::path& to) {
    if (!done_.insert(to).second) return {};
    return copyFrom(from, to);
  }

  /// Where `to` is below the root, with the links of makeBase() in it followed.
  fs::path placeOf(const fs::path& to) const {
    const std::string first = *std::next(to.begin());
    std::error_code error;
    const fs::path own = fs::path(root_) / first;
    if (!fs::is_symlink(own, error) || to.relative_path() == first) return root_ + to.string();
    const fs::path inside = fs::read_symlink(own, error).relative_path();
    return fs::path(root_) / inside / to.relative_path().lexically_relative(first);
  }

  Status copyFrom(const fs::path& from, const fs::path& to) {
    std::error_code error;
    struct stat info{};
    if (::lstat(from.c_str(), &info) < 0) return errnoStatus(errno, "cannot read " + from.string());
    const fs::path place = placeOf(to);
    const bool taken = fs::is_symlink(place, error) || fs::exists(place, error);
    const std::string what = "cannot copy " + from.string();
    // A folder of the package may be a link here, as /lib.
    if (S_ISDIR(info.st_mode)) {
      if (!taken) fs::create_directories(place, error);
      if (!taken && !error) ::chmod(place.c_str(), info.st_mode & 07777);
      return failure(taken ? std::error_code() : error, what);
    }
    if (taken) return {};
    fs::create_directories(place.parent_path(), error);
    if (S_ISLNK(info.st_mode)) {
      fs::create_symlink(fs::read_symlink(from, error), place, error);
      return failure(error, what);
    }
    if (!S_ISREG(info.st_mode)) return {};
    fs::copy_file(from, place, error);
    if (error) return failure(error, what);
    ::chmod(place.c_str(), info.st_mode & 07777);
    if (isProgram(place)) programs_.push_back(place);
    return {};
  }

  static bool isProgram(const fs::path& file) {
    std::array<char, 4> magic{};
    std::ifstream(file, std::ios::binary).read(magic.data(), magic.size());
    return std::string_view(magic.data(), magic.size()) ==
           "\x7f"
           "ELF";
  }

  /// ldd(1) names the libraries of libraries, too.
  Status addLibraries() {
    // Packages bring their dependencies.
    if (options_.files.empty() && options_.dependencies && downloads_ == 0) return {};
    if (programs_.empty()) return {};
    std::vector<std::string> argv{"sh", "-c", "ldd \"$@\" 2>/dev/null; true", "ldd"};
    argv.insert(argv.end(), programs_.begin(), programs_.end());
    const auto listed = tool(std::move(argv));
    if (!listed) return listed.status();
    std::set<std::string> missing;
    std::string needing;
    for (const auto& line : linesOf(*listed)) {
      if (line.ends_with(":") && line.starts_with('/')) needing = line.substr(root_.size());
      if (line.find("=> not found") != std::string::npos) {
        const auto begin = line.find_first_not_of("\t ");
        missing.insert(line.substr(begin, line.find(' ', begin) - begin));
      }
      const auto slash = line.find('/');
      const auto end = line.find(" (0x");
      if (!line.starts_with('\t') || slash == std::string::npos || end == std::string::npos)
        continue;
      const std::string library = line.substr(slash, end - slash);
      if (library.starts_with(root_)) continue;
      if (Status copied = copyChain(library, library); !copied) return copied;
    }
    // One that a package of the list brought counts.
    std::erase_if(missing, [this](const std::string& name) { return isThere(name); });
    if (missing.empty()) return {};
    return Status(Code::kNotFound, "the shared library " + *missing.begin() +
                                       " is not on this host; add its package");
  }

  bool isThere(const std::string& library) const {
    return std::ranges::any_of(
        programs_, [&](const std::string& path) { return path.ends_with("/" + library); });
  }

  Status linkApplets() {
    std::error_code error;
    const std::string busybox = root_ + "/bin/busybox";
    if (!fs::exists(busybox, error) || fs::exists(root_ + "/bin/sh", error)) return {};
    const auto applets = tool({busybox, "--list-full"});
    if (!applets) return applets.status();
    for (const auto& applet : linesOf(*applets)) {
      const fs::path place = placeOf("/" + applet);
      if (fs::is_symlink(place, error) || fs::exists(place, error)) continue;
      fs::create_directories(place.parent_path(), error);
      fs::create_symlink("/bin/busybox", place, error);
      if (error) return failure(error, "cannot link " + applet);
    }
    return {};
  }

  const RootfsOptions& options_;
  std::string root_;
  std::string work_;
  int lock_;
  int downloads_ = 0;
  std::set<fs::path> done_;
  std::vector<std::string> programs_;
};

}  // namespace

Status buildRootfs(const RootfsOptions& options, const std::string& root, const std::string& work,
                   int lock) {
  if (options.packages.empty() && options.files.empty())
    return Status(Code::kBadRequest, "nothing to build from: give --package or --file");
  return Builder(options, root, work, lock).run();
}

}  // namespace podlab::image
