// SPDX-License-Identifier: GPL-2.0-or-later
//
// What words of the primary say beyond their format: whose frame or table it is, and what a moving word was. Every
// rewriting of a primary's leaf goes through here, so that no mark is lost on the way.
//
//   leaf    bit 52  copy on write: the frame belongs to the base that this object is a clone of
//           bit 53  write after copy: the holder may write, but not in this frame (of a clone or of a frozen base)
//   table   bit  9  shared: the table belongs to the base; it is copied before anything in it changes
//
// All three are bits that AMD64 leaves to software (APM 2 section 5.4.1), and that Linux 6.1 does not use.
#pragma once
#include "engine/morsel/object.hpp"

namespace morsel {

constexpr bool is_copy_on_write(u64 leaf) { return (leaf & software::copy_on_write_bit) != 0; }
constexpr bool is_shared(u64 table_entry) { return (table_entry & software::shared_bit) != 0; }

// What the holder may do with the page, after a copy where one is needed.
constexpr Rights granted(u64 leaf, Level level)
{
  const Rights now = PrimaryFormat::access(leaf, level);
  return leaf & software::write_after_copy_bit ? now | right_write : now;
}

// The same leaf with other rights; made once for many leaves. A frame of the base stays unwritable.
class LeafRights {
 public:
  explicit constexpr LeafRights(Rights rights) : own_(leaf_bits(rights)), shared_(own_)
  {
    if (rights.write()) shared_ = leaf_bits(right_read | (rights & right_exec)) | software::write_after_copy_bit;
  }
  constexpr u64 applied_to(u64 leaf, Level level) const
  {
    using F = PrimaryFormat;
    const u64 kept = leaf & (F::frame_mask(level) | (level > 0 ? F::page_size : 0) | F::accessed_bit | F::dirty_bit |
                             software::copy_on_write_bit);
    return kept | (is_copy_on_write(leaf) ? shared_ : own_);
  }

 private:
  static constexpr u64 leaf_bits(Rights rights) { return PrimaryFormat::make_leaf({}, 0, {rights}); }
  u64 own_;
  u64 shared_;
};

constexpr u64 with_rights(u64 leaf, Level level, Rights rights) { return LeafRights(rights).applied_to(leaf, level); }

// A leaf of an object that becomes a base: nobody writes its frame any more.
constexpr u64 frozen_leaf(u64 leaf, Level level)
{
  using F = PrimaryFormat;
  const Rights rights = F::access(leaf, level);
  if (!rights.write()) return leaf;
  const LeafAttributes attributes{right_read | (rights & right_exec), (leaf & F::accessed_bit) != 0, false};
  return F::make_leaf(F::address(leaf, level), level, attributes) | software::write_after_copy_bit;
}

// An entry of a frozen table, as a clone takes it over.
constexpr u64 cloned_entry(u64 word, Level level)
{
  switch (PrimaryFormat::kind(word, level)) {
    case EntryKind::table: return (word & ~software::merging_mask) | software::shared_bit;
    case EntryKind::leaf: return (word & ~PrimaryFormat::dirty_bit) | software::copy_on_write_bit;
    default: return 0;
  }
}

constexpr u64 moving_of_leaf(u64 leaf, Level level, u64 token)
{
  return software::make_moving(
      {PrimaryFormat::address(leaf, level), granted(leaf, level), token, is_copy_on_write(leaf)});
}

// The leaf that a moving word was; clean, because whoever made it moving holds its dirty bit.
constexpr u64 leaf_of_moving(u64 word, Level level)
{
  const software::Moving m = software::read_moving(word);
  const u64 mark = m.copy_on_write ? software::copy_on_write_bit : 0;
  return with_rights(PrimaryFormat::make_leaf(m.frame, level, {right_read, true, false}) | mark, level, m.rights);
}

}  // namespace morsel
