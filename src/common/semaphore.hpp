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

 private:
  std::size_t free_;
  WaitQueue freed_;
};

}  // namespace podlab
