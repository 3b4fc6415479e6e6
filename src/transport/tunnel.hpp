#pragma once
#include "common/co.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"
#include "transport/rpc.hpp"

namespace podlab::rpc {

/// Carries `bytes` over `stream`, whose other end does the same with a connection there, until both
/// directions have ended: each message is a piece of the bytes, an empty one the end of its
/// direction. Neither side is read faster than the other takes it. A direction that fails ends
/// both, with the reason.
Co<Status> tunnel(ByteStream& bytes, Stream& stream);

}  // namespace podlab::rpc
