// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/footprint.hpp"

#include <algorithm>

namespace morsel::sim {

namespace {

// Below any address; entries and tables stand for themselves, whatever else has an address in this process for that.
constexpr Place truth = 1, flight = 2, batches = 3, waits = 4, frames = 5, copies = 6;
constexpr Place cache(TreeId tree) { return 16u + tree; }
constexpr Place inside(u32 actor) { return 64u + actor; }
constexpr Place page(PhysAddr table) { return align_down(table.value, page_bytes) + 1; }
Place word(const ExploredWorld& world, const u64* at) { return world.memory.address(at).value; }
Place other(const void* at) { return reinterpret_cast<u64>(at) | u64{1} << 63; }

bool meets(const std::array<Place, 28>& a, u32 a_count, const std::array<Place, 28>& b, u32 b_count)
{
  for (u32 i = 0; i < a_count; ++i)
    for (u32 k = 0; k < b_count; ++k)
      if (a[i] == b[k]) return true;
  return false;
}

// What hardware takes for nothing: a hole or a software word.
bool absent(u64 entry) { return entry == 0 || software::is_software(entry); }

// A step under construction.
class Builder {
 public:
  Builder(ExploredRun& run, Choice choice)
      : run_(run),
        world_(run.world()),
        actor_(actor_of(choice)),
        step_(run.pending(choice)),
        mutator_(changes_primary(run.scenario().actors[actor_], run.scenario().primary_walked))
  {
  }

  Footprint build(Choice choice)
  {
    if (is_buffer(choice) || world_.core.buffers[actor_ + 1].count) f_.everything = true;
    switch (step_.access) {
      case Access::begin: begin(); break;
      case Access::load: access_entry(); break;
      case Access::exchange:
      case Access::compare_exchange: change_entry(); break;
      case Access::add:
      case Access::store: f_.write(other(step_.where)); break;
      case Access::read: f_.read(other(step_.where)); break;
      case Access::begin_flush:
      case Access::end_flush: f_.write(cache(step_.entry.tree)); break;
      case Access::carry: f_.write(frames); break;
      case Access::take_dirty: take_dirty(); break;
      case Access::copy: copy(); break;
      case Access::look: look(); break;
      case Access::enter: f_.write(inside(number())); break;
      case Access::leave: leave(); break;
      case Access::retire: retire(); break;
      case Access::begin_wait: begin_wait(); break;
      case Access::end_wait: f_.read(waits); break;
      case Access::hardware_write:
      case Access::hardware_read: hardware_access(); break;
      case Access::attach: change_cache(step_.entry.tree); break;
      case Access::finish: finish(); break;
    }
    if (world_.core.copy_count && changes_what_copies_are_judged_by()) f_.write(copies);
    return f_;
  }

 private:
  u32 number() const { return actor_ + 1; }  // as the world counts

