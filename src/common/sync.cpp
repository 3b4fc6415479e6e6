#include "common/sync.hpp"

#include <exception>
#include <utility>

#include <asio.hpp>

#include "common/cancellation.hpp"
#include "common/log.hpp"

namespace podlab {
namespace {

/// A suspended coroutine's handler, whatever its type.
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void resume(asio::error_code error) = 0;
};

template <typename Handler>
class WaiterOf final : public Waiter {
 public:
  explicit WaiterOf(Handler handler) : handler_(std::move(handler)) {}
  void resume(asio::error_code error) override {
    auto executor = asio::get_associated_executor(handler_);
    asio::post(executor, [handler = std::move(handler_), error]() mutable { handler(error); });
  }

 private:
  Handler handler_;
};

using Waiters = std::list<std::unique_ptr<Waiter>>;

}  // namespace

struct WaitQueue::State {
  Waiters waiters;
};

WaitQueue::WaitQueue() : state_(std::make_shared<State>()) {}

WaitQueue::~WaitQueue() {
  Waiters left = std::move(state_->waiters);
  for (auto& waiter : left) waiter->resume(asio::error::operation_aborted);
}

Co<void> giveWay() {
  co_await asio::post(asio::use_awaitable);
}

Co<void> untilCancelled() {
  WaitQueue never;
  co_await never.wait();
}

Co<void> WaitQueue::wait() {
  auto state = state_;
  auto initiate = [state](auto handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    using Handler = decltype(handler);
    auto position = state->waiters.insert(state->waiters.end(),
                                          std::make_unique<WaiterOf<Handler>>(std::move(handler)));
    if (!slot.is_connected()) return;
    std::weak_ptr<State> weak = state;
    Waiter* self = position->get();
    slot.assign([weak, self](asio::cancellation_type) {
      auto alive = weak.lock();
      if (!alive) return;
      for (auto it = alive->waiters.begin(); it != alive->waiters.end(); ++it) {
        if (it->get() != self) continue;
        auto waiter = std::move(*it);
        alive->waiters.erase(it);
        waiter->resume(asio::error::operation_aborted);
        return;
      }
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(asio::error_code)>(
      initiate, asio::use_awaitable);
}

void WaitQueue::notifyOne() {
  if (state_->waiters.empty()) return;
  auto waiter = std::move(state_->waiters.front());
  state_->waiters.pop_front();
  waiter->resume({});
}

void WaitQueue::notifyAll() {
  Waiters all = std::move(state_->waiters);
  state_->waiters.clear();
  for (auto& waiter : all) waiter->resume({});
}

Co<bool> WaitQueue::waitUntil(Clock& clock, MonoTime deadline) {
  co_return co_await withDeadline(clock, deadline, wait());
}

Co<void> Clock::sleepUntil(MonoTime at) {
  struct Guard {
    Clock& clock;
    TimerId id = 0;
    ~Guard() {
      if (id != 0) clock.cancel(id);
    }
  };
  WaitQueue fired;
  Guard guard{*this};
  guard.id = schedule(at, [&fired] { fired.notifyAll(); });
  co_await fired.wait();
  guard.id = 0;
}

struct TaskGroup::State {
  explicit State(asio::any_io_executor ex) : executor(std::move(ex)) {}
  asio::any_io_executor executor;
  std::list<asio::cancellation_signal> running;
  bool cancelled = false;
  WaitQueue changed;

  void emitAll() {
    // A task may end, and remove itself, while its signal is emitted: never hold an iterator over
    // the call.
    std::vector<asio::cancellation_signal*> signals;
    for (auto& signal : running) signals.push_back(&signal);
    for (auto* signal : signals) signal->emit(asio::cancellation_type::terminal);
  }
};

bool isCancellation(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const asio::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (const asio::multiple_exceptions& e) {
    return isCancellation(e.first_exception());
  } catch (...) {
    return false;
  }
}

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() {
  cancel();
}

void TaskGroup::spawn(std::string name, Co<void> task) {
  if (state_->cancelled) return;
  auto state = state_;
  auto signal = state->running.emplace(state->running.end());
  auto done = [state, signal, name = std::move(name)](const std::exception_ptr& error) {
    state->running.erase(signal);
    state->changed.notifyAll();
    if (!error || isCancellation(error)) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      logError("task_failed", {{"task", name}, {"error", e.what()}});
    }
  };
  auto bound = asio::bind_cancellation_slot(signal->slot(), std::move(done));
  // Posted: a task that runs inside spawn() could destroy what its caller still uses.
  asio::post(state->executor, [executor = state->executor, task = std::move(task),
                               bound = std::move(bound)]() mutable {
    asio::co_spawn(executor, std::move(task), std::move(bound));
  });
}

void TaskGroup::cancel() {
  if (state_->cancelled) return;
  state_->cancelled = true;
  auto state = state_;
  asio::post(state->executor, [state] { state->emitAll(); });
}

Co<void> TaskGroup::join() {
  auto state = state_;
  while (!state->running.empty()) co_await state->changed.wait();
}

Co<void> TaskGroup::cancelAndJoin() {
  cancel();
  co_await join();
}

std::size_t TaskGroup::size() const {
  return state_->running.size();
}

const asio::any_io_executor& TaskGroup::executor() const {
  return state_->executor;
}

Co<bool> withDeadline(Clock& clock, MonoTime deadline, Co<void> task) {
  struct Race {
    asio::cancellation_signal signal;
    WaitQueue finished;
    std::exception_ptr error;
    bool done = false;
    bool late = false;
  };
  struct Guard {
    std::shared_ptr<Race> race;
    Clock& clock;
    Clock::TimerId timer;
    ~Guard() {
      clock.cancel(timer);
      if (!race->done) race->signal.emit(asio::cancellation_type::terminal);
    }
  };
  auto executor = co_await asio::this_coro::executor;
  auto race = std::make_shared<Race>();
  auto done = [race](std::exception_ptr error) {
    race->done = true;
    race->error = std::move(error);
    race->finished.notifyAll();
  };
  auto bound = asio::bind_cancellation_slot(race->signal.slot(), std::move(done));
  asio::co_spawn(executor, std::move(task), std::move(bound));
  Guard guard{race, clock, clock.schedule(deadline, [race] {
                if (race->done) return;
                race->late = true;
                race->signal.emit(asio::cancellation_type::terminal);
              })};
  // Our own cancellation goes on to the task, which must have unwound before this returns: it may
  // use the caller's frame.
  bool cancelled = false;
  while (!race->done) {
    try {
      co_await race->finished.wait();
    } catch (const asio::system_error&) {
      cancelled = true;
    }
    if (cancelled && !race->done) {
      auto ignoreFurther = asio::disable_cancellation();
      co_await asio::this_coro::reset_cancellation_state(ignoreFurther);
      race->signal.emit(asio::cancellation_type::terminal);
    }
  }
  if (cancelled) throw asio::system_error(asio::error::operation_aborted);
  if (race->late) co_return false;
  if (race->error) std::rethrow_exception(race->error);
  co_return true;
}

}  // namespace podlab
