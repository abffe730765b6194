// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's platform in the kernel: pages for tables and frames, an SRCU domain for grace sections, interrupts to
// other CPUs for flushes, all by the C functions of engine/abi/engine_abi.h.
//
// Observation (tracepoints, journal, gate, injected faults) costs one patched-out jump for each access: the static key
// morsel_observed_key, which C owns and this file reads through the kernel's jump table. An observed access takes a way
// of its own, watch(): it waits at the gate, asks for a fault, and is done under the journal's lock, so that the order
// of the records is that of the accesses.
//
// Entries in tables that Linux walks too are changed under the table's split lock, because Linux updates accessed and
// dirty bits there by plain stores under it (kernel_exchange, kernel_compare_exchange).
#pragma once
#include "engine/abi/engine_abi.h"
#include "engine/abi/morsel_journal.h"
#include "engine/morsel/all.hpp"

extern "C" {
extern struct morsel_static_key morsel_observed_key;
}

namespace morsel {

// The kernel's static_branch_unlikely(): a 5-byte nop, and an entry that tells where to jump once the key is on.
[[gnu::always_inline]] inline bool observed()
{
#ifdef MORSEL_UNOBSERVED
  return false;
#endif
  asm goto(
      "1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\t"
      ".pushsection __jump_table, \"aw\"\n\t"
      ".balign 8\n\t"
      ".long 1b - ., %l[on] - .\n\t"
      ".quad %c0 - .\n\t"
      ".popsection\n\t"
      :
      : "i"(&morsel_observed_key)
      :
      : on);
  return false;
on:
  return true;
}

class KernelPlatform {
 public:
  using Retired = engine_retired;
  using Event = engine_point_event;
  static constexpr bool own_walker = true;

  explicit KernelPlatform(engine_actor* actor) : actor_(actor) {}
  ~KernelPlatform()
  {
    if (actor_->later) [[unlikely]]
      kernel_do_later(actor_);
  }
  KernelPlatform(const KernelPlatform&) = delete;
  KernelPlatform& operator=(const KernelPlatform&) = delete;

  void enter()
  {
    if (observed()) return watched_enter();
    kernel_enter(actor_);
  }
  void leave()
  {
    if (observed()) watch(event_of(SyncPoint::leave), [](Event&) {});
    kernel_leave(actor_);
  }

  Expected<PhysAddr> allocate_table(TreeId tree, Level level, u32 order = 0)
  {
    if (observed())
      return allocated(tree, level, MORSEL_RECORD_TABLE,
                       [=, this] { return kernel_allocate_table(actor_, tree, level, order); });
    return known(kernel_allocate_table(actor_, tree, level, order));
  }
  void discard_table(TreeId, Level, PhysAddr table) { kernel_free_table(actor_, table.value, 0); }
  void discard_table_later(TreeId, Level, PhysAddr table) { kernel_free_table_later(actor_, table.value); }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { kernel_free_table(actor_, table.value, order); }
  u64* words(PhysAddr table) { return reinterpret_cast<u64*>(kernel_words(table.value)); }

  Expected<PhysAddr> allocate_frame(Level level)
  {
    if (observed())
      return allocated(primary_tree, level, 0, [=, this] { return kernel_allocate_frame(actor_, level); });
    return known(kernel_allocate_frame(actor_, level));
  }
  void discard_frame(PhysAddr frame, Level level) { kernel_free_frame(actor_, frame.value, level); }
  void free_frame(PhysAddr frame, Level level) { kernel_free_frame(actor_, frame.value, level); }

