#include "apiserver/shown_watch.hpp"

#include <optional>
#include <utility>

namespace podlab::apiserver {
namespace {

using Show = std::function<api::ObjectPtr(const api::ObjectPtr&)>;

class ShownWatch final : public api::Watch {
 public:
  ShownWatch(std::unique_ptr<api::Watch> stored, Show show)
      : stored_(std::move(stored)), show_(std::move(show)) {}

  Co<Result<api::WatchEvent>> next() override {
    auto event = co_await stored_->next();
    if (event) event->object = show_(event->object);
    co_return event;
  }
  std::optional<api::WatchEvent> poll() override {
    auto event = stored_->poll();
    if (event) event->object = show_(event->object);
    return event;
  }

 private:
  std::unique_ptr<api::Watch> stored_;
  Show show_;
};

}  // namespace

std::unique_ptr<api::Watch> makeShownWatch(std::unique_ptr<api::Watch> stored, Show show) {
  return std::make_unique<ShownWatch>(std::move(stored), std::move(show));
}

}  // namespace podlab::apiserver
