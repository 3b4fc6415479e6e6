#include "common/sealed_program.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/spawn.hpp"

namespace podlab {
namespace {

constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, since Linux 6.3
constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

}  // namespace

Result<UniqueFd> sealProgram(const std::string& name) {
  const auto path = findProgram(name);
  if (!path) return Status(Code::kNotFound, name + " is not in PATH");
  const UniqueFd program(::open(path->c_str(), O_RDONLY | O_CLOEXEC));
  if (!program) return errnoStatus(errno, "open " + *path);
  std::array<char, SELFMAG> magic{};
  struct stat info{};
  if (::pread(program.get(), magic.data(), magic.size(), 0) != SELFMAG ||
      std::memcmp(magic.data(), ELFMAG, SELFMAG) != 0 || ::fstat(program.get(), &info) < 0) {
    return Status(Code::kHostUnsupported, name + " is not an ELF program");
  }
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd copy(::memfd_create("program", flags | kExecutable));
  if (!copy && errno == EINVAL) copy.reset(::memfd_create("program", flags));
  if (!copy) return Status(Code::kHostUnsupported, errnoStatus(errno, "memfd_create").message());
  for (off_t left = info.st_size; left > 0;) {
    const ssize_t n = ::sendfile(copy.get(), program.get(), nullptr, left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errnoStatus(n < 0 ? errno : EIO, "copy " + name);
    left -= n;
  }
  if (::fcntl(copy.get(), F_ADD_SEALS, kAllSeals) < 0) return errnoStatus(errno, "seal " + name);
  return copy;
}

}  // namespace podlab
