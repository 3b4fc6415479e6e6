#pragma once
#include <string>

#include "api/object.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// Says which of several it is, as kubectl does (polymorphichelpers).
void tellDefault(const Context& context, const corev1::Pod& pod);
/// A stream of `method` at the server, with its first message sent.
Co<Result<std::unique_ptr<rpc::Stream>>> openStream(Session& session, std::string method,
                                                    std::string first);

}  // namespace podlab::cli
