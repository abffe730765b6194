// SPDX-License-Identifier: GPL-2.0-or-later
//
// The platform of an actor under exploration: it pauses before every shared access. Without an actor it is quiet, for
// setting the stage and for looking.
//
// Whatever an actor learns from outside goes through observe(): a state is told from others by it. The fault plan is
// asked at every access, once it is its turn.
#pragma once
#include <cstring>

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
    const FaultRule* const rule = pause({.access = Access::enter, .point = SyncPoint::enter});
    if (!drops(rule)) world_.enter(number_);
  }
  void leave()
  {
    pause({.access = Access::leave, .point = SyncPoint::leave});
    for (u32 i = 0; i < later_count_; ++i)  // what nothing made happen happens now
      if (later_[i].until != SyncPoint::leave) later_[i].until = SyncPoint::enter;
    do_later(SyncPoint::enter);
    world_.leave(number_);
    do_later(SyncPoint::leave);
  }
  // Goes on from the second pause when everybody who is inside now has left: until then it cannot be chosen.
  void wait_for_grace_period(SyncPoint at)
  {
    if (drops(pause({.access = Access::begin_wait, .point = at}))) return;
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
    if (!actor_) return *e.word;
    const FaultRule* const rule = pause({.access = Access::load, .point = at, .entry = e});
    world_.check_in_table(e.word);
    u64 value = drops(rule) ? 0 : current(e);
    if (world_.has_faults()) value = remembered(e.word, value, twist_of(rule));
    actor_->state.before = actor_->state.after = value;
    actor_->observe(value);
    return value;
  }
  void store_private(SyncPoint, const EntryRef& e, u64 word) { *e.word = word; }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    const PendingStep step{.access = Access::exchange, .point = at, .entry = e, .desired = desired};
    const FaultRule* const rule = pause(step);
    if (actor_) world_.check_in_table(e.word);
    const u64 before = current(e);
    change(rule, step, before, desired);
    observe(before);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    const PendingStep step{
        .access = Access::compare_exchange, .point = at, .entry = e, .expected = expected, .desired = desired};
    const FaultRule* const rule = pause(step);
    if (actor_) world_.check_in_table(e.word);
    const u64 before = current(e);
    const bool stores = before == expected || twist_of(rule) == Twist::blind;
    change(rule, step, before, stores ? desired : before);
    observe(stores);
    return stores;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
  {
    const PendingStep step{.access = Access::add, .point = at, .entry = {nullptr, 0, tree, 0}, .where = &counter};
    finish(pause(step), {.step = step, .value = static_cast<u64>(delta), .target = &counter});
  }
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    const FaultRule* const rule =
        pause({.access = Access::read, .point = at, .entry = {nullptr, 0, tree, 0}, .where = &counter});
    const u32 value = drops(rule) ? 0 : counter.value;
    observe(value);
    return value;
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    pause({.access = Access::read, .point = at, .where = &word});
    observe(word);
    return word;
  }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    const PendingStep step{.access = Access::store, .point = at, .where = &word};
    finish(pause(step), {.step = step, .value = value, .target = &word});
  }
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    void* const value = drops(pause({.access = Access::read, .point = at, .where = &slot})) ? nullptr : slot;
    observe(value != nullptr);  // a slot only ever holds the one view of its number
    return value;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value)
  {
    const PendingStep step{.access = Access::store, .point = at, .where = &slot};
    finish(pause(step), {.step = step, .value = reinterpret_cast<u64>(value), .target = &slot});
  }
  void flush(SyncPoint at, const FlushRequest& request)
  {
    if (!actor_) return world_.forget(request.tree);
    PendingStep step{.access = Access::begin_flush, .point = at};
    step.entry = {nullptr, request.range.start, request.tree, 0};
    const FaultRule* const rule = pause(step);
    if (drops(rule) || twist_of(rule) == Twist::late) return finish(rule, {.step = step, .request = request});
    const auto pointers = twist_of(rule) == Twist::leaf ? Hardware::Pointers::kept : Hardware::Pointers::forgotten;
    world_.begin_flush(number_, request.tree);
    step.access = Access::end_flush;
    actor_->pause(step);
    world_.end_flush(number_, request, pointers);
    do_later(at);
  }
  void carry(SyncPoint at, PhysAddr frame, Level level)
  {
    const PendingStep step{.access = Access::carry, .point = at};
    finish(pause(step), {.step = step, .frame = frame, .level = level});
  }
  bool is_dirty(PhysAddr frame)
  {
    pause({.access = Access::take_dirty, .point = SyncPoint::report});
    const bool dirty = world_.memory.flags_of(frame) & PageFlags::carried_log;
    observe(dirty);
    return dirty;
  }
  bool take_dirty(SyncPoint at, PhysAddr frame)
  {
    pause({.access = Access::take_dirty, .point = at});
    const bool dirty = world_.take_dirty(frame);
    observe(dirty);
    return dirty;
  }
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
  {
    if (!drops(pause({.access = Access::copy, .point = at}))) world_.copy_frame(from, to, level);
    do_later(at);
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
    const PendingStep step{.access = Access::retire, .point = at, .list = retired.list};
    const FaultRule* const rule = pause(step);
    retired.list = 0;
    finish(rule, {.step = step});
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
    const SyncPoint at = attached ? SyncPoint::attach : SyncPoint::detach;
    pause({.access = Access::attach, .point = at, .entry = {nullptr, 0, tree, 0}});
    world_.attach(tree, attached);
    do_later(at);
  }

 private:
  // An access with all that it needs, for one that comes late.
  struct Doing {
    PendingStep step{};
    u64 value = 0;           // what a counter is changed by, or what is stored
    void* target = nullptr;  // the counter, word or pointer
    FlushRequest request{};
    PhysAddr frame{};
    Level level = 0;
    SyncPoint until = SyncPoint::leave;
  };

  static bool drops(const FaultRule* rule) { return rule && rule->action == MORSEL_FAULT_DROP; }
  static Twist twist_of(const FaultRule* rule) { return rule ? rule->twist : Twist::none; }

  // Until it is the actor's turn to do what it announces. The rule of the fault plan that applies to it, if any.
  // Everything but a load waits until the actor's own stores are seen (x86-TSO: a locked instruction); change() sees
  // to changes of entries.
  const FaultRule* pause(const PendingStep& next)
  {
    if (!actor_) return nullptr;
    actor_->pause(next);
    if (next.access != Access::load && next.access != Access::exchange && next.access != Access::compare_exchange &&
        next.access != Access::read)
      world_.drain(number_);
    return world_.has_faults() ? world_.fault(next.point, next.entry.tree, number_) : nullptr;
  }
  bool fails(TreeId tree)
  {
    if (!actor_ || !world_.has_faults()) return false;
    const FaultRule* const rule = world_.fault(SyncPoint::alloc, tree, number_);
    const bool failed = rule && rule->action == MORSEL_FAULT_FAIL;
    observe(failed);
    return failed;
  }
  // What the actor sees in the entry: its own delayed store, if there is one.
  u64 current(const EntryRef& e) const
  {
    const u64* const own = world_.delayed(number_, e.word);
    return own ? *own : *e.word;
  }
  void change(const FaultRule* rule, const PendingStep& step, u64 before, u64 desired)
  {
    if (twist_of(rule) == Twist::unmarked && software::is_reserved(desired)) desired &= ~software::stale_bit;
    if (actor_) {
      actor_->state.before = before;
      actor_->state.after = drops(rule) ? before : desired;
    }
    if (twist_of(rule) == Twist::plain && before != desired) {
      world_.delay(number_, step.entry, desired);
    } else {
      world_.drain(number_);
      if (twist_of(rule) == Twist::late && before != desired) return put_off(rule, {.step = step});
      if (!drops(rule)) world_.write_entry(step.entry, desired);
    }
    do_later(step.point);
  }
  // An access that gives the actor nothing.
  void finish(const FaultRule* rule, const Doing& doing)
  {
    if (twist_of(rule) == Twist::late) return put_off(rule, doing);
    if (!drops(rule)) carry_out(doing);
    do_later(doing.step.point);
  }

  void put_off(const FaultRule* rule, const Doing& doing)
  {
    if (later_count_ == later_.size()) return carry_out(doing);
    later_[later_count_] = doing;
    later_[later_count_++].until = rule->until;
  }
  void do_later(SyncPoint at)
  {
    for (u32 i = 0; i < later_count_;) {
      if (later_[i].until != at) {
        ++i;
        continue;
      }
      const Doing doing = later_[i];
      later_[i] = later_[--later_count_];
      actor_->pause(doing.step);
      carry_out(doing);
    }
  }
  void carry_out(const Doing& d)
  {
    switch (d.step.access) {
      case Access::exchange: world_.write_entry(d.step.entry, d.step.desired); break;
      case Access::compare_exchange:
        if (*d.step.entry.word == d.step.expected) world_.write_entry(d.step.entry, d.step.desired);
        break;
      case Access::add: static_cast<Counter*>(d.target)->value += static_cast<u32>(d.value); break;
      case Access::store: std::memcpy(d.target, &d.value, sizeof d.value); break;
      case Access::begin_flush:
        world_.begin_flush(number_, d.request.tree);
        actor_->pause({.access = Access::end_flush, .point = d.step.point, .entry = d.step.entry});
        world_.end_flush(number_, d.request, Hardware::Pointers::forgotten);
        break;
      case Access::carry: world_.carry(d.frame, d.level); break;
      case Access::retire: world_.retire(d.step.list); break;
      default: break;
    }
  }

  // Twist::old: what the actor saw in this entry before.
  u64 remembered(const u64* word, u64 value, Twist twist)
  {
    for (Seen& s : seen_)
      if (s.word == word) return twist == Twist::old ? s.value : s.value = value;
    seen_[next_seen_++ % seen_.size()] = {word, value};
    return value;
  }

  struct Seen {
    const u64* word = nullptr;
    u64 value = 0;
  };

  ExploredWorld& world_;
  const u32 number_;
  Actor* const actor_;
  std::array<Doing, 3> later_{};
  u32 later_count_ = 0;
  std::array<Seen, 12> seen_{};
  u32 next_seen_ = 0;
};
static_assert(Platform<ExploredPlatform>);

}  // namespace morsel::sim
