#include "image/store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace podlab::image {
namespace {

constexpr const char* kLayoutFile = "{\"imageLayoutVersion\":\"1.0.0\"}\n";

std::string hexOf(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

/// This machine in the words of OCI's configurations, which are Go's.
std::string architecture() {
  utsname host{};
  ::uname(&host);
  std::string machine = host.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine.starts_with("armv")) return "arm";
  if (machine == "i686" || machine == "i386") return "386";
  return machine;
}

Status runsHere(const Config& config) {
  const bool os = config.os.empty() || config.os == "linux";
  const std::string own = architecture();
  const bool machine = config.architecture.empty() || config.architecture == own;
  if (os && machine) return {};
  return Status(Code::kInvalid, "the image is for " + config.os + "/" + config.architecture +
                                    ", and this host is linux/" + own);
}

std::uint64_t sizeOfTree(Filesystem& files, const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) < 0) return 0;
  std::uint64_t size = static_cast<std::uint64_t>(info.st_blocks) * 512;
  if (!S_ISDIR(info.st_mode)) return info.st_nlink > 1 ? size / info.st_nlink : size;
  if (auto names = files.listDirectory(path)) {
    for (const auto& name : *names) size += sizeOfTree(files, path + "/" + name);
  }
  return size;
}

}  // namespace

std::string Store::blob(const std::string& digest) const {
  return root_ + "/blobs/sha256/" + hexOf(digest);
}

std::string Store::layer(const std::string& diffId) const {
  return root_ + "/layers/" + hexOf(diffId);
}

Result<std::vector<Descriptor>> Store::index() const {
  auto text = files_.readFile(root_ + "/index.json");
  if (text.status().is(Code::kNotFound)) return std::vector<Descriptor>();
  if (!text) return text.status();
  auto parsed = parseIndex(*text);
  if (!parsed) return parsed.status().withContext(root_ + "/index.json");
  return parsed;
}

Result<StoredImage> Store::read(const Descriptor& descriptor) const {
  StoredImage image;
  image.name = descriptor.name;
  image.digest = descriptor.digest;
  auto text = files_.readFile(blob(descriptor.digest));
  if (!text) return text.status();
  const auto manifest = parseManifest(*text);
  if (!manifest) return manifest.status();
  image.configId = manifest->config.digest;
  image.size = descriptor.size + manifest->config.size;
  for (const auto& layer : manifest->layers) image.size += layer.size;
  text = files_.readFile(blob(manifest->config.digest));
  if (!text) return text.status();
  auto config = parseConfig(*text);
  if (!config) return config.status();
  image.config = std::move(*config);
  return image;
}

Result<std::vector<StoredImage>> Store::list() const {
  const auto entries = index();
  if (!entries) return entries.status();
  std::vector<StoredImage> images;
  for (const auto& entry : *entries) {
    if (auto image = read(entry)) images.push_back(std::move(*image));
  }
  std::ranges::sort(images, {}, &StoredImage::name);
  return images;
}

Result<StoredImage> Store::find(const Reference& reference) const {
  const auto entries = index();
  if (!entries) return entries.status();
  for (const auto& entry : *entries) {
    if (entry.name.empty()) continue;
    bool same = entry.name == reference.toString();
    if (!same && !reference.digest.empty()) {
      const auto named = parseReference(entry.name);
      same = named && named->repository() == reference.repository() &&
             (named->digest == reference.digest || entry.digest == reference.digest);
    }
    if (!same) continue;
    auto image = read(entry);
    if (!image)
      return Status(Code::kInternal, "image " + entry.name + " is damaged (" +
                                         image.status().message() + "): load or pull it again");
    return image;
  }
  return Status(Code::kNotFound, "there is no image " + reference.toString());
}

