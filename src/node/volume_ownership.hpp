#pragma once
#include <cstdint>
#include <string>

#include "common/status.hpp"

namespace podlab::node {

/// fsGroup: gives a volume and all that is in it to the group, which may read and write (read, with
/// `readOnly`), and lets what is made in it be the group's (setgid), as kubelet's
/// SetVolumeOwnership(). With `onRootMismatch` nothing is changed when the volume's folder is so
/// already. Symbolic links are not followed, other mounts not entered.
Status giveToGroup(const std::string& volume, std::uint32_t gid, bool readOnly,
                   bool onRootMismatch);

}  // namespace podlab::node
