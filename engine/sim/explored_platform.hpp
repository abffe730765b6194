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
    whens_ = bit_of(When::always) | bit_of(When::idle) | bit_of(When::kept);
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
    if (actor_) actor_->pause({.access = Access::end_wait, .point = at});
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
  void discard_frame(PhysAddr frame, Level level)
  {
    world_.forget_writes(frame, level);  // a copy that was not used
    world_.free_frame(frame, level);
  }

  u64 load(SyncPoint at, const EntryRef& e)
  {
    if (!actor_) return *e.word;
    const FaultRule* const rule = pause({.access = Access::load, .point = at, .entry = e});
    world_.check_in_table(e.word);
    u64 value = drops(rule) ? 0 : current(e);
    if (world_.has_faults()) value = twisted(e, value, twist_of(rule));
    actor_->state.before = actor_->state.after = value;
    actor_->observe(value);
    do_later(at);
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
    if (e.tree != primary_tree) took(e, before);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    const PendingStep step{
        .access = Access::compare_exchange, .point = at, .entry = e, .expected = expected, .desired = desired};
    const FaultRule* const rule = pause(step);
    if (actor_) world_.check_in_table(e.word);
    const u64 before = current(e);
    if (expected == 0 && before != 0 && hidden_.word == e.word && hidden_.value == before) {
      expected = before;
      if (software::is_stale(before) && software::is_reserved(desired)) desired |= software::stale_bit;
    }
    const bool stores = before == expected || twist_of(rule) == Twist::blind;
    change(rule, step, before, stores ? desired : before);
    observe(stores);
    if (stores && at == SyncPoint::invalidate) took(e, before);
    if (actor_ && stores && at == SyncPoint::publish && *e.word == desired) world_.published(number_, e);
    return stores;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
  {
    const PendingStep step{.access = Access::add, .point = at, .entry = {nullptr, 0, tree, 0}, .where = &counter};
    const FaultRule* const rule = pause(step);
    const auto change = static_cast<u32>(delta);
    if (twist_of(rule) == Twist::alone || (own_count_.counter == &counter && own_count_.value + change == 0)) {
      own_count_ = {&counter, (own_count_.counter == &counter ? own_count_.value : 0) + change};
      return;
    }
    for (Count& early : early_)
      if (early.counter == &counter) early.value += change;
    finish(rule, {.step = step, .value = static_cast<u64>(delta), .target = &counter});
  }
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    const FaultRule* const rule =
        pause({.access = Access::read, .point = at, .entry = {nullptr, 0, tree, 0}, .where = &counter});
    u32 value = drops(rule) ? 0 : counter.value;
    if (own_count_.counter == &counter) value += own_count_.value;
    if (twist_of(rule) == Twist::early)
      for (const Count& early : early_)
        if (early.counter == &counter) value = early.value;
    observe(value);
    return value;
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    const FaultRule* const rule = pause({.access = Access::read, .point = at, .where = &word});
    u64 value = drops(rule) ? 0 : word;
    if (actor_ && world_.has_faults()) value = remembered(&word, value, twist_of(rule));
    observe(value);
    if (actor_ && world_.looks_early(at)) look_early();
    return value;
  }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    const PendingStep step{.access = Access::store, .point = at, .where = &word};
    finish(pause(step), {.step = step, .value = value, .target = &word});
  }
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    const FaultRule* const rule = pause({.access = Access::read, .point = at, .where = &slot});
    void* value = drops(rule) ? nullptr : slot;
    if (twist_of(rule) == Twist::ahead && !slot) value = unlisted(slot);
    observe(value != nullptr);  // a slot only ever holds the one view of its number
    return value;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value)
  {
    const PendingStep step{.access = Access::store, .point = at, .where = &slot};
    finish(pause(step), {.step = step, .value = reinterpret_cast<u64>(value), .target = &slot});
  }
  void flush(SyncPoint at, const FlushRequest& asked)
  {
    if (!actor_) return world_.forget(asked.tree);
    PendingStep step{.access = Access::begin_flush, .point = at};
    step.entry = {nullptr, asked.range.start, asked.tree, 0};
    const FaultRule* const rule = pause(step);
    FlushRequest request = asked;
    if (twist_of(rule) == Twist::asked)
      request.range = intersect(request.range, range_of(world_.scenario.actors[number_ - 1]));
    if (drops(rule) || twist_of(rule) == Twist::late) return finish(rule, {.step = step, .request = request});
    const auto pointers = twist_of(rule) == Twist::leaf ? Hardware::Pointers::kept : Hardware::Pointers::forgotten;
    flush_cores(step, request, pointers);
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
    const FaultRule* const rule = pause({.access = Access::take_dirty, .point = at});
    const bool dirty = world_.take_dirty(frame);
    if (twist_of(rule) == Twist::both) world_.memory.set_flags(frame, 0, PageFlags::carried_back);
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
    Doing doing{.step = step};
    if (twist_of(rule) == Twist::swept) doing.step.list = world_.sweep(step.list);
    finish(rule, doing);
  }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { world_.free_table(table, order); }
  void free_frame(PhysAddr frame, Level level) { world_.free_frame(frame, level); }
  u64 token() { return world_.token(number_); }

  // Points that are not the engine's. look(): an act may read anything of the world until its next point.
  void look() { pause({.access = Access::look, .point = SyncPoint::load}); }
  void hardware_write(TreeId tree, u64 page)
  {
    pause({.access = Access::hardware_write, .point = SyncPoint::harvest, .entry = {nullptr, page, tree, 0}});
    world_.write(number_, tree, page);
  }
  void hardware_read(TreeId tree, u64 page)
  {
    pause({.access = Access::hardware_read, .point = SyncPoint::harvest, .entry = {nullptr, page, tree, 0}});
    world_.read(number_, tree, page);
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
  struct Seen {
    const u64* word = nullptr;
    u64 value = 0;
  };
  struct Count {
    const Counter* counter = nullptr;
    u32 value = 0;
  };

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
    return world_.has_faults() ? world_.fault(next.point, next.entry.tree, number_, whens_) : nullptr;
  }
  bool fails(TreeId tree)
  {
    if (!actor_ || !world_.has_faults()) return false;
    const FaultRule* const rule = world_.fault(SyncPoint::alloc, tree, number_, whens_);
    const bool failed = rule && rule->action == MORSEL_FAULT_FAIL;
    observe(failed);
    return failed;
  }
  // What the actor sees in the entry: its own delayed store, if there is one.
  u64 current(const EntryRef& e) const
  {
    if (own_word_.word == e.word && *e.word == own_before_) return own_word_.value;
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
    if (twist_of(rule) == Twist::clean) desired = without_dirty_bit(step.entry, desired);
    if (before != desired && step.entry.tree != primary_tree) stored(step.entry, desired);
    if (before != desired && step.entry.tree == primary_tree) whens_ &= static_cast<u8>(~bit_of(When::idle));
    if (twist_of(rule) == Twist::alone && before != desired) {
      own_before_ = *step.entry.word;
      own_word_ = {step.entry.word, desired};
    } else if (twist_of(rule) == Twist::plain && before != desired) {
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
        flush_cores(d.step, d.request, Hardware::Pointers::forgotten);
        break;
      case Access::carry: world_.carry(d.frame, d.level); break;
      case Access::retire: world_.retire(d.step.list); break;
      default: break;
    }
  }

  void flush_cores(PendingStep step, const FlushRequest& request, Hardware::Pointers pointers)
  {
    world_.begin_flush(number_, request.tree);
    step.access = Access::end_flush;
    for (u32 turn = 0; turn < world_.cores_reached(); ++turn) {
      actor_->pause(step);
      world_.end_flush(number_, turn, request, pointers);
    }
  }

  // What the actor took from a view: conditions of rules.
  void took(const EntryRef& e, u64 word)
  {
    const FormatId format = world_.tree(e.tree).format;
    const bool table = AllFormats::dispatch(
        format, false, [&]<class F>() { return F::kind(word, e.level) == EntryKind::table; });
    whens_ &= static_cast<u8>(~(bit_of(When::reserved) | bit_of(When::stale) | (table ? bit_of(When::kept) : 0)));
    if (software::is_reserved(word)) whens_ |= bit_of(software::is_stale(word) ? When::stale : When::reserved);
  }
  void stored(const EntryRef& e, u64 word)
  {
    whens_ &= static_cast<u8>(~bit_of(When::dirty));
    if (without_dirty_bit(e, word) != word) whens_ |= bit_of(When::dirty);
  }
  u64 without_dirty_bit(const EntryRef& e, u64 word) const
  {
    return AllFormats::dispatch(world_.tree(e.tree).format, word, [&]<class F>() {
      return F::kind(word, e.level) == EntryKind::leaf ? word & ~F::dirty_bit : word;
    });
  }
  // A load of an entry under a fault plan.
  u64 twisted(const EntryRef& e, u64 value, Twist twist)
  {
    value = remembered(e.word, value, twist);
    if (twist == Twist::hidden && software::is_reserved(value)) {
      hidden_ = {e.word, value};
      return 0;
    }
    using F = PrimaryFormat;
    if (twist != Twist::wide || F::kind(value, e.level) != EntryKind::table) return value;
    const auto below = static_cast<Level>(e.level - 1);
    const u64 first = *world_.memory.words(F::address(value, e.level));
    if (F::kind(first, below) != EntryKind::leaf) return value;
    return F::make_leaf(F::address(first, below), e.level, {F::access(first, below), true, false});
  }
  // Twist::early: every pending count as it is now.
  void look_early()
  {
    u32 count = 0;
    for (TreeId id = 0; id <= max_views && count < early_.size(); ++id) {
      if (!world_.core.exists[id]) continue;
      const Counter& pending = world_.tree(id).pending;
      const EntryRef about{nullptr, 0, id, 0};
      pause({.access = Access::read, .point = SyncPoint::read_pending, .entry = about, .where = &pending});
      observe(pending.value);
      early_[count++] = {&pending, pending.value};
    }
  }
  // Twist::ahead: the view of this slot, if it has a tree already.
  void* unlisted(void* const& slot)
  {
    const auto id = static_cast<TreeId>(&slot - world_.object().views.data() + 1);
    return world_.core.exists[id] && world_.view(id).tree.root != PhysAddr{} ? &world_.view(id) : nullptr;
  }

  // Twist::old: what the actor saw in this entry or word before.
  u64 remembered(const u64* word, u64 value, Twist twist)
  {
    for (Seen& s : seen_)
      if (s.word == word) return twist == Twist::old ? s.value : s.value = value;
    seen_[next_seen_++ % seen_.size()] = {word, value};
    return value;
  }

  ExploredWorld& world_;
  const u32 number_;
  Actor* const actor_;
  std::array<Doing, 3> later_{};
  u32 later_count_ = 0;
  std::array<Seen, 12> seen_{};
  u32 next_seen_ = 0;
  u8 whens_ = bit_of(When::always) | bit_of(When::idle) | bit_of(When::kept);
  Seen hidden_;           // Twist::hidden: the reservation that the actor took for a hole
  Seen own_word_;         // Twist::alone: what the actor alone sees, while the entry is
  u64 own_before_ = 0;    //   this
  Count own_count_;       // Twist::alone: what the actor alone counts
  std::array<Count, 4> early_{};
};
static_assert(Platform<ExploredPlatform>);

}  // namespace morsel::sim
