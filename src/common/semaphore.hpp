#pragma once
#include <cstddef>
#include <utility>

#include "common/sync.hpp"

namespace podlab {

/// Lets so many coroutines of one thread pass at a time; the others wait. It outlives the permits.
class Semaphore {
 public:
  explicit Semaphore(std::size_t permits) : free_(permits) {}

  /// Gives its place back when it goes.
  class Permit {
   public:
    explicit Permit(Semaphore& owner) : owner_(&owner) {}
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (owner_ == nullptr) return;
      ++owner_->free_;
      owner_->freed_.notifyOne();
    }

   private:
    Semaphore* owner_;
  };

  Co<Permit> acquire() {
    const Waiting here(*this);
    while (free_ == 0) {
      try {
        co_await freed_.wait();
      } catch (...) {
        // Who was called, and is cancelled, calls the next.
        if (free_ > 0) freed_.notifyOne();
        throw;
      }
    }
    --free_;
    co_return Permit(*this);
  }

  /// Until no more than `most` wait in acquire(): for who would bring more of them.
  Co<void> untilFewWait(std::size_t most) {
    while (waiting_ > most) {
      try {
        co_await fewer_.wait();
      } catch (...) {
        fewer_.notifyOne();
        throw;
      }
    }
    // There may be room for more than the one who was called.
    fewer_.notifyOne();
  }

 private:
  struct Waiting {
    explicit Waiting(Semaphore& s) : semaphore(s) { ++semaphore.waiting_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      --semaphore.waiting_;
      semaphore.fewer_.notifyOne();
    }
    Semaphore& semaphore;
  };

  std::size_t free_;
  std::size_t waiting_ = 0;
  WaitQueue freed_;
  WaitQueue fewer_;
};

}  // namespace podlab
