#pragma once
#include <string>

#include "api/object.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// The container that a command means when it names none: the one of the annotation
/// kubectl.kubernetes.io/default-container, or the first.
std::string defaultContainer(const corev1::Pod& pod);
/// Says which of several it is, as kubectl does (polymorphichelpers).
void tellDefault(const Context& context, const corev1::Pod& pod);
/// nullptr when there is none of this name.
const corev1::Container* findContainer(const corev1::PodSpec& spec, const std::string& name);

/// A stream of `method` at the server, with its first message sent.
Co<Result<std::unique_ptr<rpc::Stream>>> openStream(Session& session, std::string method,
                                                    std::string first);

}  // namespace podlab::cli
