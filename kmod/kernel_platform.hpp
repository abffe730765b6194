// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's platform in the kernel: pages for tables and frames, an SRCU domain for grace sections, interrupts to
// other CPUs for flushes, all by the C functions of engine/abi/engine_abi.h.
//
// Observation (tracepoints, injected faults) costs one patched-out jump for each access: the static key
// morsel_observed_key, which C owns and this file reads through the kernel's jump table.
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
  static constexpr bool own_walker = true;

  explicit KernelPlatform(engine_actor* actor) : actor_(actor) {}

  void enter()
  {
    kernel_enter(actor_);
    note(SyncPoint::enter, {}, 0, 0);
  }
  void leave()
  {
    note(SyncPoint::leave, {}, 0, 0);
    kernel_leave(actor_);
  }

  Expected<PhysAddr> allocate_table(TreeId tree, Level level, u32 order = 0)
  {
    const u64 pa = fails(tree) ? 0 : kernel_allocate_table(actor_, tree, level, order);
    note(SyncPoint::alloc, {nullptr, 0, tree, level}, 0, pa);
    return pa ? Expected<PhysAddr>(PhysAddr{pa}) : Error::no_memory;
  }
  void discard_table(TreeId, Level, PhysAddr table) { kernel_free_table(actor_, table.value, 0); }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { kernel_free_table(actor_, table.value, order); }
  u64* words(PhysAddr table) { return reinterpret_cast<u64*>(kernel_words(table.value)); }

  Expected<PhysAddr> allocate_frame(Level level)
  {
    const u64 pa = fails(primary_tree) ? 0 : kernel_allocate_frame(actor_, level);
    note(SyncPoint::alloc, {nullptr, 0, primary_tree, level}, 0, pa);
    return pa ? Expected<PhysAddr>(PhysAddr{pa}) : Error::no_memory;
  }
  void discard_frame(PhysAddr frame, Level level) { kernel_free_frame(actor_, frame.value, level); }
  void free_frame(PhysAddr frame, Level level) { kernel_free_frame(actor_, frame.value, level); }

  u64 load(SyncPoint at, const EntryRef& e)
  {
    const u64 word = __atomic_load_n(e.word, __ATOMIC_SEQ_CST);
    note(at, e, word, word);
    return word;
  }
  void store_private(SyncPoint at, const EntryRef& e, u64 word)
  {
    kernel_place_frame(PrimaryFormat::address(word, e.level).value, e.offset);
    *e.word = word;
    note(at, e, 0, word);
  }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    if (observed() && injected(at, e) == MORSEL_FAULT_DROP) {
      const u64 found = __atomic_load_n(e.word, __ATOMIC_SEQ_CST);
      report(at, e, found, found, MORSEL_FAULT_DROP);
      return found;
    }
    const u64 before = kernel_exchange(word_of(e), desired);
    left_primary(at, e, before);
    note(at, e, before, desired);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    if (observed())
      if (const unsigned action = injected(at, e); action != MORSEL_FAULT_NONE) {
        report(at, e, expected, expected, action);
        return action == MORSEL_FAULT_DROP && __atomic_load_n(e.word, __ATOMIC_SEQ_CST) == expected;
      }
    if ((at == SyncPoint::change && expected == 0) || at == SyncPoint::install)
      kernel_place_frame(PrimaryFormat::address(desired, e.level).value, e.offset);
    const bool done = kernel_compare_exchange(word_of(e), expected, desired) != 0;
    if (done) left_primary(at, e, expected);
    note(at, e, expected, done ? desired : expected);
    return done;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
  {
    if (dropped(at, tree)) return;
    const u32 after = __atomic_add_fetch(&counter.value, static_cast<u32>(delta), __ATOMIC_SEQ_CST);
    note(at, {nullptr, 0, tree, 0}, after - static_cast<u32>(delta), after);
  }
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    const u32 value = __atomic_load_n(&counter.value, __ATOMIC_SEQ_CST);
    note(at, {nullptr, 0, tree, 0}, value, value);
    return value;
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    const u64 value = __atomic_load_n(&word, __ATOMIC_SEQ_CST);
    note(at, {}, value, value);
    return value;
  }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    const u64 before = __atomic_exchange_n(&word, value, __ATOMIC_SEQ_CST);
    note(at, {}, before, value);
  }
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    void* const value = __atomic_load_n(&slot, __ATOMIC_SEQ_CST);
    note(at, {}, value != nullptr, value != nullptr);
    return value;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value)
  {
    void* const before = __atomic_exchange_n(&slot, value, __ATOMIC_SEQ_CST);
    note(at, {}, before != nullptr, value != nullptr);
  }

  void flush(SyncPoint at, const FlushRequest& request)
  {
    if (dropped(at, request.tree)) return;
    kernel_flush(actor_, request.tree, request.range.start, request.range.end);
    note(at, {nullptr, request.range.start, request.tree, 0}, request.range.start, request.range.end);
  }
  void carry(SyncPoint at, PhysAddr frame, Level level)
  {
    if (dropped(at, primary_tree)) return;
    kernel_carry(actor_, frame.value, level);
    note(at, {nullptr, 0, primary_tree, level}, frame.value, frame.value);
  }

  bool is_dirty(PhysAddr frame) { return kernel_is_dirty(frame.value) != 0; }
  bool take_dirty(SyncPoint at, PhysAddr frame)
  {
    const bool dirty = kernel_take_dirty(frame.value) != 0;
    note(at, {}, dirty, 0);
    return dirty;
  }
  bool is_held(PhysAddr frame, Level) { return kernel_is_held(frame.value) != 0; }
  bool are_one(PhysAddr frame, Level level) { return level == 1 && kernel_is_one_frame(frame.value) != 0; }
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
  {
    if (dropped(at, primary_tree)) return;
    kernel_copy_frame(actor_, from.value, to.value, level);
    note(at, {nullptr, 0, primary_tree, level}, from.value, to.value);
  }
  void wait_for_grace_period(SyncPoint at)
  {
    note(at, {}, 0, 0);
    kernel_wait_for_grace_period(actor_);
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
    kernel_retire(actor_, &retired);
    note(at, {}, 0, 0);
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

  // A table word is never dropped: the engine would free a table that is still linked.
  unsigned injected(SyncPoint at, const EntryRef& e)
  {
    const u64 word = __atomic_load_n(e.word, __ATOMIC_SEQ_CST);
    const bool table = e.level > 0 && (word & 7) != 0 && (word & Amd64Bits::page_size) == 0;
    if (table && at == SyncPoint::invalidate) return MORSEL_FAULT_NONE;
    return kernel_inject(actor_, static_cast<unsigned>(at), e.tree);
  }
  bool dropped(SyncPoint at, TreeId tree)
  {
    if (!observed() || kernel_inject(actor_, static_cast<unsigned>(at), tree) != MORSEL_FAULT_DROP) return false;
    report(at, {nullptr, 0, tree, 0}, 0, 0, MORSEL_FAULT_DROP);
    return true;
  }
  bool fails(TreeId tree) { return observed() && kernel_inject(actor_, MORSEL_POINT_alloc, tree) == MORSEL_FAULT_FAIL; }
  void note(SyncPoint at, const EntryRef& e, u64 before, u64 after)
  {
    if (observed()) report(at, e, before, after, MORSEL_FAULT_NONE);
  }
  [[gnu::noinline, gnu::cold]] void report(SyncPoint at, const EntryRef& e, u64 before, u64 after, unsigned action)
  {
    const engine_point_event event{static_cast<unsigned>(at), e.tree, e.level, action, e.offset, before, after};
    kernel_observe(actor_, &event);
  }

  engine_actor* actor_;
};
static_assert(Platform<KernelPlatform>);

}  // namespace morsel
