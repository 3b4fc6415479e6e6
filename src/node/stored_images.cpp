#include "node/stored_images.hpp"

#include "image/reference.hpp"

namespace podlab::node {
namespace {

Image standInFor(const std::string& reference) {
  Image image;
  image.reference = reference;
  image.id = kStandInId;
  image.isHost = true;
  image.standIn = true;
  return image;
}

}  // namespace

StoredImages::StoredImages(Filesystem& files, Options options)
    : store_(files, std::move(options.root)), standIns_(options.standIns) {}

Co<Result<Image>> StoredImages::resolve(std::string reference) {
  if (reference == "host") co_return co_await host_.resolve(reference);
  const auto parsed = image::parseReference(reference);
  if (!parsed)
    co_return Status(Code::kInvalid, "couldn't parse image name \"" + reference +
                                         "\": " + parsed.status().message());
  const auto found = store_.find(*parsed);
  if (found.status().is(Code::kNotFound) && standIns_) co_return standInFor(reference);
  if (found.status().is(Code::kNotFound)) {
    co_return Status(Code::kNotFound, "image " + parsed->toString() +
                                          " is not on this host; get it there with: podlab image "
                                          "pull " +
                                          reference + ", or podlab image load FILE");
  }
  if (!found) co_return found.status();
  Image image;
  image.reference = reference;
  image.id = parsed->repository() + "@" + found->digest;
  image.lockFile = store_.blob(found->digest);
  for (const auto& layer : found->config.diffIds) image.layers.push_back(store_.layer(layer));
  image.entrypoint = found->config.entrypoint;
  image.command = found->config.command;
  image.env = found->config.env;
  image.workingDir = found->config.workingDir;
  image.user = found->config.user;
  image.stopSignal = found->config.stopSignal;
  image.exposedPorts = found->config.exposedPorts;
  co_return image;
}

std::vector<ListedImage> StoredImages::list() {
  std::vector<ListedImage> listed;
  const auto images = store_.list();
  if (!images) return listed;
  for (const auto& one : *images) {
    const auto reference = image::parseReference(one.name);
    if (!reference) continue;
    ListedImage entry;
    entry.names = {reference->repository() + "@" + one.digest};
    if (reference->digest.empty()) entry.names.push_back(one.name);
    entry.size = one.size;
    listed.push_back(std::move(entry));
  }
  return listed;
}

std::string imageDisplayName(const std::string& reference) {
  if (reference == "host") return reference;
  const auto parsed = image::parseReference(reference);
  return parsed ? parsed->toString() : reference;
}

bool isSameImage(const std::string& one, const std::string& other) {
  return one == other || imageDisplayName(one) == imageDisplayName(other);
}

}  // namespace podlab::node
