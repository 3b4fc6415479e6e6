#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>

#include "api/kinds.hpp"
#include "apiserver/api_service.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "sim/sim_clock.hpp"
#include "store/memory_store.hpp"
#include "tests/fakes/quiet.hpp"

namespace podlab::apiserver {

inline api::ListOptions selecting(std::string labels, std::string fields = "") {
  api::ListOptions options;
  options.labelSelector = std::move(labels);
  options.fieldSelector = std::move(fields);
  return options;
}
inline api::ListOptions chunk(std::int64_t limit, std::string token = "") {
  api::ListOptions options;
  options.limit = limit;
  options.continueToken = std::move(token);
  return options;
}
inline api::ListOptions notBefore(std::string revision) {
  api::ListOptions options;
  options.resourceVersion = std::move(revision);
  return options;
}
inline api::WriteOptions dryRun() {
  api::WriteOptions options;
  options.dryRun = true;
  return options;
}

/// An ApiService over a memory store in virtual time, with short forms of the verbs.
class ServiceTest : public testing::Test {
 protected:
  ServiceTest() { restart(); }
  ~ServiceTest() override {
    if (service_) run(service_->stop());
  }

  /// A new service over the same store.
  void restart() {
    admin_.reset();
    if (service_) run(service_->stop());
    service_ = std::make_unique<ApiService>(*store_, clock_, rng_, io_.get_executor());
    const Status started = run(service_->start());
    EXPECT_TRUE(started.ok()) << started.toString();
    admin_ = service_->as(systemUser("admin"));
  }

  template <typename T>
  T run(Co<T> task) {
    return sim::runInSim(clock_, std::move(task));
  }

  template <typename T>
  static api::ResourceId id(const std::string& name, const std::string& subresource = "") {
    const api::Kind& kind = api::kindFor<T>();
    return {&kind, kind.namespaced() ? "default" : "", name, subresource};
  }

  static corev1::Pod pod(const std::string& name, const std::string& node = "") {
    corev1::Pod made;
    made.mutable_metadata()->set_name(name);
    auto& container = *made.mutable_spec()->add_containers();
    container.set_name("main");
    container.set_image("host");
    if (!node.empty()) made.mutable_spec()->set_nodename(node);
    return made;
  }
  static corev1::ConfigMap configMap(const std::string& name, const std::string& value = "1") {
    corev1::ConfigMap made;
    made.mutable_metadata()->set_name(name);
    (*made.mutable_data())["value"] = value;
    return made;
  }

  template <typename T>
  Result<T> unwrap(Result<api::WriteResult> result) {
    if (!result) return result.status();
    return api::as<T>(result->object);
  }
  template <typename T>
  Result<T> create(T object, api::WriteOptions options = {}) {
    return createAs<T>(*admin_, std::move(object), std::move(options));
  }
  template <typename T>
  Result<T> createAs(api::Api& api, T object, api::WriteOptions options = {}) {
    auto target = id<T>("");
    if (!object.metadata().namespace_().empty()) target.ns = object.metadata().namespace_();
    auto shared = std::make_shared<T>(std::move(object));
    return unwrap<T>(run(api.create(std::move(target), std::move(shared), std::move(options))));
  }
  template <typename T>
  Result<T> get(const std::string& name) {
    auto found = run(admin_->get(id<T>(name)));
    if (!found) return found.status();
    return api::as<T>(*found);
  }
  template <typename T>
  Result<T> update(T object, const std::string& subresource = "", api::WriteOptions options = {}) {
    auto target = id<T>(object.metadata().name(), subresource);
    auto shared = std::make_shared<T>(std::move(object));
    return unwrap<T>(run(admin_->update(std::move(target), std::move(shared), std::move(options))));
  }
  template <typename T>
  Result<T> patch(const std::string& name, api::PatchType type, std::string body,
                  const std::string& subresource = "") {
    return unwrap<T>(run(admin_->patch(id<T>(name, subresource), type, std::move(body), {})));
  }
  template <typename T>
  Result<T> remove(const std::string& name, api::DeleteOptions options = {}) {
    auto removed = run(admin_->remove(id<T>(name), std::move(options)));
    if (!removed) return removed.status();
    return api::as<T>(*removed);
  }
  Result<corev1::Pod> bind(const std::string& name, const std::string& node) {
    auto binding = std::make_shared<corev1::Binding>();
    binding->mutable_target()->set_kind("Node");
    binding->mutable_target()->set_name(node);
    return unwrap<corev1::Pod>(
        run(admin_->create(id<corev1::Pod>(name, "binding"), std::move(binding), {})));
  }
  template <typename T>
  api::ListResult list(api::ListOptions options = {}) {
    auto listed = run(admin_->list(id<T>(""), std::move(options)));
    EXPECT_TRUE(listed.ok()) << listed.status().toString();
    return listed ? std::move(*listed) : api::ListResult{};
  }
  template <typename T>
  std::unique_ptr<api::Watch> watch(api::WatchOptions options) {
    auto opened = run(admin_->watch(id<T>(""), std::move(options)));
    EXPECT_TRUE(opened.ok()) << opened.status().toString();
    return opened ? std::move(*opened) : nullptr;
  }

  /// "ADDED default/a" and so on, for what the watch has now; then the Status it ended with, if
  /// any.
  static std::string text(const api::WatchEvent& event) {
    constexpr const char* kNames[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
    const auto& metadata = api::meta(*event.object);
    std::string made = kNames[static_cast<int>(event.type)];
    if (!metadata.name().empty()) made += " " + metadata.name();
    if (metadata.annotations().contains("k8s.io/initial-events-end")) made += " end";
    return made;
  }
  std::vector<api::WatchEvent> drain(api::Watch& watch, Status* end = nullptr) {
    std::vector<api::WatchEvent> events;
    auto collect = [](api::Watch& from, std::vector<api::WatchEvent>& out,
                      Status* why) -> Co<void> {
      while (true) {
        auto event = co_await from.next();
        if (!event) {
          if (why != nullptr) *why = event.status();
          co_return;
        }
        out.push_back(std::move(*event));
      }
    };
    TaskGroup group(io_.get_executor());
    group.spawn("drain", collect(watch, events, end));
    clock_.runUntilIdle();
    group.cancel();
    clock_.runUntilIdle();
    return events;
  }
  std::vector<std::string> texts(api::Watch& watch, Status* end = nullptr) {
    std::vector<std::string> made;
    for (const auto& event : drain(watch, end)) made.push_back(text(event));
    return made;
  }

  asio::io_context io_;
  sim::SimClock clock_{io_};
  /// PODLAB_TEST_SEED shows other names, uids and delays to every test.
  static std::uint64_t seed() {
    const char* wanted = std::getenv("PODLAB_TEST_SEED");
    return wanted == nullptr ? 1 : std::strtoull(wanted, nullptr, 10);
  }

  SeededRng rng_{seed()};
  std::unique_ptr<store::Store> store_ = store::makeMemoryStore();
  std::unique_ptr<ApiService> service_;
  std::unique_ptr<api::Api> admin_;
};

}  // namespace podlab::apiserver
