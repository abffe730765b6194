// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a page-table format is: levels, fields and pure functions on 64-bit words (concept PageFormat), and the
// checks that close every format header (well_formed). Adding a format: one header, one line in all.hpp.
#pragma once
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

#include "engine/base/bits.hpp"
#include "engine/base/types.hpp"
#include "engine/format/software_word.hpp"

namespace morsel {

// FROZEN numbers: they stand in the ioctl interface (enum morsel_format) and in journals.
enum class FormatId : u8 {
  amd64 = 1,
  amd64_l5 = 2,
  npt = 3,
  ept = 4,
  ept_l5 = 5,
  ept_no_ad = 6,
  ept_mbe = 7,
  vtd_second_stage = 8,
  vtd_second_stage_l5 = 9,
  amd_iommu_v1 = 10,
  arm64_stage1 = 11,
  arm64_stage2 = 12,
  riscv_sv39 = 13,
  riscv_sv48 = 14,
  riscv_sv57 = 15,
  riscv_sv39x4 = 16,
  riscv_sv48x4 = 17,
};

enum class EntryKind : u8 {
  hole,       // zero: maps nothing
  table,      // points to a table one level below
  leaf,       // maps a frame
  reserved,   // views only: a fill is under way
  moving,     // primary only: a move or a COW break is under way
  malformed,  // none of these: reserved bits, a combination that hardware refuses or that no tree here uses, or an
              // unknown software word
};

struct LevelInfo {
  u8 shift_lg2;   // an entry covers 2^shift_lg2 bytes
  u8 index_bits;  // a table has 2^index_bits entries
  bool leaf_allowed;
};

// Shapes of an entry in which a field is valid, as a mask.
enum FieldShape : u8 { in_leaf = 1, in_table = 2, in_software = 4, in_present = in_leaf | in_table };

struct Field {
  std::string_view name;
  u64 mask;
  u8 levels;  // bit n: valid at level n
  u8 shapes;  // FieldShape mask
  std::string_view meaning;
  std::string_view source;  // manual and section
};

struct LeafAttributes {
  Rights rights;
  bool accessed = false;
  bool dirty = false;
};

// Tables of 512 entries from 4-KiB leaves up; leaves up to level `largest`.
template <unsigned Depth>
constexpr std::array<LevelInfo, Depth> levels_up_to(unsigned largest)
{
  std::array<LevelInfo, Depth> levels{};
  for (unsigned n = 0; n < Depth; ++n) levels[n] = {static_cast<u8>(12 + 9 * n), 9, n <= largest};
  return levels;
}

// The address bits of a leaf's frame, of which `high` is the highest.
constexpr u64 frame_bits(unsigned high, unsigned level) { return bits(high, 12 + 9 * level); }

// The rows of fields[] that every format has for software words.
constexpr std::array<Field, 3> software_fields(u8 levels)
{
  constexpr std::string_view source = "morselscope: software_word.hpp";
  return {Field{"class", software::class_mask, levels, in_software, "a software word", source},
          Field{"payload", software::payload_mask, levels, in_software, "token or frame, inverted", source},
          Field{"tag", bits(6, 3), levels, in_software, "reserved or moving; stale; old write right", source}};
}

// fields[] out of a format's own rows and further ones.
template <std::size_t... N>
constexpr auto join_fields(const std::array<Field, N>&... parts)
{
  std::array<Field, (N + ...)> all{};
  std::size_t n = 0;
  auto append = [&](const auto& part) {
    for (const Field& field : part) all[n++] = field;
  };
  (append(parts), ...);
  return all;
}

// The kind of a word that hardware takes for not present.
constexpr EntryKind absent_kind(u64 word)
{
  return word == 0                     ? EntryKind::hole
         : software::is_reserved(word) ? EntryKind::reserved
         : software::is_moving(word)   ? EntryKind::moving
                                       : EntryKind::malformed;
}

constexpr u8 at_level(unsigned n) { return static_cast<u8>(1u << n); }
constexpr u8 at_levels(unsigned first, unsigned last) { return static_cast<u8>((2u << last) - (1u << first)); }

template <class F>
concept PageFormat = requires(u64 word, Level level, PhysAddr pa, LeafAttributes attributes, Rights rights)
{
  {
    F::id
    } -> std::convertible_to<FormatId>;
  {
    F::name
    } -> std::convertible_to<std::string_view>;
  {
    F::title
    } -> std::convertible_to<std::string_view>;
  // levels[n] describes level n; levels.back() is the root that hardware is pointed to.
  {
    F::levels[0]
    } -> std::convertible_to<LevelInfo>;
  {
    F::fields[0]
    } -> std::convertible_to<Field>;
  // Bits that hardware sets, 0 where a format has none.
  {
    F::accessed_bit
    } -> std::convertible_to<u64>;
  {
    F::dirty_bit
    } -> std::convertible_to<u64>;
  // I10: publish never overtakes a pending flush.
  {
    F::break_before_make
    } -> std::convertible_to<bool>;
  // Hardware may cache that an entry is not present: flush after publishing as well.
  {
    F::caches_non_present
    } -> std::convertible_to<bool>;
  {
    F::kind(word, level)
    } -> std::same_as<EntryKind>;
  {
    F::address(word, level)
    } -> std::same_as<PhysAddr>;  // of a table's or leaf's target
  {
    F::frame_mask(level)
    } -> std::same_as<u64>;  // where a leaf's word names its frame
  {
    F::access(word, level)
    } -> std::same_as<Rights>;  // that this table entry or leaf alone allows
  {
    F::may_be_dirty(word, level)
    } -> std::same_as<bool>;  // of a leaf: a walker may have written through it. Its dirty bit, or its write right
                              // where hardware sets none
  {
    F::make_table(pa, level)
    } -> std::same_as<u64>;  // an entry at `level`. Rights live in leaves: a table entry allows all
  {
    F::make_leaf(pa, level, attributes)
    } -> std::same_as<u64>;  // frames lie below 2^48 (software_word.hpp), which every format can name
  {
    F::reduce(rights)
    } -> std::same_as<Rights>;  // to what the format can express; never widens
  {
    F::memory_type_mask(level)
    } -> std::same_as<u64>;  // of a leaf
};

template <class F>
inline constexpr Level top_level = static_cast<Level>(F::levels.size() - 1);

template <class F>
constexpr u64 entry_bytes(Level level)
{
  return lg2_bytes(page_lg2 + 9u * level);  // as levels_continue() checks
}

template <class F>
constexpr u64 table_entries(Level level)
{
  return lg2_bytes(F::levels[level].index_bits);
}

// A table at `level` has 2^table_order pages.
template <class F>
constexpr u32 table_order(Level level)
{
  return F::levels[level].index_bits - 9u;
}

// Bytes that a whole table at `level` covers.
template <class F>
constexpr u64 table_span(Level level)
{
  return lg2_bytes(F::levels[level].shift_lg2 + F::levels[level].index_bits);
}

template <class F>
constexpr u32 entry_index(u64 offset, Level level)
{
  return static_cast<u32>(offset >> F::levels[level].shift_lg2 & (table_entries<F>(level) - 1));
}

// The range that the entry covering `offset` at `level` maps.
template <class F>
constexpr Range entry_range(u64 offset, Level level)
{
  const u64 start = align_down(offset, entry_bytes<F>(level));
  return {start, start + entry_bytes<F>(level)};
}

// Union of the fields valid for this shape at this level: every other bit is reserved.
template <class F>
constexpr u64 defined_bits(Level level, FieldShape shape)
{
  u64 mask = 0;
  for (const Field& f : F::fields)
    if ((f.levels >> level & 1) && (f.shapes & shape)) mask |= f.mask;
  return mask;
}

// By level: the defined bits of tables and of leaves.
template <class F>
inline constexpr auto present_bits = [] {
  std::array<std::array<u64, 2>, F::levels.size()> masks{};
  for (Level n = 0; n < F::levels.size(); ++n) masks[n] = {defined_bits<F>(n, in_table), defined_bits<F>(n, in_leaf)};
  return masks;
}();

// Whether a present entry of this shape has bits outside its fields.
template <class F>
constexpr bool has_undefined_bits(u64 word, Level level, bool leaf)
{
  return (word & ~(leaf ? present_bits<F>[level][1] : present_bits<F>[level][0])) != 0;
}

template <class F>
consteval bool levels_continue()
{
  for (std::size_t n = 1; n < F::levels.size(); ++n)
    if (F::levels[n].shift_lg2 != F::levels[n - 1].shift_lg2 + 9 || F::levels[n - 1].index_bits != 9) return false;
  if (F::levels.back().index_bits < 9 || F::levels.size() < 3) return false;  // an object may have 512 GiB
  return F::levels[0].shift_lg2 == page_lg2 && F::levels[0].leaf_allowed;
}

template <class F>
consteval bool fields_disjoint()
{
  for (Level level = 0; level < F::levels.size(); ++level)
    for (FieldShape shape : {in_leaf, in_table, in_software}) {
      u64 seen = 0;
      for (const Field& f : F::fields) {
        if (!(f.levels >> level & 1) || !(f.shapes & shape)) continue;
        if (f.mask == 0 || (seen & f.mask)) return false;
        seen |= f.mask;
      }
    }
  return true;
}

template <class F>
consteval bool leaves_round_trip()
{
  for (Level level = 0; level < F::levels.size(); ++level) {
    if (!F::levels[level].leaf_allowed) continue;
    const PhysAddr frame{align_down(bits(47, 12), entry_bytes<F>(level))};
    for (u8 r = 1; r < 8; ++r) {
      const Rights rights = F::reduce(Rights::from_bits(r));
      if (!Rights::from_bits(r).includes(rights)) return false;
      if (rights.none()) continue;
      for (int ad = 0; ad < 4; ++ad) {
        const u64 leaf = F::make_leaf(frame, level, {rights, (ad & 1) != 0, (ad & 2) != 0});
        if (F::kind(leaf, level) != EntryKind::leaf || F::address(leaf, level) != frame) return false;
        if (F::access(leaf, level) != rights || (leaf & ~defined_bits<F>(level, in_leaf))) return false;
        if (F::accessed_bit && ((leaf & F::accessed_bit) != 0) != ((ad & 1) != 0)) return false;
        if (F::dirty_bit && ((leaf & F::dirty_bit) != 0) != ((ad & 2) != 0)) return false;
      }
    }
  }
  return true;
}

template <class F>
consteval bool tables_round_trip()
{
  for (Level level = 1; level < F::levels.size(); ++level) {
    const u64 table = F::make_table(PhysAddr{bits(47, 12)}, level);
    if (F::kind(table, level) != EntryKind::table || F::address(table, level) != PhysAddr{bits(47, 12)}) return false;
    if (!F::access(table, level).includes(rights_all) || (table & ~defined_bits<F>(level, in_table))) return false;
  }
  return true;
}

template <class F>
consteval bool software_words_stay_software()
{
  for (Level level = 0; level < F::levels.size(); ++level) {
    if (F::kind(0, level) != EntryKind::hole) return false;
    for (u64 token : {u64{0}, u64{1}, software::max_token})
      for (auto stale : {software::Stale::no, software::Stale::yes})
        if (F::kind(software::make_reserved(token, stale), level) != EntryKind::reserved) return false;
    if (F::kind(software::make_moving({PhysAddr{0x1000}, rights_rw, 1}), level) != EntryKind::moving) return false;
  }
  return true;
}

template <class F>
consteval bool well_formed()
{
  static_assert(levels_continue<F>(), "levels continue each other from 4-KiB leaves up; only a root may exceed a page");
  static_assert(fields_disjoint<F>(), "fields of one shape at one level overlap or are empty");
  static_assert(leaves_round_trip<F>(), "make_leaf and kind/address/access disagree");
  static_assert(tables_round_trip<F>(), "make_table and kind/address/access disagree");
  static_assert(software_words_stay_software<F>(), "zero is no hole, or a software word would be present");
  return true;
}

}  // namespace morsel