  // Frames that it will have removed are looked up.
  void begin()
  {
    if (!mutator_) return;
    f_.read(truth);
    f_.write(flight);
  }
  void access_entry()
  {
    f_.read(word(world_, step_.entry.word));
    if (may_be_freed()) f_.read(page(world_.memory.address(step_.entry.word)));
  }
  // While an actor stays inside its section, nothing is freed but what is waiting for others already: whatever is
  // retired from now on waits for it, too.
  bool may_be_freed() const
  {
    const ExploredWorld::Core& core = world_.core;
    const auto mine = static_cast<u8>(1u << number());
    return !(core.inside & mine) || world_.scenario.no_grace_periods ||
           std::any_of(core.batches.begin(), core.batches.begin() + core.batch_count,
                       [mine](const ExploredWorld::Batch& b) { return !(b.waits_for & mine); });
  }
  void change_entry()
  {
    access_entry();
    const EntryRef& e = step_.entry;
    const u64 before = *e.word;
    if (before == step_.desired || (step_.access == Access::compare_exchange && before != step_.expected)) return;
    f_.write(word(world_, e.word));
    if (e.tree == primary_tree) {
      f_.write(truth);
      if (!mutator_) judge_mirror();
      if (!world_.walked(e.tree)) return;
    }
    if (!absent(before) || !absent(step_.desired)) change_cache(e.tree);
  }
  void change_cache(TreeId tree)
  {
    f_.write(cache(tree));
    if (mutator_) return;
    f_.read(truth);
    f_.read(flight);
  }
  // I1 of every view, if no mutator is in flight.
  void judge_mirror()
  {
    f_.read(flight);
    f_.read(truth);
    read_caches();
  }
  void read_caches()
  {
    for (TreeId id = 0; id <= max_views; ++id)
      if (world_.core.exists[id]) f_.read(cache(id));
  }
  void free_something(bool tables)
  {
    f_.unknown = tables;
    f_.write(batches);
    f_.write(frames);
    f_.write(copies);
    read_caches();
  }
  void leave()
  {
    const auto mine = static_cast<u8>(1u << number());
    f_.write(inside(number()));
    const ExploredWorld::Core& core = world_.core;
    if (std::any_of(core.waits_for.begin(), core.waits_for.end(), [mine](u8 w) { return w & mine; })) f_.write(waits);
    for (u32 i = 0; i < core.batch_count; ++i)
      if (core.batches[i].waits_for & mine) f_.write(batches);
    if (world_.frees_by_leaving(number())) free_something(world_.frees_tables_by_leaving(number()));
  }
  void retire()
  {
    if (step_.list == 0) return;
    read_insides();
    f_.write(batches);
    if (world_.core.inside == 0 || world_.scenario.no_grace_periods) free_something(true);
  }
  // Clears a frame's flag; caches are looked at again, and set it again if they may write.
  void take_dirty()
  {
    f_.write(frames);
    judge_mirror();
    if (world_.core.copy_count) f_.read(copies);
  }
  // Takes over the frame's flags, and looks whether the page is moving and who may still write to it.
  void copy()
  {
    f_.write(frames);
    f_.write(copies);
    f_.read(truth);
    read_caches();
  }
  // At frames that are mapped, and at their flags, which caches set, too.
  void look()
  {
    f_.read(frames);
    f_.read(truth);
    read_caches();
  }
  bool changes_what_copies_are_judged_by() const
  {
    return std::any_of(f_.writes.begin(), f_.writes.begin() + f_.write_count,
                       [](Place p) { return p == truth || p == flight || (p >= cache(0) && p <= cache(max_views)); });
  }
  void begin_wait()
  {
    read_insides();
    f_.write(waits);
  }
  void read_insides()
  {
    for (u32 i = 1; i <= run_.actors(); ++i) f_.read(inside(i));
  }
  void hardware_access()
  {
    f_.unknown = true;
    f_.write(frames);
    change_cache(step_.entry.tree);
    if (step_.entry.tree == primary_tree) f_.write(truth);
  }
  void finish()
  {
    if (!mutator_) return;
    judge_mirror();
    f_.write(flight);
  }

  ExploredRun& run_;
  ExploredWorld& world_;
  const u32 actor_;
  const PendingStep& step_;
  const bool mutator_;
  Footprint f_;
};

}  // namespace

bool dependent(const Footprint& a, const Footprint& b)
{
  return a.unknown || b.unknown || a.everything || b.everything ||
         meets(a.writes, a.write_count, b.writes, b.write_count) ||
         meets(a.writes, a.write_count, b.reads, b.read_count) || meets(a.reads, a.read_count, b.writes, b.write_count);
}

Footprint predict(ExploredRun& run, Choice choice) { return Builder(run, choice).build(choice); }

void complete(ExploredRun& run, Footprint& predicted)
{
  predicted.unknown = false;
  for (const PhysAddr table : run.world().freed_tables) predicted.write(page(table));
  for (const u64* at : run.world().dirtied) predicted.write(word(run.world(), at));
}

}  // namespace morsel::sim
