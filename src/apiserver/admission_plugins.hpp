#pragma once
#include "core_v1_persistent_volumes.pb.h"

#include "api/object.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"

/// The plugins of admission, each in the file of its name.
namespace podlab::apiserver {

/// A pod's priority and preemption policy are those of its class, or of the global default class.
Status admitPriority(corev1::Pod& pod, WatchCache& cache);

/// Completes the containers' requests and limits as the namespace's LimitRanges have it, and checks
/// them; checks what a claim asks for.
Status admitLimits(corev1::Pod& pod, WatchCache& cache);
Status admitLimits(const corev1::PersistentVolumeClaim& claim, WatchCache& cache);
/// A pod's ServiceAccount must be there; its containers get the account's token where they and the
/// account want it, and the pod the account's imagePullSecrets.
Status admitServiceAccount(corev1::Pod& pod, WatchCache& cache, Rng& rng);

}  // namespace podlab::apiserver