Result<StoreChange> StoreChange::begin(Store& store, const std::function<void()>& waiting) {
  const std::string& root = store.root();
  for (const char* folder : {"", "/blobs/sha256", "/layers"}) {
    // Set-user-id programs of images are for containers alone.
    if (Status made = store.files_.createDirectories(root + folder, 0700); !made) return made;
  }
  UniqueFd lock(::open((root + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return errnoStatus(errno, "cannot open " + root + "/lock");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return errnoStatus(errno, "cannot lock " + root);
    waiting();
    while (::flock(lock.get(), LOCK_EX) < 0) {
      if (errno != EINTR) return errnoStatus(errno, "cannot lock " + root);
    }
  }
  StoreChange change(store, std::move(lock));
  Status ready;
  if (!store.files_.exists(root + "/oci-layout"))
    ready = store.files_.writeFileAtomic(root + "/oci-layout", kLayoutFile, 0644);
  if (ready && !store.files_.exists(root + "/index.json"))
    ready = store.files_.writeFileAtomic(root + "/index.json", formatIndex({}), 0644);
  if (ready) {
    const std::uint64_t unfinished = sizeOfTree(store.files_, change.workFolder());
    ready = store.files_.removeTree(change.workFolder());
    const auto freed = ready ? change.collect() : Result<std::uint64_t>(ready);
    ready = freed.status();
    if (freed) change.freedAtBegin_ = unfinished + *freed;
  }
  if (ready) ready = store.files_.createDirectories(change.workFolder(), 0700);
  if (!ready) return ready;
  return change;
}

StoreChange::~StoreChange() {
  if (lock_) (void)store_->files_.removeTree(workFolder());
}

Status StoreChange::adoptBlobs(const std::string& layout) {
  const std::string own = layout + "/blobs/sha256";
  const auto names = store_->files_.listDirectory(own);
  if (!names) return names.status().is(Code::kNotFound) ? Status() : names.status();
  for (const auto& name : *names) {
    Status moved = store_->files_.rename(own + "/" + name, store_->blob("sha256:" + name));
    if (!moved) return moved;
  }
  return {};
}

Result<StoreChange::Added> StoreChange::add(const std::string& layout) {
  auto text = store_->files_.readFile(layout + "/index.json");
  if (!text) return text.status();
  const auto entries = parseIndex(*text);
  if (!entries) return entries.status();
  if (entries->size() != 1)
    return Status(Code::kInternal, layout + " has " + std::to_string(entries->size()) + " images");
  if (Status adopted = adoptBlobs(layout); !adopted) return adopted;
  Descriptor entry = entries->front();
  entry.name.clear();
  const auto image = store_->read(entry);
  if (!image) return image.status();
  if (Status here = runsHere(image->config); !here) return here;
  text = store_->files_.readFile(store_->blob(entry.digest));
  if (!text) return text.status();
  const auto manifest = parseManifest(*text);
  if (!manifest) return manifest.status();
  auto report = unpack(*image, *manifest);
  if (!report) return report.status();
  added_.push_back(entry);
  return Added{entry.digest, *report};
}

Result<UnpackReport> StoreChange::unpack(const StoredImage& image, const Manifest& manifest) {
  const auto& diffIds = image.config.diffIds;
  if (diffIds.size() != manifest.layers.size()) {
    return Status(Code::kInvalid, "the configuration names " + std::to_string(diffIds.size()) +
                                      " layers, and the manifest " +
                                      std::to_string(manifest.layers.size()));
  }
  Filesystem& files = store_->files_;
  UnpackReport total;
  for (std::size_t i = 0; i < diffIds.size(); ++i) {
    const std::string folder = store_->layer(diffIds[i]);
    if (files.exists(folder)) continue;
    const std::string unfinished = workFolder() + "/layer";
    if (Status made = files.createDirectories(unfinished); !made) return made;
    auto report = unpackLayer(store_->blob(manifest.layers[i].digest), unfinished, diffIds[i]);
    if (!report) {
      (void)files.removeTree(unfinished);
      return report.status().withContext("layer " + std::to_string(i + 1) + " of " +
                                         std::to_string(diffIds.size()));
    }
    if (Status moved = files.rename(unfinished, folder); !moved) return moved;
    total.bytes += report->bytes;
    total.devices += report->devices;
    total.attributes += report->attributes;
    total.owners += report->owners;
  }
  return total;
}

Status StoreChange::name(const std::vector<Naming>& names) {
  auto entries = store_->index();
  if (!entries) return entries.status();
  for (const auto& [name, digest] : names) {
    const auto added = std::ranges::find(added_, digest, &Descriptor::digest);
    if (added == added_.end()) return Status(Code::kInternal, "no such image: " + digest);
    for (auto& entry : *entries) {
      if (entry.name == name) entry.name.clear();
    }
    entries->push_back(*added);
    entries->back().name = name;
  }
  // All that the index will name must outlive a crash of the machine first.
  if (::syncfs(lock_.get()) < 0) return errnoStatus(errno, "cannot write the images to disk");
  return write(*entries);
}

Status StoreChange::write(const std::vector<Descriptor>& index) {
  return store_->files_.writeFileAtomic(store_->root() + "/index.json", formatIndex(index), 0644);
}

UniqueFd StoreChange::claim(const std::string& digest) const {
  UniqueFd manifest(::open(store_->blob(digest).c_str(), O_RDONLY | O_CLOEXEC));
  // Without its manifest nothing can be started from it.
  if (!manifest) manifest.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (::flock(manifest.get(), LOCK_EX | LOCK_NB) < 0) manifest.reset();
  return manifest;
}

Result<std::uint64_t> StoreChange::remove(const Reference& reference) {
  const auto image = store_->find(reference);
  if (!image) return image.status();
  auto entries = store_->index();
  if (!entries) return entries.status();
  const auto copies = std::ranges::count_if(*entries, [&](const Descriptor& entry) {
    return entry.digest == image->digest && !entry.name.empty();
  });
  if (copies == 1 && !claim(image->digest)) {
    return Status(Code::kConflict, "image " + image->name +
                                       " is used by a running container; delete its pods first");
  }
  for (auto& entry : *entries) {
    if (entry.name == image->name) entry.name.clear();
  }
  if (Status written = write(*entries); !written) return written;
  return collect();
}

Result<std::uint64_t> StoreChange::collect() {
  Filesystem& files = store_->files_;
  auto entries = store_->index();
  if (!entries) return entries.status();
  const auto before = entries->size();
  std::set<std::string> named;
  for (const auto& entry : *entries) {
    if (!entry.name.empty()) named.insert(entry.digest);
  }
  // Kept until the files are gone: a container that starts meanwhile waits, and then sees it.
  std::vector<UniqueFd> claims;
  std::erase_if(*entries, [&](const Descriptor& entry) {
    if (!entry.name.empty()) return false;
    if (named.contains(entry.digest)) return true;
    UniqueFd claimed = claim(entry.digest);
    if (!claimed) return false;
    claims.push_back(std::move(claimed));
    return true;
  });
  std::set<std::string> needed;
  if (entries->size() != before) {
    if (Status written = write(*entries); !written) return written;
  }
  for (const auto& entry : *entries) {
    needed.insert(store_->blob(entry.digest));
    auto text = files.readFile(store_->blob(entry.digest));
    const auto manifest = text ? parseManifest(*text) : Result<Manifest>(text.status());
    const auto image = store_->read(entry);
    if (!manifest || !image) continue;
    needed.insert(store_->blob(manifest->config.digest));
    for (const auto& layer : manifest->layers) needed.insert(store_->blob(layer.digest));
    for (const auto& id : image->config.diffIds) needed.insert(store_->layer(id));
  }
  std::uint64_t freed = 0;
  for (const char* folder : {"/blobs/sha256/", "/layers/"}) {
    const auto names = files.listDirectory(store_->root() + folder);
    if (!names) return names.status();
    for (const auto& name : *names) {
      const std::string path = store_->root() + folder + name;
      if (needed.contains(path)) continue;
      freed += sizeOfTree(files, path);
      if (Status removed = files.removeTree(path); !removed) return removed;
    }
  }
  return freed;
}

}  // namespace podlab::image