  u64 load(SyncPoint at, const EntryRef& e)
  {
    if (observed()) return watched_load(at, copy_of(e));
    return __atomic_load_n(e.word, __ATOMIC_SEQ_CST);
  }
  void store_private(SyncPoint at, const EntryRef& e, u64 word)
  {
    kernel_place_frame(PrimaryFormat::address(word, e.level).value, e.offset);
    if (observed()) return watched_store(at, copy_of(e), word);
    *e.word = word;
  }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    const u64 before = observed() ? watched_exchange(at, copy_of(e), desired) : kernel_exchange(word_of(e), desired);
    left_primary(at, e, before);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    if ((at == SyncPoint::change && expected == 0) || at == SyncPoint::install)
      kernel_place_frame(PrimaryFormat::address(desired, e.level).value, e.offset);
    const bool done = observed() ? watched_compare_exchange(at, copy_of(e), expected, desired)
                                 : kernel_compare_exchange(word_of(e), expected, desired) != 0;
    if (done) left_primary(at, e, expected);
    return done;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
  {
    if (observed()) return watched_add(at, tree, counter, static_cast<u32>(delta));
    __atomic_add_fetch(&counter.value, static_cast<u32>(delta), __ATOMIC_SEQ_CST);
  }
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    if (observed()) return static_cast<u32>(watched_read(event_of(at, tree, ENGINE_READ_COUNTER, &counter.value)));
    return __atomic_load_n(&counter.value, __ATOMIC_SEQ_CST);
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    if (observed()) return watched_read(event_of(at, primary_tree, ENGINE_READ, &word));
    return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
  }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    if (!observed()) return __atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
    watch(event_of(at, primary_tree, ENGINE_STORE, &word, value), [&word, value](Event& event) {
      event.before = __atomic_exchange_n(&word, value, __ATOMIC_SEQ_CST);
      event.after = value;
    });
  }
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    void* value = nullptr;
    const auto access = [&](Event& event) {
      value = __atomic_load_n(&slot, __ATOMIC_SEQ_CST);
      event.before = event.after = value != nullptr;
    };
    if (!observed()) return __atomic_load_n(&slot, __ATOMIC_SEQ_CST);
    watch(event_of(at), access);
    return value;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value)
  {
    if (!observed()) return __atomic_store_n(&slot, value, __ATOMIC_SEQ_CST);
    watch(event_of(at), [&slot, value](Event& event) {
      event.before = __atomic_exchange_n(&slot, value, __ATOMIC_SEQ_CST) != nullptr;
      event.after = value != nullptr;
    });
  }

  void flush(SyncPoint at, const FlushRequest& request)
  {
    const auto& [tree, range] = request;
    if (observed()) return watched_flush(at, tree, range);
    kernel_flush(actor_, tree, range.start, range.end);
  }
  void carry(SyncPoint at, PhysAddr frame, Level level)
  {
    if (observed()) return watched_carry(at, frame, level);
    kernel_carry(actor_, frame.value, level);
  }

  bool is_dirty(PhysAddr frame) { return kernel_is_dirty(frame.value) != 0; }
  bool take_dirty(SyncPoint at, PhysAddr frame)
  {
    if (!observed()) return kernel_take_dirty(frame.value) != 0;
    bool dirty = false;
    watch(event_of(at), [&](Event& event) {
      dirty = kernel_take_dirty(frame.value) != 0;
      event.before = dirty;
      event.after = 0;
    });
    return dirty;
  }
  bool is_held(PhysAddr frame, Level) { return kernel_is_held(frame.value) != 0; }
  bool are_one(PhysAddr frame, Level level) { return level == 1 && kernel_is_one_frame(frame.value) != 0; }
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
  {
    if (observed()) return watched_copy(at, from, to, level);
    kernel_copy_frame(actor_, from.value, to.value, level);
  }
  bool wait_for_grace_period(SyncPoint at)
  {
    if (observed()) watch(event_of(at), [](Event&) {});
    return kernel_wait_for_grace_period(actor_) != 0;
  }

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
  {
    kernel_note_table(actor_, &retired, tree, level, table.value);
  }
  void note_frame(Retired& retired, PhysAddr frame, Level level) { kernel_note_frame(&retired, frame.value, level); }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    for (void* table = retired.tables; table;) {
      unsigned tree = 0, level = 0;
      engine_u64 pa = 0;
      table = kernel_next_table(table, &tree, &level, &pa);
      visit(static_cast<TreeId>(tree), static_cast<Level>(level), PhysAddr{pa});
    }
  }
  void retire(SyncPoint at, Retired& retired)
  {
    if (observed()) watch(event_of(at), [](Event&) {});
    kernel_retire(actor_, &retired);
  }

  u64 token() { return kernel_token(actor_); }

 private:
  static engine_u64* word_of(const EntryRef& e) { return reinterpret_cast<engine_u64*>(e.word); }

  // Pages of this frame may be mapped one by one in tables that are not ours.
  void left_primary(SyncPoint at, const EntryRef& e, u64 before)
  {
    if (at == SyncPoint::change && PrimaryFormat::kind(before, e.level) == EntryKind::leaf)
      kernel_leaf_changed(actor_, PrimaryFormat::address(before, e.level).value);
  }

  // ---- observed accesses ----

  static Event event_of(SyncPoint at, TreeId tree = primary_tree, unsigned access = ENGINE_OTHER,
                        const void* word = nullptr, u64 desired = 0)
  {
    Event event{};
    event.point = static_cast<unsigned>(at);
    event.tree = tree;
    event.access = access;
    event.word = word;
    event.after = desired;
    return event;
  }
  static Event event_of(SyncPoint at, const EntryRef& e, unsigned access, u64 desired = 0)
  {
    Event event = event_of(at, e.tree, access, e.word, desired);
    event.level = e.level;
    event.offset = e.offset;
    event.end = e.offset + entry_bytes<PrimaryFormat>(e.level);
    return event;
  }
  static Event event_of_frame(SyncPoint at, Level level, PhysAddr from, PhysAddr to)
  {
    Event event = event_of(at, primary_tree, ENGINE_OTHER, nullptr, to.value);
    event.level = level;
    event.before = from.value;
    return event;
  }

  [[gnu::noinline, gnu::cold]] void report(Event& event)
  {
    kernel_begin_record(&event);
    kernel_observe(actor_, &event);
  }
  // `access` must not sleep. It fills in `before` and `after`.
  template <class Access>
  [[gnu::noinline, gnu::cold]] void watch(Event&& event, Access&& access)
  {
    kernel_arrive(actor_, &event);
    kernel_begin_record(&event);
    access(event);
    kernel_observe(actor_, &event);
  }
  // One that may sleep: its record follows it.
  template <class Work>
  void perform(Event& event, Work&& work)
  {
    kernel_arrive(actor_, &event);
    if (!is_left_out(event)) work(event);
    report(event);
  }
  [[gnu::noinline, gnu::cold]] void watched_enter()
  {
    Event event = event_of(SyncPoint::enter);
    kernel_arrive(actor_, &event);
    kernel_enter(actor_);
    report(event);
  }
  // For now, or for good.
  static bool is_left_out(const Event& event)
  {
    return event.action == MORSEL_FAULT_DROP || event.action == MORSEL_FAULT_DELAY;
  }
  static void nothing_done(Event& event)
  {
    event.before = event.after = event.access == ENGINE_ADD
                                     ? __atomic_load_n(static_cast<const u32*>(event.word), __ATOMIC_SEQ_CST)
                                     : __atomic_load_n(static_cast<const u64*>(event.word), __ATOMIC_SEQ_CST);
  }

  [[gnu::noinline, gnu::cold]] void watched_add(SyncPoint at, TreeId tree, Counter& counter, u32 by)
  {
    watch(event_of(at, tree, ENGINE_ADD, &counter.value, by), [&counter, by](Event& event) {
      if (is_left_out(event)) return nothing_done(event);
      event.before = __atomic_fetch_add(&counter.value, by, __ATOMIC_SEQ_CST);
      event.after = static_cast<u32>(event.before) + by;
    });
  }
  // CPUs flush whole trees: those of another range must not make them forget the right one. Devices flush ranges.
  [[gnu::noinline, gnu::cold]] void watched_flush(SyncPoint at, TreeId tree, Range range)
  {
    Event event = event_of(at, tree, ENGINE_OTHER, nullptr, range.end);
    event.offset = event.before = range.start;
    event.end = event.after = range.end;
    perform(event, [&](Event& done) {
      done.before ^= done.bits;
      done.after ^= done.bits;
      if (!done.bits || Range{done.before, done.after}.overlaps(range))
        kernel_flush(actor_, tree, done.before, done.after);
      else
        kernel_flush_devices(actor_, tree, done.before, done.after);
    });
  }
  [[gnu::noinline, gnu::cold]] void watched_carry(SyncPoint at, PhysAddr frame, Level level)
  {
    Event event = event_of_frame(at, level, frame, frame);
    perform(event, [&](Event&) { kernel_carry(actor_, frame.value, level); });
  }
  // A copy that is corrupted is torn: its second half stays as it was.
  [[gnu::noinline, gnu::cold]] void watched_copy(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
  {
    Event event = event_of_frame(at, level, from, to);
    perform(event, [&](Event& done) {
      if (done.action == MORSEL_FAULT_CORRUPT)
        kernel_copy_half(actor_, from.value, to.value, level);
      else
        kernel_copy_frame(actor_, from.value, to.value, level);
    });
  }

  static Expected<PhysAddr> known(u64 pa) { return pa ? Expected<PhysAddr>(PhysAddr{pa}) : Error::no_memory; }
  template <class Allocate>
  [[gnu::noinline, gnu::cold]] Expected<PhysAddr> allocated(TreeId tree, Level level, unsigned flags,
                                                            Allocate&& allocate)
  {
    Event event = event_of(SyncPoint::alloc, tree);
    event.level = level;
    kernel_arrive(actor_, &event);
    event.after = event.action == MORSEL_FAULT_FAIL ? 0 : allocate();
    if (event.after) event.flags |= flags;
    const u64 pa = event.after;
    report(event);
    return known(pa);
  }
  [[gnu::noinline, gnu::cold]] u64 watched_read(Event&& event)
  {
    u64 value = 0;
    watch(std::move(event), [&value](Event& seen) {
      nothing_done(seen);
      value = seen.before;
    });
    return value;
  }
  [[gnu::noinline, gnu::cold]] u64 watched_load(SyncPoint at, const EntryRef& e)
  {
    return watched_read(event_of(at, e, ENGINE_READ));
  }
  [[gnu::noinline, gnu::cold]] void watched_store(SyncPoint at, const EntryRef& e, u64 word)
  {
    watch(event_of(at, e, ENGINE_STORE, word), [&e, word](Event& event) {
      *e.word = word;
      event.flags |= MORSEL_RECORD_PRIVATE;
      event.before = kernel_physical(e.word);
      event.after = word;
    });
  }
  [[gnu::noinline, gnu::cold]] u64 watched_exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    u64 before = 0;
    watch(event_of(at, e, ENGINE_STORE, desired), [&](Event& event) {
      if (is_left_out(event)) {
        nothing_done(event);
      } else {
        event.before = kernel_exchange(word_of(e), desired);
        event.after = desired;
      }
      before = event.before;
    });
    return before;
  }
  [[gnu::noinline, gnu::cold]] bool watched_compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    bool done = false;
    Event compare = event_of(at, e, ENGINE_COMPARE, desired);
    compare.expected = expected;
    watch(std::move(compare), [&](Event& event) {
      const u64 stored = desired ^ event.bits;
      if (is_left_out(event) || event.action == MORSEL_FAULT_FAIL) {
        nothing_done(event);
        done = is_left_out(event) && event.before == expected;
      } else {
        done = kernel_compare_exchange(word_of(e), expected, stored) != 0;
        if (!done) nothing_done(event);
        if (done) event.before = expected, event.after = stored;
      }
      if (!done) event.flags |= MORSEL_RECORD_LOST;
    });
    return done;
  }
  engine_actor* actor_;
};
static_assert(Platform<KernelPlatform>);

}  // namespace morsel
