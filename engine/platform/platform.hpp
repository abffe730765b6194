// SPDX-License-Identifier: GPL-2.0-or-later
//
// The world as the engine sees it: memory for tables and frames, atomic accesses to entries, flushes, grace sections.
// Every shared access names its SyncPoint, so that a platform can step, record, fault or explore it; one that does not
// care ignores the name and pays nothing. A Platform value is one actor's door to one object: it is made for an
// operation and used by one thread.
//
// Memory order. All accesses are sequentially consistent: change, link, reserve and the loads of the walks that follow
// must be (I1; seq_cst read-modify-writes with acquire loads are not enough in C++). On x86 that is a plain load and a
// locked read-modify-write.
#pragma once
#include <concepts>

#include "engine/base/expected.hpp"
#include "engine/base/types.hpp"
#include "engine/platform/point.hpp"

namespace morsel {

// A tree of an object: 0 is the primary, views are numbered from 1.
using TreeId = u16;
inline constexpr TreeId primary_tree = 0;

// One entry: the word, and where it stands (for whoever observes). `offset` is the start of the span it covers.
struct EntryRef {
  u64* word = nullptr;
  u64 offset = 0;
  TreeId tree = primary_tree;
  Level level = 0;
};
// For functions that are called rarely and not inlined: as long as only copies leave a loop, the entry itself stays in
// registers there.
constexpr EntryRef copy_of(const EntryRef& e) { return {e.word, e.offset, e.tree, e.level}; }

// A shared counter of a tree: pending flushes, attachments.
struct Counter {
  u32 value = 0;
};

// Make every walker of `tree` forget `range`, cached table pointers included. It promises that what was cached before
// it began is gone when it has returned, in-flight accesses included.
struct FlushRequest {
  TreeId tree = primary_tree;
  Range range;
};

// The frames that leaves map, and their state.
template <class P>
concept FramePlatform = requires(P p, SyncPoint at, Level level, PhysAddr pa)
{
  // Frames: zeroed, naturally aligned, as large as a leaf at `level`.
  {
    p.allocate_frame(level)
    } -> std::same_as<Expected<PhysAddr>>;
  {p.discard_frame(pa, level)};  // one that was never mapped

  // What is known about their contents.
  {p.carry(at, pa, level)};  // this frame was written: for the dirty log and for the verdict at release
  {
    p.is_dirty(pa)
    } -> std::same_as<bool>;  // the dirty log's bit of a 4-KiB frame
  {
    p.take_dirty(at, pa)
    } -> std::same_as<bool>;  // the same, and clear it
  {p.copy_frame(at, pa, pa, level)};  // from, to
};

// What only some platforms have to say. A walker of their own sets accessed and dirty bits in the primary, also where
// no process may have it attached.
template <class P>
inline constexpr bool has_own_walker = requires
{
  P::own_walker;
};
// Somebody outside the protocol uses the frame itself (a pipe, a device): it must not move. Asked when nobody in the
// protocol can reach it any more.
template <class P>
bool frame_is_held(P& p, PhysAddr frame, Level level)
{
  if constexpr (requires { p.is_held(frame, level); })
    return p.is_held(frame, level);
  else
    return false;
}
// Frames that lie side by side can be given back as one of `level`.
template <class P>
bool frames_are_one(P& p, PhysAddr frame, Level level)
{
  if constexpr (requires { p.are_one(frame, level); })
    return p.are_one(frame, level);
  else
    return true;
}

template <class P>
concept Platform =
    FramePlatform<P> && requires(P p, SyncPoint at, EntryRef entry, u64 word, TreeId tree, Level level, u32 order,
                                 PhysAddr pa, Counter counter, FlushRequest request, typename P::Retired retired,
                                 int delta, void* slot)
{
  // Grace sections: nothing retired after `enter` is reused before `leave`. They do not nest.
  {p.enter()};
  {p.leave()};

  // Tables: zeroed, one page, or 2^order naturally aligned ones (the root of some formats). `words` of any table
  // reachable inside the section is valid.
  {
    p.allocate_table(tree, level)
    } -> std::same_as<Expected<PhysAddr>>;
  {
    p.allocate_table(tree, level, order)
    } -> std::same_as<Expected<PhysAddr>>;
  {p.discard_table(tree, level, pa)};  // one of one page that was never linked
  {
    p.words(pa)
    } -> std::same_as<u64*>;

  // One shared access each.
  {
    p.load(at, entry)
    } -> std::same_as<u64>;
  {
    p.exchange(at, entry, word)
    } -> std::same_as<u64>;
  {
    p.compare_exchange(at, entry, word, word)
    } -> std::same_as<bool>;  // expected, desired
  {p.store_private(at, entry, word)};  // a leaf of a new frame, in a table that nobody else can reach: a plain store
  {p.add(at, tree, counter, delta)};
  {
    p.read(at, tree, counter)
    } -> std::same_as<u32>;
  {
    p.load_word(at, word)
    } -> std::same_as<u64>;  // a word that is no entry: the size
  {p.store_word(at, word, word)};
  {
    p.load_pointer(at, slot)
    } -> std::same_as<void*>;  // a slot of the list of views
  {p.store_pointer(at, slot, slot)};
  {p.flush(at, request)};

  // Returns when everybody who was inside a section when it was called has left. Not called inside one. Where actors
  // can be killed, it returns whether that is so (wait_for_grace).
  {p.wait_for_grace_period(at)};

  // What an operation has unlinked, until its grace period is over. The platform keeps the list without allocating.
  {p.note_table(retired, tree, level, pa)};
  {p.note_frame(retired, pa, level)};
  {p.for_each_table(retired, [](TreeId, Level, PhysAddr) {})};
  {p.retire(at, retired)};  // after a grace period: release() each (engine/morsel/reclaim.hpp)

  // Tables and frames whose grace period is over (called by release()).
  {p.free_table(tree, level, pa, order)};
  {p.free_frame(pa, level)};

  // Unique among all reservations of this object's trees, at most software::max_token, never the same twice.
  {
    p.token()
    } -> std::same_as<u64>;
};

// Keeps a grace section for a scope.
template <class P>
class GraceSection {
 public:
  explicit GraceSection(P& platform) : platform_(platform) { platform_.enter(); }
  ~GraceSection() { platform_.leave(); }
  GraceSection(const GraceSection&) = delete;
  GraceSection& operator=(const GraceSection&) = delete;

 private:
  P& platform_;
};

// False: the actor is being killed, and nothing is over.
template <Platform P>
bool wait_for_grace(P& p)
{
  if constexpr (requires {
                  {
                    p.wait_for_grace_period(SyncPoint::grace)
                    } -> std::same_as<bool>;
                })
    return p.wait_for_grace_period(SyncPoint::grace);
  else
    return p.wait_for_grace_period(SyncPoint::grace), true;
}

}  // namespace morsel
