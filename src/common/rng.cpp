#include "common/rng.hpp"

#include <sys/random.h>

#include <bit>
#include <cstring>
#include <system_error>

#include "common/hash.hpp"

namespace podlab {
namespace {

std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

class SystemRng final : public Rng {
 public:
  std::uint64_t next() override {
    if (used_ == std::size(buffer_)) refill();
    return buffer_[used_++];
  }

 private:
  void refill() {
    auto* out = reinterpret_cast<char*>(buffer_);
    std::size_t filled = 0;
    while (filled < sizeof buffer_) {
      ssize_t n = ::getrandom(out + filled, sizeof buffer_ - filled, 0);
      if (n < 0 && errno != EINTR)
        throw std::system_error(errno, std::system_category(), "getrandom");
      if (n > 0) filled += static_cast<std::size_t>(n);
    }
    used_ = 0;
  }

  std::uint64_t buffer_[32];
  std::size_t used_ = std::size(buffer_);
};

}  // namespace

std::uint64_t Rng::below(std::uint64_t bound) {
  // Reject the first 2^64 mod bound values, so that each remainder is equally likely.
  const std::uint64_t threshold = -bound % bound;
  std::uint64_t value = next();
  while (value < threshold) value = next();
  return value % bound;
}

double Rng::unit() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

void Rng::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    std::uint64_t value = next();
    std::size_t n = std::min(out.size(), sizeof value);
    std::memcpy(out.data(), &value, n);
    out = out.subspan(n);
  }
}

std::string Rng::text(std::size_t length, std::string_view alphabet) {
  std::string text;
  text.reserve(length);
  for (std::size_t i = 0; i < length; ++i) text += alphabet[below(alphabet.size())];
  return text;
}

std::string Rng::uuid() {
  std::byte bytes[16];
  fill(bytes);
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    auto value = std::to_integer<unsigned>(bytes[i]);
    text += kHex[value >> 4];
    text += kHex[value & 15];
  }
  return text;
}

SeededRng::SeededRng(std::uint64_t seed) {
  for (auto& word : state_) word = splitmix64(seed);
}

SeededRng::SeededRng(std::uint64_t seed, std::string_view component)
    : SeededRng(seed ^ fnv1a(component)) {}

std::uint64_t SeededRng::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::unique_ptr<Rng> makeSystemRng() {
  return std::make_unique<SystemRng>();
}

}  // namespace podlab
