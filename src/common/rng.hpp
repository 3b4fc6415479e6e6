#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace podlab {

/// Where all chance comes from. std::*_distribution and std::shuffle differ by library, so the
/// helpers here are used instead.
class Rng {
 public:
  virtual ~Rng() = default;
  virtual std::uint64_t next() = 0;

  /// Uniform in [0, bound), unbiased; bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform in [0, 1).
  double unit();
  bool chance(double probability) { return unit() < probability; }
  void fill(std::span<std::byte> out);
  /// `length` characters of `alphabet`.
  std::string text(std::size_t length, std::string_view alphabet);
  /// Five-character name suffix of upstream's alphabet (apimachinery util/rand: no vowels, no 0, 1,
  /// 3).
  std::string suffix(std::size_t length = 5) { return text(length, "bcdfghjklmnpqrstvwxz2456789"); }
  /// RFC 4122 version 4.
  std::string uuid();
};

/// xoshiro256** seeded by splitmix64 (Blackman and Vigna): the same seed gives the same numbers
/// everywhere.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed);
  /// A stream of its own for each component, so that one's draws do not shift another's.
  SeededRng(std::uint64_t seed, std::string_view component);
  std::uint64_t next() override;

 private:
  std::uint64_t state_[4];
};

/// The kernel's getrandom(2).
std::unique_ptr<Rng> makeSystemRng();

}  // namespace podlab
