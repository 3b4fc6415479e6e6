#include "node/referenced_objects.hpp"

#include "api/kinds.hpp"

namespace podlab::node {

struct ReferencedObjects::Entry {
  Key key;
  std::string name;
  std::unique_ptr<client::Informer> informer;
  std::map<std::uint64_t, std::function<void()>> listeners;

  void notify() const {
    for (const auto& [id, listener] : listeners) listener();
  }
};

ReferencedObjects::ReferencedObjects(api::Api& api, Clock& clock, Rng& rng,
                                     asio::any_io_executor executor)
    : api_(api), clock_(clock), rng_(rng), executor_(std::move(executor)) {}

ReferencedObjects::~ReferencedObjects() = default;

ReferencedObjects::Reference ReferencedObjects::hold(const api::Kind& kind, const std::string& ns,
                                                     const std::string& name,
                                                     std::function<void()> changed) {
  const Key key{&kind, ns + "/" + name};
  auto& entry = entries_[key];
  if (entry == nullptr) {
    entry = std::make_unique<Entry>();
    entry->key = key;
    entry->name = name;
    const api::ResourceId id{&kind, ns, "", ""};
    entry->informer = std::make_unique<client::Informer>(api_, clock_, rng_, executor_, id, "",
                                                         "metadata.name=" + name);
    const auto seen = [raw = entry.get()](const api::ObjectPtr&) { raw->notify(); };
    client::Informer::Handlers handlers;
    handlers.added = seen;
    handlers.updated = [seen](const api::ObjectPtr&, const api::ObjectPtr& now) { seen(now); };
    handlers.deleted = seen;
    handlers.synced = [raw = entry.get()] { raw->notify(); };
    entry->informer->addHandlers(std::move(handlers));
    entry->informer->start();
  }
  Reference reference;
  reference.owner_ = this;
  reference.entry_ = entry.get();
  reference.listener_ = ++listeners_;
  entry->listeners[reference.listener_] = std::move(changed);
  return reference;
}

void ReferencedObjects::release(Entry& entry, std::uint64_t listener) {
  entry.listeners.erase(listener);
  if (!entry.listeners.empty()) return;
  entries_.erase(Key(entry.key));
}

Co<void> ReferencedObjects::stop() {
  for (auto& [key, entry] : entries_) {
    co_await entry->informer->stop();
  }
}

ReferencedObjects::Reference& ReferencedObjects::Reference::operator=(Reference&& other) noexcept {
  reset();
  owner_ = std::exchange(other.owner_, nullptr);
  entry_ = std::exchange(other.entry_, nullptr);
  listener_ = other.listener_;
  return *this;
}

void ReferencedObjects::Reference::reset() {
  if (entry_ != nullptr) owner_->release(*std::exchange(entry_, nullptr), listener_);
}

Result<api::ObjectPtr> ReferencedObjects::Reference::get() const {
  const auto objects = entry_->informer->list();
  if (!objects.empty()) return objects.front();
  const std::string what = std::string(entry_->key.first->singular) + " \"" + entry_->name + "\"";
  if (entry_->informer->synced()) return Status(Code::kNotFound, what + " not found");
  return Status(Code::kUnavailable, what + " is not known yet");
}

}  // namespace podlab::node
