// SPDX-License-Identifier: GPL-2.0-or-later
//
// Persistent<Base>: makes any platform one whose primary survives a crash, at any instruction, without a log. The
// operations are the same; what changes is what a store to the primary means:
//
//   frame or table contents --persist--> store of the entry, marked --persist--> mark cleared
//
//   1. what an entry leads to is persistent before the entry is stored: a link never leads to garbage;
//   2. an entry is persistent before its operation goes on: what has returned is not lost, and what is unlinked is not
//      reused before nothing persistent leads to it;
//   3. whoever meets a marked entry persists it before acting on it ("link and persist"): a guest never loses a page
//      that a filler gave it.
//
// Views are not persistent: they start empty after a crash. recover.hpp reads what is left. Nor is what objects are to
// each other (who is a base, whose clone, whose tree changed hands): freeze, clone and send are refused.
//
// Thread safety: that of Base. Invariant: I6. Source: design of the protocol, "Persistence and recovery".
#pragma once
#include "engine/morsel/object.hpp"

namespace morsel {

// A platform with memory that keeps what was written back.
template <class P>
concept PersistentMemory = Platform<P> && requires(P p, SyncPoint at, const u64* words, u64 bytes, PhysAddr pa,
                                                   Level level)
{
  // Returns when the lines that hold these bytes are persistent: write-back and fence.
  {p.persist(at, words, bytes)};
  {p.persist_frame(at, pa, level)};  // its contents
};

template <PersistentMemory Base>
class Persistent : public Base {
 public:
  using Base::Base;
  static constexpr bool outlives_crashes = true;

  u64 load(SyncPoint at, const EntryRef& e)
  {
    const u64 word = Base::load(at, e);
    if (!is_marked(e, word)) return word;
    settle(at, e, word);  // named by where it was met
    return word & ~software::unpersisted_bit;
  }

  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    if (e.tree != primary_tree) return Base::exchange(at, e, desired);
    for (u64 before = load(at, e);; before = load(at, e))
      if (compare_exchange(at, e, before, desired)) return before;
  }

  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    if (e.tree != primary_tree) return Base::compare_exchange(at, e, expected, desired);
    persist_target(at, e, expected, desired);
    const u64 marked = desired | (desired & present ? software::unpersisted_bit : 0);
    if (!Base::compare_exchange(at, e, expected, marked)) return false;
    settle(SyncPoint::persist, e, marked);
    return true;
  }

  void store_private(SyncPoint at, const EntryRef& e, u64 leaf)
  {
    Base::persist_frame(SyncPoint::persist, PrimaryFormat::address(leaf, e.level), e.level);
    Base::store_private(at, e, leaf);
  }

  void store_word(SyncPoint at, u64& word, u64 value)
  {
    Base::store_word(at, word, value);
    if (at == SyncPoint::resize) Base::persist(SyncPoint::persist, &word, sizeof word);  // other words are about views
  }

 private:
  static constexpr u64 present = Amd64Bits::present;

  static bool is_marked(const EntryRef& e, u64 word)
  {
    return e.tree == primary_tree && (word & present) && (word & software::unpersisted_bit);
  }

  // New tables and frames are not persistent yet; what an entry led to before is.
  void persist_target(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    using F = PrimaryFormat;
    const EntryKind kind = F::kind(desired, e.level);
    if (kind == EntryKind::table && (at == SyncPoint::link_primary || at == SyncPoint::split))
      Base::persist(SyncPoint::persist, this->words(F::address(desired, e.level)), page_bytes);
    if (kind == EntryKind::leaf && (at == SyncPoint::install || (at == SyncPoint::change && expected == 0)))
      Base::persist_frame(SyncPoint::persist, F::address(desired, e.level), e.level);
  }

  void settle(SyncPoint at, const EntryRef& e, u64 word)
  {
    Base::persist(at, e.word, sizeof word);
    if (is_marked(e, word)) Base::compare_exchange(SyncPoint::persist, e, word, word & ~software::unpersisted_bit);
  }
};

}  // namespace morsel
