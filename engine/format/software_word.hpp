// SPDX-License-Identifier: GPL-2.0-or-later
//
// Software words: entries that hardware of every format takes for not present, and that the protocol gives a meaning:
// *reserved* (views: a fill is under way) and *moving* (primary: a move or COW break is under way). FROZEN.
//
//   63   59 58                                      11 10    7 6  5 4   3   2   0
//  +-------+------------------------------------------+-------+----+---+-----+-----+
//  | 11110 |                 payload                  | 0000  |kind| W |stale| 000 |
//  +-------+------------------------------------------+-------+----+---+-----+-----+
//
//  2:0, 10  zero: P of AMD64 and NPT; R, W, X and user-X of EPT.
//  7, 8     zero: Linux takes a PMD with PSE, and any entry with PROTNONE, for present.
//  63:59    Linux's swap type of a PTE marker on 6.1 (SWP_PTE_MARKER), bit 9 zero its inverted uffd-wp bit: tables that
//           the CPU walks for a process are walked by Linux' fault path too, and this is the one non-present word that
//           it hands to the mapping's own ->fault (docs/decisions/0002-software-words.md).
//  payload  reserved: the token, inverted. moving: 58 COW, 57:48 token, 47:12 the frame's address, inverted, 11 exec.
//           Inverted, so that the address a speculating CPU would use (L1TF) lies beyond any memory.
#pragma once
#include "engine/base/bits.hpp"
#include "engine/base/types.hpp"

namespace morsel::software {

inline constexpr u64 class_mask = bits(63, 59);
inline constexpr u64 class_word = u64{0b11110} << 59;
inline constexpr u64 payload_mask = bits(58, 11);
inline constexpr u64 kind_mask = bits(6, 5);
inline constexpr u64 kind_reserved = u64{1} << 5;
inline constexpr u64 kind_moving = u64{2} << 5;
inline constexpr u64 write_bit = bit(4);  // moving: the old leaf allowed writes
inline constexpr u64 stale_bit = bit(3);  // reserved: a walker may still cache what stood here before
inline constexpr u64 max_token = payload_mask >> 11;

inline constexpr u64 moving_cow_bit = bit(58);
inline constexpr u64 moving_token_mask = bits(57, 48);
inline constexpr u64 moving_frame_mask = bits(47, 12);
inline constexpr u64 moving_exec_bit = bit(11);
inline constexpr u64 max_moving_token = moving_token_mask >> 48;

// A merge that waits marks the table entry in bits that AMD64 hardware ignores there. Zero: no merge.
inline constexpr u64 merging_mask = bits(62, 52);

// Marks of present entries of the primary, for clones (engine/morsel/marks.hpp).
inline constexpr u64 copy_on_write_bit = bit(52);     // leaf: the frame belongs to the base
inline constexpr u64 write_after_copy_bit = bit(53);  // leaf: the holder may write, but not in this frame
inline constexpr u64 leaf_marks = copy_on_write_bit | write_after_copy_bit;
inline constexpr u64 shared_bit = bit(9);  // table: it belongs to the base

// Mark of a present entry of a persistent primary that may not have reached persistent memory yet
// (engine/morsel/persistent.hpp).
inline constexpr u64 unpersisted_bit = bit(10);  // not 11, which Linux sets in leaves: soft-dirty

constexpr bool is_software(u64 word)
{
  return (word & class_mask) == class_word && (word & (bits(10, 7) | bits(2, 0))) == 0;
}

constexpr bool is_reserved(u64 word) { return is_software(word) && (word & (kind_mask | write_bit)) == kind_reserved; }

constexpr bool is_moving(u64 word) { return is_software(word) && (word & (kind_mask | stale_bit)) == kind_moving; }

enum class Stale : bool { no, yes };

constexpr u64 make_reserved(u64 token, Stale stale)
{
  return class_word | (~(token << 11) & payload_mask) | kind_reserved | (stale == Stale::yes ? stale_bit : 0);
}
constexpr u64 reserved_token(u64 word) { return (~word & payload_mask) >> 11; }
constexpr bool is_stale(u64 word) { return (word & stale_bit) != 0; }

struct Moving {
  PhysAddr frame;  // below 2^48
  Rights rights;   // of the leaf it was, read included
  u64 token = 0;   // at most max_moving_token
  bool copy_on_write = false;
};
constexpr u64 make_moving(const Moving& m)
{
  return class_word | kind_moving | (~m.frame.value & moving_frame_mask) | m.token << 48 |
         (m.copy_on_write ? moving_cow_bit : 0) | (m.rights.exec() ? moving_exec_bit : 0) |
         (m.rights.write() ? write_bit : 0);
}
constexpr Moving read_moving(u64 word)
{
  Rights rights = right_read;
  if (word & write_bit) rights = rights | right_write;
  if (word & moving_exec_bit) rights = rights | right_exec;
  return {PhysAddr{~word & moving_frame_mask}, rights, field_value(word, moving_token_mask),
          (word & moving_cow_bit) != 0};
}

static_assert(reserved_token(make_reserved(12345, Stale::yes)) == 12345 && is_stale(make_reserved(12345, Stale::yes)));
static_assert(is_reserved(make_reserved(max_token, Stale::no)) && !is_moving(make_reserved(0, Stale::no)));
static_assert(read_moving(make_moving({PhysAddr{0x1234000}, rights_rw, 7, true})).frame == PhysAddr{0x1234000});
static_assert(read_moving(make_moving({PhysAddr{0x1234000}, rights_rw, 7, true})).token == 7);
static_assert(!is_software(0));

}  // namespace morsel::software
