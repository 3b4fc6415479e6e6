#include "common/real_clock.hpp"

#include <sys/timerfd.h>
#include <time.h>

#include <map>
#include <unordered_map>
#include <utility>

#include <asio.hpp>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab {
namespace {

Duration readClock(clockid_t id) {
  timespec ts{};
  ::clock_gettime(id, &ts);
  return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
}

/// One timerfd for all timers, ordered by (deadline, sequence) so that equal deadlines run in
/// order.
class RealClock final : public Clock {
 public:
  explicit RealClock(const asio::any_io_executor& executor)
      : timer_(executor, ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)) {}
  ~RealClock() override { *alive_ = false; }

  MonoTime now() const override { return MonoTime(readClock(CLOCK_BOOTTIME)); }
  WallTime wallNow() const override { return WallTime(readClock(CLOCK_REALTIME)); }

  TimerId schedule(MonoTime at, std::function<void()> fn) override {
    TimerId id = ++lastId_;
    timers_.emplace(std::pair(at, id), std::move(fn));
    deadlines_.emplace(id, at);
    arm();
    return id;
  }

  void cancel(TimerId id) override {
    auto it = deadlines_.find(id);
    if (it == deadlines_.end()) return;
    timers_.erase({it->second, id});
    deadlines_.erase(it);
    // An idle clock must not keep its io_context running.
    if (timers_.empty() && waiting_) {
      waiting_ = false;
      timer_.cancel();
    }
  }

 private:
  void arm() {
    if (timers_.empty()) return;
    MonoTime first = timers_.begin()->first.first;
    if (waiting_ && first >= armed_) return;
    armed_ = first;
    // An all-zero it_value would disarm the timer.
    auto ns = std::max<std::int64_t>(first.time_since_epoch().count(), 1);
    itimerspec spec{};
    spec.it_value.tv_sec = ns / 1'000'000'000;
    spec.it_value.tv_nsec = ns % 1'000'000'000;
    ::timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME, &spec, nullptr);
    if (waiting_) return;
    waiting_ = true;
    timer_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this, alive = alive_](const asio::error_code& error) {
                        if (error || !*alive) return;
                        waiting_ = false;
                        runDue();
                      });
  }

  void runDue() {
    std::uint64_t expirations = 0;
    [[maybe_unused]] auto n = ::read(timer_.native_handle(), &expirations, sizeof expirations);
    auto alive = alive_;
    MonoTime until = now();
    while (!timers_.empty() && timers_.begin()->first.first <= until) {
      auto node = timers_.extract(timers_.begin());
      deadlines_.erase(node.key().second);
      node.mapped()();
      if (!*alive) return;
    }
    arm();
  }

  asio::posix::stream_descriptor timer_;
  std::map<std::pair<MonoTime, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, MonoTime> deadlines_;
  TimerId lastId_ = 0;
  MonoTime armed_{};
  bool waiting_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Clock> makeRealClock(asio::any_io_executor executor) {
  return std::make_unique<RealClock>(std::move(executor));
}

}  // namespace podlab
