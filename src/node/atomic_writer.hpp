#pragma once
#include <string>

#include "common/filesystem.hpp"
#include "common/time.hpp"
#include "node/volume_payload.hpp"

namespace podlab::node {

/// Makes `folder`, which exists, hold exactly `payload`, all of it at once for whoever reads it.
/// The layout is kubelet's (pkg/volume/util/atomic_writer.go): the files are in a folder named
/// "..TIME", "..data" is a symbolic link to it, and each name at the top is a link into "..data";
/// the rename of "..data" is the switch. Broken off anywhere, the next call finishes it; a call
/// that finds everything as it should be writes nothing. What others have put into the folder
/// stays.
Status writePayload(Filesystem& files, const std::string& folder, const Payload& payload,
                    WallTime now);

/// Whether the folder holds a payload.
bool holdsPayload(Filesystem& files, const std::string& folder);

}  // namespace podlab::node
