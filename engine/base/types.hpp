// SPDX-License-Identifier: GPL-2.0-or-later
//
// The vocabulary of the engine: integers, addresses, levels, ranges, rights. Freestanding.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>

namespace morsel {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

inline constexpr u32 page_lg2 = 12;
inline constexpr u64 page_bytes = u64{1} << page_lg2;
inline constexpr u64 mebibyte = u64{1} << 20;
inline constexpr u64 gibibyte = u64{1} << 30;

// A byte address in the physical address space of the machine that holds the tables.
struct PhysAddr {
  u64 value = 0;
  constexpr auto operator<=>(const PhysAddr&) const = default;  // NOLINT(modernize-use-nullptr): it takes < 0 for one
};
constexpr PhysAddr operator+(PhysAddr a, u64 bytes) { return {a.value + bytes}; }

// Level of a table: level 0 tables hold entries that map 4-KiB frames, level 1 entries cover 2 MiB, ...
// An entry's level is the level of the table it stands in.
using Level = u8;

// Bytes in an object: half-open [start, end).
struct Range {
  u64 start = 0;
  u64 end = 0;
  constexpr bool operator==(const Range&) const = default;
  constexpr bool empty() const { return start >= end; }
  constexpr u64 bytes() const { return empty() ? 0 : end - start; }
  constexpr bool contains(u64 offset) const { return start <= offset && offset < end; }
  constexpr bool contains(Range r) const { return start <= r.start && r.end <= end; }
  constexpr bool overlaps(Range r) const { return start < r.end && r.start < end; }
};
constexpr Range intersect(Range a, Range b)
{
  return {a.start > b.start ? a.start : b.start, a.end < b.end ? a.end : b.end};
}
constexpr Range hull(Range a, Range b)
{
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {a.start < b.start ? a.start : b.start, a.end > b.end ? a.end : b.end};
}

// What a walker may do with a page, and what an access asks for.
class Rights {
 public:
  constexpr Rights() = default;
  static constexpr Rights from_bits(u8 bits) { return Rights(bits & 7); }
  constexpr u8 bits() const { return bits_; }
  constexpr bool read() const { return bits_ & 1; }
  constexpr bool write() const { return bits_ & 2; }
  constexpr bool exec() const { return bits_ & 4; }
  constexpr bool none() const { return bits_ == 0; }
  constexpr bool includes(Rights wanted) const { return (bits_ & wanted.bits_) == wanted.bits_; }
  constexpr bool operator==(const Rights&) const = default;
  friend constexpr Rights operator|(Rights a, Rights b) { return Rights(a.bits_ | b.bits_); }
  friend constexpr Rights operator&(Rights a, Rights b) { return Rights(a.bits_ & b.bits_); }

 private:
  explicit constexpr Rights(int bits) : bits_(static_cast<u8>(bits)) {}
  u8 bits_ = 0;
};
inline constexpr Rights right_read = Rights::from_bits(1);
inline constexpr Rights right_write = Rights::from_bits(2);
inline constexpr Rights right_exec = Rights::from_bits(4);
inline constexpr Rights rights_rw = right_read | right_write;
inline constexpr Rights rights_all = rights_rw | right_exec;

}  // namespace morsel
