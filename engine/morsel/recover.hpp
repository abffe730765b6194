// SPDX-License-Identifier: GPL-2.0-or-later
//
// Recovery after a crash: reads the tree that persistent memory holds, tells the platform what belongs to it, and
// finishes what was under way. There is no log; every entry is the old or the new one of its operation:
//
//   moving               its old leaf: the copy was not installed
//   merging, unpersisted the same entry without the mark
//   behind the end       unmapped: a shrinking resize had stored the size
//   not reachable        free, because nobody reports it
//
// Every repair is one store that leaves the meaning as it is, so a crash during recovery is recovered from in the same
// way. Invariant: I6. Source: design of the protocol, "Persistence and recovery".
#pragma once
#include "engine/morsel/primary.hpp"

namespace morsel {

// The allocator learns what is in use. False: it is in use already, or no memory of this machine.
template <class P>
concept RecoveryPlatform = Platform<P> && requires(P p, Level level, PhysAddr pa)
{
  {
    p.adopt_table(level, pa)
    } -> std::same_as<bool>;
  {
    p.adopt_frame(pa, level)
    } -> std::same_as<bool>;
};

namespace detail {

// Marks of bases and clones: a persistent object is neither, so this engine does not write them there.
constexpr bool is_of_a_base(u64 word, EntryKind kind)
{
  if (kind == EntryKind::table) return is_shared(word);
  if (kind == EntryKind::moving) return software::read_moving(word).copy_on_write;
  return kind == EntryKind::leaf && (word & software::leaf_marks) != 0;
}

template <RecoveryPlatform P>
Status recover_table(P& p, PhysAddr table, Level level, u64 offset)
{
  using F = PrimaryFormat;
  if (!p.adopt_table(level, table)) return Error::corrupt;
  u64* const words = p.words(table);
  for (u64 i = 0; i < table_entries<F>(level); ++i) {
    const EntryRef e{words + i, offset + i * entry_bytes<F>(level), primary_tree, level};
    u64 word = p.load(SyncPoint::find, e);
    EntryKind kind = F::kind(word, level);
    if (is_of_a_base(word, kind)) return Error::corrupt;
    if (kind == EntryKind::moving || (kind == EntryKind::table && (word & software::merging_mask))) {
      const u64 repaired =
          kind == EntryKind::moving ? leaf_of_moving(word, level) : word & ~software::merging_mask;
      p.compare_exchange(SyncPoint::change, e, word, repaired);
      word = repaired;
      kind = F::kind(word, level);
    }
    Status s;
    if (kind == EntryKind::malformed || kind == EntryKind::reserved) s = Error::corrupt;
    if (kind == EntryKind::leaf && !p.adopt_frame(F::address(word, level), level)) s = Error::corrupt;
    if (kind == EntryKind::table)
      s = recover_table(p, F::address(word, level), static_cast<Level>(level - 1), e.offset);
    if (!s) return s;
  }
  return {};
}

}  // namespace detail

// Makes the object whole again, whose `bytes` and root persistent memory gave back. Called before anybody uses it.
// corrupt: a word that this engine never writes, a table or frame with two owners or outside memory. no_memory: the end
// cuts a large leaf, and it could not be split.
template <RecoveryPlatform P>
Status recover(P& p, Object& object)
{
  using F = PrimaryFormat;
  const Tree& tree = object.primary;
  if (const Status s = detail::recover_table(p, tree.root, tree.root_level, 0); !s) return s;
  const Range behind{object.bytes, range_of<F>(tree).end};
  if (behind.empty()) return {};
  const ChangeSection section(p, object, Changes::frozen_primary);
  Operation<P> op(p, object, behind, section.inside());
  const Error error = detail::unmap_entries(p, object, op, behind);
  op.finish();
  return error == Error::none ? Status{} : Status{error};
}

}  // namespace morsel
