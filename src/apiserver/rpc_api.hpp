#pragma once
#include "api/api.hpp"
#include "transport/rpc.hpp"

namespace podlab::apiserver {

/// Serves one stream of the method "api": one ApiRequest, one ApiResponse.
Co<Status> serveApi(api::Api& api, rpc::Stream& stream);
/// Serves one stream of the method "watch": a WatchRequest, then a WatchEventMessage for each event
/// until the watch ends.
Co<Status> serveWatch(api::Api& api, rpc::Stream& stream);

}  // namespace podlab::apiserver
