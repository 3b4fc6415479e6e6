#include "node/address_pool.hpp"

#include <utility>

namespace podlab::node {

AddressPool::AddressPool(Filesystem& files, BlockingPool& blocking, std::string path)
    : files_(files), blocking_(blocking), path_(std::move(path)) {}

Status AddressPool::setRanges(std::vector<net::Cidr> ranges) {
  if (ipam_ != nullptr && ipam_->ranges() == ranges) return {};
  auto opened = net::Ipam::open(files_, path_, std::move(ranges));
  if (!opened.ok()) return opened.status();
  ipam_ = *std::move(opened);
  return {};
}

Co<Result<std::vector<net::IpAddress>>> AddressPool::allocate(std::string podUid) {
  if (ipam_ == nullptr)
    co_return Status(Code::kUnavailable, "the node has no range of pod addresses yet");
  auto job = [ipam = ipam_, podUid] { return ipam->allocate(podUid); };
  co_return co_await blocking_.run(std::move(job));
}

Co<Status> AddressPool::release(std::string podUid) {
  if (ipam_ == nullptr || ipam_->find(podUid).empty()) co_return Status();
  auto job = [ipam = ipam_, podUid] { return ipam->release(podUid); };
  co_return co_await blocking_.run(std::move(job));
}

std::vector<std::string> AddressPool::owners() const {
  return ipam_ == nullptr ? std::vector<std::string>() : ipam_->owners();
}

}  // namespace podlab::node
