#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/co.hpp"

namespace podlab {

/// A condition variable for coroutines of one thread. Waiters wake in the order in which they came.
/// Destroying it, like cancelling a waiter, makes wait() throw operation_aborted.
class WaitQueue {
 public:
  WaitQueue();
  ~WaitQueue();
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  Co<void> wait();
  /// True when notified, false when `deadline` passed first.
  Co<bool> waitUntil(Clock& clock, MonoTime deadline);
  void notifyOne();
  void notifyAll();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Lets everything else run that is ready: between the parts of what takes long.
Co<void> giveWay();

/// Waits until it is cancelled.
Co<void> untilCancelled();

/// An unbounded queue between coroutines of one thread; close() lets the reader drain and then see
/// nullopt.
template <typename T>
class AsyncQueue {
 public:
  /// False (and the value dropped) when closed.
  bool push(T value) {
    if (closed_) return false;
    items_.push_back(std::move(value));
    ready_.notifyOne();
    return true;
  }
  Co<std::optional<T>> pop() {
    while (items_.empty()) {
      if (closed_) co_return std::nullopt;
      co_await ready_.wait();
    }
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    co_return item;
  }
  void close() {
    closed_ = true;
    ready_.notifyAll();
  }
  bool closed() const { return closed_; }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }

 private:
  std::deque<T> items_;
  bool closed_ = false;
  WaitQueue ready_;
};

/// Owns running coroutines: none outlives join(). An exception that leaves a task is logged with
/// the task's name, except operation_aborted. The group must be joined (or never have been used)
/// before its destruction; the destructor cancels and lets the tasks unwind on the executor, which
/// is safe only when they do not use what dies with the owner.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task` (posted, not run inside the call). After cancel() the task is dropped unstarted.
  void spawn(std::string name, Co<void> task);
  /// Asks every task to stop: its current co_await throws operation_aborted.
  void cancel();
  /// Waits until no task is left.
  Co<void> join();
  Co<void> cancelAndJoin();
  std::size_t size() const;
  const asio::any_io_executor& executor() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Runs `task` to its end, or cancels it at `deadline`: false then. The task's exceptions pass
/// through.
Co<bool> withDeadline(Clock& clock, MonoTime deadline, Co<void> task);

}  // namespace podlab
