// SPDX-License-Identifier: GPL-2.0-or-later
//
// The platform of an actor under exploration: it pauses before every shared access. Without an actor it is quiet, for
// setting the stage and for looking.
//
// Whatever an actor learns from outside goes through observe(): a state is told from others by it.
#pragma once
#include "engine/sim/actor.hpp"
#include "engine/sim/explored_world.hpp"

namespace morsel::sim {

class ExploredPlatform {
 public:
  // A list of what was unlinked lives in the world, so that an actor's stack owns nothing.
  struct Retired {
    u32 list = 0;
  };

  explicit ExploredPlatform(ExploredWorld& world, u32 number = 0, Actor* actor = nullptr)
      : world_(world), number_(number), actor_(actor)
  {
  }

  // A value from outside that the actor goes on with.
  void observe(u64 value)
  {
    if (actor_) actor_->observe(value);
  }

  void enter()
  {
    pause({.access = Access::enter, .point = SyncPoint::enter});
    world_.enter(number_);
  }
  void leave()
  {
    pause({.access = Access::leave, .point = SyncPoint::leave});
    world_.leave(number_);
  }
  // Goes on from the second pause when everybody who is inside now has left: until then it cannot be chosen.
  void wait_for_grace_period(SyncPoint at)
  {
    pause({.access = Access::begin_wait, .point = at});
    if (fault(at, primary_tree) == MORSEL_FAULT_DROP) return;
    world_.begin_wait(number_);
    pause({.access = Access::end_wait, .point = at});
  }

  Expected<PhysAddr> allocate_table(TreeId tree, Level, u32 order = 0)
  {
    if (fails(tree)) return Error::no_memory;
    return world_.memory.allocate_table(number_, order);
  }
  void discard_table(TreeId, Level, PhysAddr table) { world_.free_table(table, 0); }
  u64* words(PhysAddr table) { return world_.table_words(table); }
  Expected<PhysAddr> allocate_frame(Level level)
  {
    if (fails(primary_tree)) return Error::no_memory;
    return world_.memory.allocate_frame(number_, level);
  }
  void discard_frame(PhysAddr frame, Level level) { world_.free_frame(frame, level); }

