#include "node/kernel_pod_dialer.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include <asio.hpp>

#include "net/namespaces.hpp"
#include "transport/tcp.hpp"

namespace podlab::node {
namespace {

class KernelPodDialer final : public PodDialer {
 public:
  KernelPodDialer(asio::any_io_executor executor, BlockingPool& pool)
      : executor_(std::move(executor)), pool_(pool) {}

  Co<Result<std::unique_ptr<ByteStream>>> dial(SandboxNamespaces pod, net::IpAddress address,
                                               std::uint16_t port) override {
    auto job = [path = pod.network, v4 = address.isV4()] {
      return net::openSocketIn(path, v4 ? AF_INET : AF_INET6, SOCK_STREAM, IPPROTO_TCP);
    };
    auto fd = co_await pool_.run(std::move(job));
    if (!fd) co_return fd.status();
    const auto protocol = address.isV4() ? asio::ip::tcp::v4() : asio::ip::tcp::v6();
    asio::ip::tcp::socket socket(executor_, protocol, fd->release());
    asio::ip::tcp::endpoint endpoint;
    if (address.isV4()) {
      asio::ip::address_v4::bytes_type bytes;
      std::memcpy(bytes.data(), address.data(), bytes.size());
      endpoint = {asio::ip::address_v4(bytes), port};
    } else {
      asio::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), address.data(), bytes.size());
      endpoint = {asio::ip::address_v6(bytes), port};
    }
    asio::error_code error;
    co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (error)
      co_return errnoStatus(error.value(),
                            "dial tcp " + transport::joinHostPort(address.toString(), port));
    co_return transport::adoptTcp(executor_, UniqueFd(socket.release()));
  }

 private:
  asio::any_io_executor executor_;
  BlockingPool& pool_;
};

}  // namespace

std::unique_ptr<PodDialer> makeKernelPodDialer(asio::any_io_executor executor, BlockingPool& pool) {
  return std::make_unique<KernelPodDialer>(std::move(executor), pool);
}

}  // namespace podlab::node
