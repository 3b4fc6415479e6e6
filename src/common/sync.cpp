#include "common/sync.hpp"

#include <exception>
#include <utility>

#include <asio.hpp>

#include "common/cancellation.hpp"
#include "common/log.hpp"

namespace podlab {
namespace {

/// Runs the function soon. An io_context, which it nearly always is, is spared the detours of an
/// executor of any type.
template <typename Function>
void postTo(const asio::any_io_executor& executor, Function function) {
  if (const auto* io = executor.target<asio::io_context::executor_type>()) {
    asio::post(*io, std::move(function));
  } else {
    asio::post(executor, std::move(function));
  }
}

/// In a ring.
struct Link {
  Link* before = this;
  Link* next = this;

  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void insertBefore(Link& other) {
    before = other.before;
    next = &other;
    before->next = next->before = this;
  }
  void unlink() {
    before->next = next;
    next->before = before;
    before = next = this;
  }
};

/// A suspended coroutine's handler, whatever its type. It is there until it is resumed, and may
/// wait in a ring.
class Waiter : public Link {
 public:
  virtual ~Waiter() = default;
  virtual void resume(asio::error_code error) = 0;
};

template <typename Handler>
class WaiterOf final : public Waiter {
 public:
  explicit WaiterOf(Handler handler) : handler_(std::move(handler)) {}

  void resume(asio::error_code error) override {
    // From now on a cancellation comes too late for this wait.
    asio::get_associated_cancellation_slot(handler_).clear();
    post(error);
  }
  /// `leave` is called first.
  template <typename Function>
  void cancelBy(asio::cancellation_slot slot, Function leave) {
    // It may be called again before the coroutine has noticed the first time.
    slot.assign([waiter = this, leave](asio::cancellation_type) mutable {
      if (waiter == nullptr) return;
      leave();
      std::exchange(waiter, nullptr)->post(asio::error::operation_aborted);
    });
  }

 private:
  void post(asio::error_code error) {
    unlink();
    const auto executor = asio::get_associated_executor(handler_);
    postTo(executor, [handler = std::move(handler_), error]() mutable { handler(error); });
    delete this;
  }

  Handler handler_;
};

}  // namespace

struct WaitQueue::State {
  Link waiters;  ///< the ring's beginning and end

  bool empty() const { return waiters.next == &waiters; }
  void resumeFirst(asio::error_code error) { static_cast<Waiter*>(waiters.next)->resume(error); }
};

WaitQueue::WaitQueue() : state_(std::make_shared<State>()) {}

WaitQueue::~WaitQueue() {
  while (!state_->empty()) state_->resumeFirst(asio::error::operation_aborted);
}

Co<void> giveWay() {
  return asio::post(asio::use_awaitable);
}

Co<void> untilCancelled() {
  WaitQueue never;
  co_await never.wait();
}

// No coroutine of its own: nothing is awaited more often.
Co<void> WaitQueue::wait() {
  auto initiate = [state = state_](auto handler) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto* const waiter = new WaiterOf<decltype(handler)>(std::move(handler));
    waiter->insertBefore(state->waiters);
    if (slot.is_connected()) waiter->cancelBy(slot, [] {});
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(asio::error_code)>(
      std::move(initiate), asio::use_awaitable);
}

void WaitQueue::notifyOne() {
  if (!state_->empty()) state_->resumeFirst({});
}

void WaitQueue::notifyAll() {
  while (!state_->empty()) state_->resumeFirst({});
}

Co<bool> WaitQueue::waitUntil(Clock& clock, MonoTime deadline) {
  co_return co_await withDeadline(clock, deadline, wait());
}

Co<void> Clock::sleepUntil(MonoTime at) {
  auto initiate = [this, at](auto handler) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto* const waiter = new WaiterOf<decltype(handler)>(std::move(handler));
    const TimerId timer = schedule(at, [waiter] { waiter->resume({}); });
    if (slot.is_connected()) waiter->cancelBy(slot, [this, timer] { cancel(timer); });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(asio::error_code)>(
      std::move(initiate), asio::use_awaitable);
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
  postTo(state->executor,
         [executor = state->executor, task = std::move(task), bound = std::move(bound)]() mutable {
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