  u64 load(SyncPoint at, const EntryRef& e)
  {
    if (actor_) {
      pause({.access = Access::load, .point = at, .entry = e});
      world_.check_in_table(e.word);
    }
    return saw(e);
  }
  void store_private(SyncPoint, const EntryRef& e, u64 word) { *e.word = word; }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    pause({.access = Access::exchange, .point = at, .entry = e, .desired = desired});
    world_.check_in_table(e.word);
    const u64 before = current(e);
    change(at, e, before, desired);
    if (actor_) actor_->observe(before);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    pause({.access = Access::compare_exchange, .point = at, .entry = e, .expected = expected, .desired = desired});
    world_.check_in_table(e.word);
    const u64 before = current(e);
    change(at, e, before, before == expected ? desired : before);
    if (actor_) actor_->observe(before == expected);
    return before == expected;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
  {
    pause({.access = Access::add, .point = at, .entry = {nullptr, 0, tree, 0}, .where = &counter});
    if (fault(at, tree) != MORSEL_FAULT_DROP) counter.value += static_cast<u32>(delta);
  }
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    pause({.access = Access::read, .point = at, .entry = {nullptr, 0, tree, 0}, .where = &counter});
    const u32 value = fault(at, tree) == MORSEL_FAULT_DROP ? 0 : counter.value;
    if (actor_) actor_->observe(value);
    return value;
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    pause({.access = Access::read, .point = at, .where = &word});
    if (actor_) actor_->observe(word);
    return word;
  }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    pause({.access = Access::store, .point = at, .where = &word});
    word = value;
  }
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    pause({.access = Access::read, .point = at, .where = &slot});
    if (actor_) actor_->observe(slot != nullptr);  // a slot only ever holds the one view of its number
    return slot;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value)
  {
    pause({.access = Access::store, .point = at, .where = &slot});
    slot = value;
  }
  void flush(SyncPoint at, const FlushRequest& request)
  {
    const EntryRef about{nullptr, request.range.start, request.tree, 0};
    pause({.access = Access::begin_flush, .point = at, .entry = about});
    if (!actor_) return world_.forget(request.tree);
    if (fault(at, request.tree) == MORSEL_FAULT_DROP) return;
    world_.begin_flush(number_, request.tree);
    pause({.access = Access::end_flush, .point = at, .entry = about});
    world_.end_flush(number_, request);
  }
  void carry(SyncPoint at, PhysAddr frame, Level level)
  {
    pause({.access = Access::carry, .point = at});
    if (fault(at, primary_tree) != MORSEL_FAULT_DROP) world_.carry(frame, level);
  }
  bool is_dirty(PhysAddr frame)
  {
    pause({.access = Access::take_dirty, .point = SyncPoint::report});
    const bool dirty = world_.memory.flags_of(frame) & PageFlags::carried_log;
    if (actor_) actor_->observe(dirty);
    return dirty;
  }
  bool take_dirty(SyncPoint at, PhysAddr frame)
  {
    pause({.access = Access::take_dirty, .point = at});
    const bool dirty = world_.take_dirty(frame);
    if (actor_) actor_->observe(dirty);
    return dirty;
  }
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
  {
    pause({.access = Access::copy, .point = at});
    if (fault(at, primary_tree) != MORSEL_FAULT_DROP) world_.copy_frame(from, to, level);
  }

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
  {
    retired.list = world_.note(retired.list, RetiredTable{tree, world_.tree(tree).format, level, table});
  }
  void note_frame(Retired& retired, PhysAddr frame, Level level)
  {
    retired.list = world_.note(retired.list, frame, level);
  }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    world_.for_each_table(retired.list, [&](const RetiredTable& t) { visit(t.tree, t.level, t.table); });
  }
  void retire(SyncPoint at, Retired& retired)
  {
    pause({.access = Access::retire, .point = at, .list = retired.list});
    world_.retire(retired.list);
    retired.list = 0;
  }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { world_.free_table(table, order); }
  void free_frame(PhysAddr frame, Level level) { world_.free_frame(frame, level); }
  u64 token() { return world_.token(number_); }

  // Points that are not the engine's. look(): an act may read anything of the world until its next point.
  void look() { pause({.access = Access::look, .point = SyncPoint::load}); }
  void hardware_write(TreeId tree, u64 page)
  {
    pause({.access = Access::hardware_write, .point = SyncPoint::harvest, .entry = {nullptr, page, tree, 0}});
    world_.write(tree, page);
  }
  void attach(TreeId tree, bool attached)
  {
    pause({.access = Access::attach,
           .point = attached ? SyncPoint::attach : SyncPoint::detach,
           .entry = {nullptr, 0, tree, 0}});
    world_.attach(tree, attached);
  }

 private:
  // Everything but a load waits until the actor's own stores are seen (x86-TSO: a locked instruction); change() sees
  // to changes of entries.
  void pause(const PendingStep& next)
  {
    if (!actor_) return;
    actor_->pause(next);
    if (next.access != Access::load && next.access != Access::exchange && next.access != Access::compare_exchange &&
        next.access != Access::read)
      world_.drain(number_);
  }
  morsel_fault_action fault(SyncPoint at, TreeId tree)
  {
    const FaultRule* const rule = actor_ ? world_.fault(at, tree) : nullptr;
    return rule ? rule->action : MORSEL_FAULT_NONE;
  }
  bool fails(TreeId tree)
  {
    const bool failed = fault(SyncPoint::alloc, tree) == MORSEL_FAULT_FAIL;
    if (actor_) actor_->observe(failed);
    return failed;
  }
  // What the actor sees in the entry: its own delayed store, if there is one.
  u64 current(const EntryRef& e) const
  {
    const u64* const own = world_.delayed(number_, e.word);
    return own ? *own : *e.word;
  }
  u64 saw(const EntryRef& e)
  {
    const u64 value = current(e);
    if (!actor_) return value;
    actor_->state.before = actor_->state.after = value;
    actor_->observe(value);
    return value;
  }
  void change(SyncPoint at, const EntryRef& e, u64 before, u64 desired)
  {
    const FaultRule* const rule = actor_ ? world_.fault(at, e.tree) : nullptr;
    if (rule && rule->plain_store && before != desired)
      world_.delay(number_, e, desired);
    else {
      world_.drain(number_);
      if (!rule || rule->action != MORSEL_FAULT_DROP) world_.write_entry(e, desired);
    }
    if (!actor_) return;
    actor_->state.before = before;
    actor_->state.after = rule && rule->action == MORSEL_FAULT_DROP ? before : desired;
  }

  ExploredWorld& world_;
  const u32 number_;
  Actor* const actor_;
};
static_assert(Platform<ExploredPlatform>);

}  // namespace morsel::sim
