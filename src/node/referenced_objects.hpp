#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"

namespace podlab::node {

/// The objects that the pods of this node refer to (ConfigMaps, Secrets, claims and their volumes):
/// one watch an object, shared by all who hold it, which ends with the last of them. A node may
/// read an object only while a pod that is bound to it refers to it.
class ReferencedObjects {
  struct Entry;

 public:
  ReferencedObjects(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor);
  ~ReferencedObjects();
  ReferencedObjects(const ReferencedObjects&) = delete;
  ReferencedObjects& operator=(const ReferencedObjects&) = delete;

  /// Holds one object. It must not outlive the ReferencedObjects.
  class Reference {
   public:
    Reference() = default;
    ~Reference() { reset(); }
    Reference(Reference&& other) noexcept { *this = std::move(other); }
    Reference& operator=(Reference&& other) noexcept;
    void reset();

    /// kUnavailable: the server has not told yet; kNotFound, in kubelet's words: there is none
    /// (`configmap "x" not found`).
    Result<api::ObjectPtr> get() const;

   private:
    friend class ReferencedObjects;
    ReferencedObjects* owner_ = nullptr;
    Entry* entry_ = nullptr;
    std::uint64_t listener_ = 0;
  };

  /// `changed` is called whenever get() may answer anew; it must not let go of a Reference.
  Reference hold(const api::Kind& kind, const std::string& ns, const std::string& name,
                 std::function<void()> changed);
  std::size_t size() const { return entries_.size(); }
  /// Nothing changes any more.
  Co<void> stop();

 private:
  using Key = std::pair<const api::Kind*, std::string>;

  void release(Entry& entry, std::uint64_t listener);

  api::Api& api_;
  Clock& clock_;
  Rng& rng_;
  std::map<Key, std::unique_ptr<Entry>> entries_;
  asio::any_io_executor executor_;
  std::uint64_t listeners_ = 0;
};

}  // namespace podlab::node
