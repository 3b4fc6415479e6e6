#pragma once
#include <map>
#include <string>

#include "api/persistent_volumes.hpp"
#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Brings claims and volumes together, as kube-controller-manager's persistentvolume-binder with
/// the pvc- and pv-protection controllers: a claim gets a volume that is there and fits, or a new
/// one of its class; one that goes stays until no pod on a node uses it, and its volume is then
/// kept or removed by its policy.
///
/// The built-in class `local` makes volumes that are folders of a host, which the nodes of that
/// host share: nodes with the same label podlab.io/volumes. A volume's node affinity says which
/// they are. The server touches no folder: nodes make them when they mount them, and remove them
/// when a released volume is put into the hands of one of them (the label podlab.io/reclaimed-by).
class ClaimBinder {
 public:
  ClaimBinder(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop();

 private:
  using Claim = corev1::PersistentVolumeClaim;
  using Volume = corev1::PersistentVolume;
  using ClaimPtr = std::shared_ptr<const Claim>;
  using VolumePtr = std::shared_ptr<const Volume>;
  using NodePtr = std::shared_ptr<const corev1::Node>;
  using ClassPtr = std::shared_ptr<const storagev1::StorageClass>;

  void watchClaims();
  void watchVolumes();
  void watchOthers();
  /// All that waits for a node or a class.
  void enqueueWaiting();

  Co<void> makeLocalClass();
  Co<Status> reconcileClaim(std::string key);
  Co<Status> protectClaim(ClaimPtr claim);
  Co<Status> completeBinding(ClaimPtr claim);
  Co<Status> findVolume(ClaimPtr claim);
  Co<Status> provision(ClaimPtr claim, ClassPtr storageClass, NodePtr selected);
  Co<Status> giveUpNode(ClaimPtr claim);
  Co<Status> bind(ClaimPtr claim, VolumePtr volume);
  Co<Status> reconcileVolume(std::string name);
  Co<Status> release(VolumePtr volume);
  Co<Status> releaseFinalizers(VolumePtr volume, bool bound);

  ClassPtr defaultClass() const;
  VolumePtr volumeSetAside(const Claim& claim) const;
  VolumePtr bestVolume(const Claim& claim, const corev1::Node* selected) const;
  std::string unscheduledUsers(const Claim& claim) const;
  std::string reclaimer(const Volume& volume) const;
  bool isUsed(const std::string& claim) const;
  void tell(const Claim& claim, client::EventClass type, const char* reason, std::string message);
  Co<Status> setVolumePhase(VolumePtr volume, std::string phase, std::string message = "");

  Context& context_;
  client::EventRecorder& events_;
  std::map<std::string, std::string> told_;  ///< by claim: the last message, said once
  Reconciler claims_;
  Reconciler volumes_;
  TaskGroup tasks_;
};

}  // namespace podlab::controllers
