#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab {

struct Pipe {
  UniqueFd read, write;
};

/// Both ends are closed in programs that this process starts.
inline Result<Pipe> makePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return errnoStatus(errno, "cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace podlab
