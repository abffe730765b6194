// SPDX-License-Identifier: GPL-2.0-or-later
//
// Frames change under the object: migrate moves pages to new frames, break_copy gives a clone a frame of its own.
//
//   leaf(old) --change--> moving(old, rights, token) --flush all domains, copy, install--> leaf(new)
//
// While the entry is moving, nobody can reach the old frame (I9): a copy taken then is the page. Nobody waits for a
// mover: fillers and mutators put the leaf back (cancel_move), an unmap takes the frame, and the mover's install, a
// compare-and-swap from its own token, fails (move_token.hpp). Two who break the same copy on write help each other:
// the second goes on from the first one's moving word.
//
// Thread safety: any number at once. Invariants: I2, I3, I4 (the new frame starts dirty), I9, I10.
// Source: design of the protocol, "Two mutators": migrate, COW break.
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

namespace detail {

// A page between two frames.
struct Move {
  EntryRef entry;
  u64 moving = 0;
  PhysAddr from, to;
  u64 leaf = 0;  // to be installed
};

// Moves that share one round of flushes and a token.
template <Platform P>
class MoveBatch {
 public:
  MoveBatch(P& p, Object& object) : token(p, object) {}
  bool full() const { return count_ == moves_.size(); }
  bool empty() const { return count_ == 0; }
  void add(const Move& move) { moves_[count_++] = move; }

  // The second half, after all domains were flushed: copy, install, give back the frame that lost. Bytes installed.
  u64 install(P& p, Operation<P>& op)
  {
    u64 bytes = 0;
    for (u32 i = 0; i < count_; ++i) {
      const Move& m = moves_[i];
      const Level level = m.entry.level;
      const bool copy_on_write = software::read_moving(m.moving).copy_on_write;
      if (!copy_on_write && frame_is_held(p, m.from, level)) {
        (void)cancel_move(p, m.entry, m.moving);
        p.discard_frame(m.to, level);
        continue;
      }
      p.copy_frame(SyncPoint::copy, m.from, m.to, level);
      if (!p.compare_exchange(SyncPoint::install, m.entry, m.moving, m.leaf)) {
        p.discard_frame(m.to, level);
        continue;
      }
      p.carry(SyncPoint::carry, m.to, level);
      if (!copy_on_write) op.retire_frame(m.from, level);
      bytes += entry_bytes<PrimaryFormat>(level);
    }
    return bytes;
  }

  MoveToken<P> token;

 private:
  std::array<Move, 16> moves_{};
  u32 count_ = 0;
};

// Takes one leaf away and adds it to the batch, or looks again if the entry changed. no_memory, busy (no token).
template <Platform P>
Expected<Visit> begin_move(P& p, Operation<P>& op, MoveBatch<P>& batch, const EntryRef& e, u64 word)
{
  using F = PrimaryFormat;
  const bool helps = F::kind(word, e.level) == EntryKind::moving;  // another's break of the same copy
  if (helps && !batch.token.share(e, word)) return Visit::again;
  if (!helps && !batch.token.take()) return Error::busy;
  const auto to = p.allocate_frame(e.level);
  if (!to) return to.error();
  u64 moving = word;
  if (!helps) {
    moving = moving_of_leaf(word, e.level, batch.token.number());
    if (!p.compare_exchange(SyncPoint::change, e, word, moving)) {
      p.discard_frame(*to, e.level);
      return Visit::again;
    }
    op.replaced_in_primary(e, word);
  } else {
    op.replaced_in_primary(e, leaf_of_moving(word, e.level));
  }
  const software::Moving m = software::read_moving(moving);
  batch.add({e, moving, m.frame, *to, F::make_leaf(*to, e.level, {m.rights, true, true})});
  return Visit::next;
}

}  // namespace detail

