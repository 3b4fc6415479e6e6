#include "net/ipam.hpp"

#include <algorithm>
#include <sstream>

namespace podlab::net {
namespace {

constexpr std::uint64_t kFirst = 2;

/// One past the last offset that is given.
std::uint64_t endOffset(const Cidr& range) {
  return std::min(range.size(), std::uint64_t{1} << 32) - 1;
}

/// Whether a pod may have the address.
bool isGiven(const Cidr& range, const IpAddress& address) {
  return range.at(kFirst) <= address && address < range.at(endOffset(range));
}

/// The file: "next RANGE OFFSET" and "pod UID ADDRESS...", one a line.
Status malformed(const std::string& path, int line, const std::string& why) {
  return Status(Code::kInvalid, path + ":" + std::to_string(line) + ": " + why +
                                    "; without this file the node's pods get new addresses");
}

}  // namespace

Ipam::Ipam(Filesystem& filesystem, std::string path, std::vector<Cidr> ranges)
    : filesystem_(filesystem),
      path_(std::move(path)),
      ranges_(std::move(ranges)),
      cursor_(ranges_.size(), kFirst) {}

Result<std::unique_ptr<Ipam>> Ipam::open(Filesystem& filesystem, std::string path,
                                         std::vector<Cidr> ranges) {
  for (const Cidr& range : ranges) {
    if (range.size() < 4) {
      return Status(Code::kInvalid, "pod range " + range.toString() +
                                        " has no address for a pod: its prefix must be at most " +
                                        std::to_string(range.network().bits() - 2));
    }
  }
  std::unique_ptr<Ipam> ipam(new Ipam(filesystem, std::move(path), std::move(ranges)));
  auto text = filesystem.readFile(ipam->path_);
  if (!text && !text.status().is(Code::kNotFound)) return text.status();
  if (text) {
    if (Status loaded = ipam->load(*text); !loaded) return loaded;
  }
  return ipam;
}

Status Ipam::load(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string kind;
    std::string name;
    words >> kind >> name;
    if (kind == "next") {
      std::uint64_t offset = 0;
      if (!(words >> offset)) return malformed(path_, number, "an offset is missing");
      for (std::size_t i = 0; i < ranges_.size(); ++i) {
        if (ranges_[i].toString() == name && offset >= kFirst && offset < endOffset(ranges_[i]))
          cursor_[i] = offset;
      }
      continue;
    }
    if (kind != "pod" || name.empty()) return malformed(path_, number, "not \"pod\" or \"next\"");
    if (pods_.contains(name)) return malformed(path_, number, "pod " + name + " appears twice");
    std::vector<IpAddress> addresses;
    std::string word;
    bool inside = true;
    while (words >> word) {
      auto address = IpAddress::parse(word);
      if (!address) return malformed(path_, number, address.status().message());
      inside &= addresses.size() < ranges_.size() && isGiven(ranges_[addresses.size()], *address);
      if (used_.contains(*address)) return malformed(path_, number, word + " appears twice");
      addresses.push_back(*address);
    }
    if (!inside || addresses.size() != ranges_.size()) continue;
    used_.insert(addresses.begin(), addresses.end());
    pods_[name] = std::move(addresses);
  }
  return Status();
}

std::string Ipam::serialize() const {
  std::string text;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    text += "next " + ranges_[i].toString() + " " + std::to_string(cursor_[i]) + "\n";
  }
  for (const auto& [uid, addresses] : pods_) {
    text += "pod " + uid;
    for (const IpAddress& address : addresses) text += " " + address.toString();
    text += "\n";
  }
  return text;
}

void Ipam::forget(const std::string& podUid) {
  auto pod = pods_.find(podUid);
  if (pod == pods_.end()) return;
  for (const IpAddress& address : pod->second) used_.erase(address);
  pods_.erase(pod);
}

/// Returns when the state as it is now is on disk. One thread writes for all that wait.
Status Ipam::persist(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t mine = ++version_;
  while (durableVersion_ < mine) {
    if (writing_) {
      written_.wait(lock);
      continue;
    }
    writing_ = true;
    const std::uint64_t version = version_;
    const std::string text = serialize();
    lock.unlock();
    Status status = filesystem_.writeFileAtomic(path_, text, 0600);
    lock.lock();
    writing_ = false;
    if (status) durableVersion_ = version;
    written_.notify_all();
    if (!status) return status;
  }
  return Status();
}

Result<std::vector<IpAddress>> Ipam::allocate(const std::string& podUid) {
  if (podUid.empty() || podUid.find_first_of(" \n") != std::string::npos) {
    return Status(Code::kInvalid, "\"" + podUid + "\" is not a pod uid");
  }
  std::unique_lock lock(mutex_);
  if (auto pod = pods_.find(podUid); pod != pods_.end()) return pod->second;
  std::vector<IpAddress> addresses;
  std::vector<std::uint64_t> cursor = cursor_;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    const std::uint64_t count = endOffset(ranges_[i]) - kFirst;
    std::uint64_t tried = 0;
    while (tried < count && used_.contains(ranges_[i].at(cursor[i]))) {
      ++tried;
      if (++cursor[i] == endOffset(ranges_[i])) cursor[i] = kFirst;
    }
    if (tried == count) {
      return Status(Code::kExhausted, "no free address in " + ranges_[i].toString() + ": all " +
                                          std::to_string(count) + " are in use on this node");
    }
    addresses.push_back(ranges_[i].at(cursor[i]));
    if (++cursor[i] == endOffset(ranges_[i])) cursor[i] = kFirst;
  }
  cursor_ = std::move(cursor);
  used_.insert(addresses.begin(), addresses.end());
  pods_[podUid] = addresses;
  if (Status status = persist(lock); !status) {
    forget(podUid);
    return status.withContext("keep the address of pod " + podUid);
  }
  return addresses;
}

Status Ipam::release(const std::string& podUid) {
  std::unique_lock lock(mutex_);
  if (!pods_.contains(podUid)) return Status();
  forget(podUid);
  Status status = persist(lock);
  auto listener = listener_;
  lock.unlock();
  if (listener) listener();
  return status;
}

std::vector<IpAddress> Ipam::find(const std::string& podUid) const {
  std::scoped_lock lock(mutex_);
  auto pod = pods_.find(podUid);
  return pod == pods_.end() ? std::vector<IpAddress>() : pod->second;
}

std::vector<std::string> Ipam::owners() const {
  std::scoped_lock lock(mutex_);
  std::vector<std::string> uids;
  for (const auto& [uid, addresses] : pods_) uids.push_back(uid);
  return uids;
}

void Ipam::onRelease(std::function<void()> listener) {
  std::scoped_lock lock(mutex_);
  listener_ = std::move(listener);
}

}  // namespace podlab::net
