#pragma once
#include <memory>
#include <string>
#include <utility>

#include "api/api.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"

namespace podlab::fakes {

/// Another Api behind a bad line: calls take their time, some fail before they arrive, some answers
/// are lost after the write has happened, and watches break.
class FlakyApi final : public api::Api {
 public:
  struct Faults {
    double refused = 0;      ///< of the calls
    double answerLost = 0;   ///< of the writes that arrived
    double watchBroken = 0;  ///< of the events
    Duration slowest{};      ///< a call takes up to so long
  };

  FlakyApi(api::Api& inner, Clock& clock, Rng& rng) : inner_(inner), clock_(clock), rng_(rng) {}
  /// From now on; open watches too.
  void setFaults(Faults faults) { *faults_ = faults; }

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    if (!co_await arrives()) co_return away();
    co_return co_await inner_.get(std::move(id));
  }
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options) override {
    if (!co_await arrives()) co_return away();
    co_return co_await inner_.list(std::move(collection), std::move(options));
  }
  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId collection,
                                                api::WatchOptions options) override {
    if (!co_await arrives()) co_return away();
    auto opened = co_await inner_.watch(std::move(collection), std::move(options));
    if (!opened) co_return opened.status();
    std::unique_ptr<api::Watch> made =
        std::make_unique<FlakyWatch>(std::move(*opened), faults_, rng_);
    co_return made;
  }
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    if (!co_await arrives()) co_return away();
    auto result = co_await inner_.create(std::move(id), std::move(object), std::move(options));
    co_return answer(std::move(result));
  }
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    if (!co_await arrives()) co_return away();
    auto result = co_await inner_.update(std::move(id), std::move(object), std::move(options));
    co_return answer(std::move(result));
  }
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override {
    if (!co_await arrives()) co_return away();
    auto result = co_await inner_.patch(std::move(id), type, std::move(body), std::move(options));
    co_return answer(std::move(result));
  }
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    if (!co_await arrives()) co_return away();
    auto result = co_await inner_.remove(std::move(id), std::move(options));
    co_return answer(std::move(result));
  }

 private:
  class FlakyWatch final : public api::Watch {
   public:
    FlakyWatch(std::unique_ptr<api::Watch> inner, std::shared_ptr<Faults> faults, Rng& rng)
        : inner_(std::move(inner)), faults_(std::move(faults)), rng_(rng) {}
    Co<Result<api::WatchEvent>> next() override {
      if (rng_.chance(faults_->watchBroken)) co_return away();
      co_return co_await inner_->next();
    }

   private:
    std::unique_ptr<api::Watch> inner_;
    std::shared_ptr<Faults> faults_;
    Rng& rng_;
  };

  static Status away() { return {Code::kUnavailable, "the line is bad"}; }
  Co<bool> arrives() {
    if (faults_->slowest > Duration::zero()) {
      const auto bound = static_cast<std::uint64_t>(faults_->slowest.count());
      co_await clock_.sleepFor(Duration(rng_.below(bound)));
    }
    co_return !rng_.chance(faults_->refused);
  }
  template <typename T>
  Result<T> answer(Result<T> result) {
    if (result.ok() && rng_.chance(faults_->answerLost)) return away();
    return result;
  }

  api::Api& inner_;
  Clock& clock_;
  Rng& rng_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

}  // namespace podlab::fakes