// Moves the pages of `range` to new frames. Holes, pages that still belong to the base of a clone, and frames that
// somebody outside the protocol holds, stay as they are. Returns the pages moved; a page that somebody else changed
// meanwhile is not among them. unaligned,
// out_of_range, invalid (empty), frozen, no_memory (what was moved stays moved), busy (likewise; max_moves others move
// pages of the object at once), corrupt.
template <Platform P>
Expected<u64> migrate(P& p, Object& object, Range range)
{
  using F = PrimaryFormat;
  if (const Status s = check_range(p, object, range, 0); !s) return s.error();
  u64 moved = 0;
  for (Range rest = range; !rest.empty();) {
    const ChangeSection section(p, object);
    if (section.frozen()) return Error::frozen;
    Operation<P> op(p, object, rest, section.inside());
    detail::MoveBatch<P> batch(p, object);
    u64 reached = rest.end;
    const auto take = [&](const EntryRef& e, u64 word, EntryKind kind) -> Expected<Visit> {
      const bool whole = range.contains(range_of<F>(e));
      if (kind == EntryKind::hole) return Visit::next;
      if (kind == EntryKind::moving) return whole ? Visit::next : cancel_move(p, e, word);  // somebody else moves it
      if (is_copy_on_write(word)) return Visit::next;
      if (!whole) return split_leaf(p, op, e, word);
      if (frame_is_held(p, F::address(word, e.level), e.level)) return Visit::next;
      if (batch.full()) return reached = e.offset, Visit::stop;
      return detail::begin_move(p, op, batch, e, word);
    };
    const Error error = change_entries(p, object, rest, take);
    op.narrow({rest.start, reached});
    op.synchronise();
    moved += batch.install(p, op);
    op.complete();
    if (error != Error::none) return error;
    rest.start = reached;
  }
  return moved >> page_lg2;
}

enum class BreakOutcome : u8 {
  writable,  // it was already
  copied,    // the object has a frame of its own now
};

// Makes the 4-KiB page at `offset` writable if its holder may write it: what an access asks for that met a page of the
// base. A large leaf is split: only the page written is copied. needs_populate, access_denied (the holder may not
// write), out_of_range, frozen, no_memory, corrupt. busy: somebody put the leaf back meanwhile (cancel_move), or
// max_moves others are at such work in this object, and the access is tried again. To begin again here would not be
// lock-free (I5): a filler that cancels and a breaker that begins again can keep each other from coming to an end.
template <Platform P>
Expected<BreakOutcome> break_copy(P& p, Object& object, u64 offset)
{
  using F = PrimaryFormat;
  const Range page{align_down(offset, page_bytes), align_down(offset, page_bytes) + page_bytes};
  if (const Status s = check_range(p, object, page, 0); !s) return s.error();
  for (bool tried = false;; tried = true) {
    const ChangeSection section(p, object);
    if (section.frozen()) return Error::frozen;
    Operation<P> op(p, object, page, section.inside());
    detail::MoveBatch<P> batch(p, object);
    bool writable = false;
    const auto take = [&](const EntryRef& e, u64 word, EntryKind kind) -> Expected<Visit> {
      if (kind == EntryKind::hole) return Error::needs_populate;
      if (kind == EntryKind::moving && (e.level > 0 || !software::read_moving(word).copy_on_write))
        return cancel_move(p, e, word);
      if (kind == EntryKind::leaf) {
        writable = F::access(word, e.level).write();
        if (writable) return Visit::stop;
        if (!granted(word, e.level).write()) return Error::access_denied;
        if (e.level > 0) return split_leaf(p, op, e, word);
      }
      if (tried) return Error::busy;  // another break is a success, a cancelled one is not
      return detail::begin_move(p, op, batch, e, word);
    };
    const Error error = change_entries(p, object, page, take);
    op.synchronise();
    const bool installed = batch.install(p, op) != 0;
    op.complete();
    if (error != Error::none) return error;
    if (writable) return BreakOutcome::writable;
    if (installed) return BreakOutcome::copied;
  }
}

}  // namespace morsel
