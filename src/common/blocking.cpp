#include "common/blocking.hpp"

#include <asio.hpp>

namespace podlab {
namespace {

class ThreadPool final : public BlockingPool {
 public:
  explicit ThreadPool(std::size_t threads) : pool_(threads) {}
  ~ThreadPool() override { pool_.join(); }

  Co<void> runVoid(std::function<void()> job) override {
    auto home = co_await asio::this_coro::executor;
    auto initiate = [this, home](auto handler, std::function<void()> work) {
      // The outstanding work keeps the caller's io_context alive until the handler is back on it.
      auto tracked = asio::prefer(home, asio::execution::outstanding_work.tracked);
      asio::post(pool_, [tracked, work = std::move(work), handler = std::move(handler)]() mutable {
        work();
        asio::post(tracked, [handler = std::move(handler)]() mutable { handler(); });
      });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        initiate, asio::use_awaitable, std::move(job));
  }

 private:
  asio::thread_pool pool_;
};

class InlinePool final : public BlockingPool {
 public:
  Co<void> runVoid(std::function<void()> job) override {
    job();
    co_return;
  }
};

}  // namespace

std::unique_ptr<BlockingPool> makeThreadPool(std::size_t threads) {
  return std::make_unique<ThreadPool>(threads);
}

std::unique_ptr<BlockingPool> makeInlinePool() {
  return std::make_unique<InlinePool>();
}

}  // namespace podlab
