#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "api/api.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/stream_relay.hpp"
#include "transport/http_server.hpp"

namespace podlab::apiserver {

/// Whether the client offers a protocol that servePortForward speaks.
bool wantsPortForward(const http::Request& request);

/// Carries connections to ports of the pod until the client or the pod's network has gone: over
/// SPDY, over SPDY in a WebSocket (kubectl), or over channels of a WebSocket for the `ports` of the
/// query (the JavaScript client; k8s.io/kubelet/pkg/cri/streaming/portforward).
Co<void> servePortForward(http::Exchange& exchange, StreamRelay& relay, Clock& clock, User user,
                          api::ResourceId pod, std::vector<std::uint16_t> ports);

}  // namespace podlab::apiserver
