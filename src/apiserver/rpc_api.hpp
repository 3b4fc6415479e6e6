#pragma once
#include <functional>
#include <string>

#include "api/api.hpp"
#include "transport/rpc.hpp"

namespace podlab::apiserver {

/// The API for who asks: the node that a request names, "" for the connection's own user. What it
/// gives lives as long as the connection is served.
using ApiFor = std::function<Result<api::Api*>(const std::string& node)>;

/// Serves one stream of the method "api": one ApiRequest, one ApiResponse.
Co<Status> serveApi(const ApiFor& apiFor, rpc::Stream& stream);
/// Serves one stream of the method "watch": a WatchRequest, then a WatchEventMessage for each event
/// until the watch ends.
Co<Status> serveWatch(const ApiFor& apiFor, rpc::Stream& stream);

}  // namespace podlab::apiserver
