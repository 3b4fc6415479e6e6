#pragma once
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/event_recorder.hpp"
#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Follows owner references, as upstream's garbage collector (pkg/controller/garbagecollector):
/// - what has owners, all of which are gone, is deleted; of several, references to those that are
///   gone are dropped;
/// - an owner with the finalizer foregroundDeletion goes when the dependents that block it have;
/// - an owner with the finalizer orphan goes when its dependents have lost their references to it.
/// An owner is gone when the server says so, or has another object under its name. Keeps an index
/// of dependents by owner and no objects.
class GarbageCollector {
 public:
  GarbageCollector(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Object = google::protobuf::Message;
  using Uids = std::set<std::string>;
  /// An object by its kind and name, which may not be there.
  struct Place {
    client::Informer* informer = nullptr;
    std::string key;  ///< "namespace/name" or "name"
  };
  /// How an owner stands to a dependent: there, there until its dependents are gone, or not there.
  enum class Standing { kSolid, kWaiting, kAbsent };
  /// The owners of an object that lets go of them, by uid.
  struct Owners {
    bool solid = false;  ///< there is one that stays
    Uids waiting;
    Uids absent;
  };

  void observe(client::Informer& informer, const Object* before, const Object* now);
  void enqueueOwner(const Object& dependent, const metav1::OwnerReference& owner);
  void enqueueDependents(const std::string& uid);
  bool ownersAreSolid(const Object& object) const;
  bool waitsFor(const Object& object, const std::string& uid) const;
  Place ownerOf(const Object& dependent, const metav1::OwnerReference& owner) const;
  Place placeOf(const std::string& queueKey) const;
  std::vector<std::pair<std::string, api::ObjectPtr>> dependentsOf(const std::string& uid) const;

  Co<Status> reconcile(std::string queueKey);
  Co<Status> finishForeground(api::ObjectPtr owner);
  Co<Status> finishOrphaning(api::ObjectPtr owner);
  Co<Status> collect(api::ObjectPtr cached);
  Co<Result<Owners>> classify(api::ObjectPtr object);
  Co<Result<Standing>> standingOf(api::ObjectPtr dependent, metav1::OwnerReference owner);
  void reportNamespace(const Object& dependent, const metav1::OwnerReference& owner);

  Context& context_;
  client::EventRecorder& events_;
  /// The queue's keys of the dependents of each owner's uid.
  std::unordered_map<std::string, std::set<std::string>> dependents_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
