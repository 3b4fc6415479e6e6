#include "common/readable.hpp"

#include <poll.h>

namespace podlab {

bool isReadable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace podlab
