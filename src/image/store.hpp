#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"
#include "image/layer.hpp"
#include "image/manifest.hpp"
#include "image/reference.hpp"

namespace podlab::image {

/// One image of the store, under one of its names.
struct StoredImage {
  std::string name;        ///< normalised; "" when another image took it and a container still runs
  std::string digest;      ///< of the manifest
  std::string configId;    ///< digest of the configuration: what Docker calls the image's ID
  std::uint64_t size = 0;  ///< bytes of all blobs
  Config config;
};

/// The images of a user on this host, for all labs and nodes: a folder that is an OCI image layout
/// (image-layout.md) with the layers unpacked beside it.
///   oci-layout, index.json, blobs/sha256/HEX   the layout; names are normalised references
///   layers/HEX        one unpacked layer, named by its diff_id, shared by all containers
///   work/             what a running command has not finished yet
///   lock              flock(2), exclusive: held by the one command that changes the store
/// An image comes into index.json, which is replaced atomically, when all that it needs is there
/// and on disk, so readers need no lock. What an interrupted command leaves is in work/ or is
/// named by nothing, and the next command removes it. A container holds a shared flock on its
/// image's manifest for as long as it runs, and such an image is not removed.
class Store {
 public:
  /// `root`: absolute; it need not exist, and reading does not make it.
  Store(Filesystem& files, std::string root) : files_(files), root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string blob(const std::string& digest) const;
  std::string layer(const std::string& diffId) const;

  /// All images, sorted by name; those that are damaged are left out.
  Result<std::vector<StoredImage>> list() const;
  /// kNotFound when no image has the name; a digest stands for the image whatever its tag.
  Result<StoredImage> find(const Reference& reference) const;

 private:
  friend class StoreChange;
  Result<std::vector<Descriptor>> index() const;
  Result<StoredImage> read(const Descriptor& descriptor) const;

  Filesystem& files_;
  std::string root_;
};

/// The right to change a store, of one command at a time.
class StoreChange {
 public:
  /// Makes the store when there is none, waits for other commands (`waiting` is called before it
  /// does) and removes what interrupted ones left.
  static Result<StoreChange> begin(Store& store, const std::function<void()>& waiting);
  StoreChange(StoreChange&&) = default;
  ~StoreChange();

  const Store& store() const { return *store_; }
  /// An empty folder on the store's file system, removed at the end.
  std::string workFolder() const { return store_->root() + "/work"; }
  /// For child processes to inherit: with it, a change ends only when they have ended, too.
  int lock() const { return lock_.get(); }

  struct Added {
    std::string digest;
    UnpackReport report;  ///< of the layers that were not there yet
  };
  /// Brings in the one image of the OCI layout `layout`, whose blobs are in it or in the store
  /// already, and unpacks its layers. It has no name yet.
  Result<Added> add(const std::string& layout);
  struct Naming {
    std::string name;
    std::string digest;
  };
  /// Gives images of add() their names, all at once; an image that had one of them loses it.
  Status name(const std::vector<Naming>& names);
  /// Takes the name away; the last name takes the image along. kNotFound; kConflict while a
  /// container runs from it. The bytes that it freed.
  Result<std::uint64_t> remove(const Reference& reference);
  /// Removes what no name and no running container needs; the bytes of it.
  Result<std::uint64_t> collect();
  /// What begin() removed.
  std::uint64_t freedAtBegin() const { return freedAtBegin_; }

 private:
  StoreChange(Store& store, UniqueFd lock) : store_(&store), lock_(std::move(lock)) {}
  Status adoptBlobs(const std::string& layout);
  Result<UnpackReport> unpack(const StoredImage& image, const Manifest& manifest);
  Status write(const std::vector<Descriptor>& index);
  /// The exclusive lock on an image; none while a container runs from it.
  UniqueFd claim(const std::string& digest) const;

  Store* store_;
  UniqueFd lock_;
  std::uint64_t freedAtBegin_ = 0;
  std::vector<Descriptor> added_;
};

}  // namespace podlab::image
