// SPDX-License-Identifier: GPL-2.0-or-later
//
// The invariants of the world under exploration, after every step and at the end.
#include <algorithm>

#include "engine/sim/explored_platform.hpp"
#include "engine/sim/explored_world.hpp"

namespace morsel::sim {

std::string tree_name(TreeId id) { return id == primary_tree ? "the primary" : "view " + std::to_string(id); }

void ExploredWorld::settle()
{
  if (!scenario.slow_release && frees_by_leaving(max_owners)) release_expired();
  if (core.changed_trees == 0 && !core.check_due) return;
  for (TreeId id = 0; id < trees_; ++id) {
    if (!core.exists[id] || !(core.changed_trees >> id & 1)) continue;
    for (Hardware& walker : cores(id)) {
      if (!walker.observe(memory, tree(id), walked(id), scenario.pages))
        violation("exploration: walkers cache more than the model can hold");
      assume_writes(walker);
    }
  }
  core.changed_trees = 0;
  core.check_due = false;
  check_caches();
}

// Through every leaf that it has cached writable.
void ExploredWorld::assume_writes(const Hardware& walker)
{
  for (const CachedLeaf& l : walker.leaves()) {
    if (!l.rights.write()) continue;
    if (l.dirty) memory.set_flags(l.frame, PageFlags::written);  // it may write unnoticed: assume that it does
    for (u32 i = 0; i < core.copy_count; ++i)
      if (l.frame.value - core.copies[i].from.value < page_bytes << (9u * core.copies[i].level))
        core.copies[i].outdated = true;
  }
}

// I1 outside every mutator's window, I10 always: in the primary, whose format is amd64, of two leaf sizes.
void ExploredWorld::check_caches()
{
  ExploredPlatform quiet(*this);
  std::array<Expected<Leaf>, max_hardware_pages> truth{Error::none, Error::none, Error::none, Error::none};
  if (core.changes_in_flight == 0 || core.copy_count != 0)
    for (std::size_t i = 0; i < scenario.pages.size(); ++i)
      truth[i] = lookup_in<PrimaryFormat>(quiet, SyncPoint::load, core.object.primary, scenario.pages[i]);
  const std::span<const Expected<Leaf>> known(truth.data(), scenario.pages.size());
  if (core.copy_count != 0) check_copies(known);
  for (TreeId id = 0; id < trees_; ++id) {
    if (!core.exists[id]) continue;
    for (const Hardware& one : cores(id))
      for (const Hardware& two : cores(id))
        if (const CachedLeaf* const l = disagreement(id, one, two))
          return violation("I10 two translations of page " + to_text(Range{l->page, l->page + page_bytes}) +
                           " are cached in " + tree_name(id) + " at once");
    if (id == primary_tree || core.changes_in_flight != 0) continue;
    for (const Hardware& walker : cores(id)) check_mirror(id, walker, known);
  }
}

const CachedLeaf* ExploredWorld::disagreement(TreeId id, const Hardware& one, const Hardware& two) const
{
  for (const CachedLeaf& l : one.leaves())
    for (const CachedLeaf& other : two.leaves())
      if (other.page == l.page && (other.level != l.level || (id != primary_tree && other.frame != l.frame))) return &l;
  return nullptr;
}

void ExploredWorld::check_mirror(TreeId id, const Hardware& walker, std::span<const Expected<Leaf>> truth)
{
  for (const CachedLeaf& l : walker.leaves()) {
    const auto page = std::find(scenario.pages.begin(), scenario.pages.end(), l.page) - scenario.pages.begin();
    const Expected<Leaf>& t = truth[static_cast<std::size_t>(page)];
    const std::string where = " at " + to_text(Range{l.page, l.page + page_bytes});
    if (!t || t->frame != l.frame)
      violation("I1 no mutator is in flight, and a walker of " + tree_name(id) + " reaches a frame" + where +
                " that the primary does not give");
    else if (!t->rights.includes(l.rights))
      violation("I1 no mutator is in flight, and a walker of " + tree_name(id) + " has rights" + where +
                " that the primary forbids");
  }
}

// I9: once the copy stands in the primary, nobody may have written to the original since it was copied.
void ExploredWorld::check_copies(std::span<const Expected<Leaf>> truth)
{
  for (u32 i = 0; i < core.copy_count; ++i)
    for (const Expected<Leaf>& t : truth)
      if (core.copies[i].outdated && t &&
          t->frame.value - core.copies[i].to.value < page_bytes << (9u * core.copies[i].level))
        violation("I9 a walker could write to a frame after it was copied");
}

// Whether the frame holds a watched page that is being moved: no other copy can be the wrong one.
bool ExploredWorld::is_moving_watched(PhysAddr frame, Level level)
{
  ExploredPlatform quiet(*this);
  return std::any_of(scenario.pages.begin(), scenario.pages.end(), [&](u64 page) {
    const Walked w = walk<PrimaryFormat>(quiet, SyncPoint::load, core.object.primary, page);
    return w.kind == EntryKind::moving && w.entry.level == level && software::read_moving(w.word).frame == frame;
  });
}

// What was written before the copy is as new to both consumers in the copy as it was in the original.
void ExploredWorld::copy_frame(PhysAddr from, PhysAddr to, Level level)
{
  for (u64 i = 0; i < page_bytes << (9u * level); i += page_bytes)
    if (const u8 written = memory.flags_of(from + i) & PageFlags::written) memory.set_flags(to + i, written);
  if (!is_moving_watched(from, level)) return;
  if (core.copy_count == core.copies.size()) return violation("exploration: too many copies");
  core.copies[core.copy_count++] = {from, to, level, false};
  core.changed_trees = ~0u;
}

void ExploredWorld::forget_writes(PhysAddr frame, Level level)
{
  for (u64 i = 0; i < page_bytes << (9u * level); i += page_bytes)
    if (memory.flags_of(frame + i) & PageFlags::written) memory.set_flags(frame + i, 0, PageFlags::written);
}

void ExploredWorld::forget_copy(PhysAddr to)
{
  for (u32 i = 0; i < core.copy_count;)
    if (core.copies[i].to == to || core.copies[i].from == to)
      core.copies[i] = core.copies[--core.copy_count];
    else
      ++i;
}

std::array<PhysAddr, max_hardware_pages> ExploredWorld::written_frames(Range range)
{
  ExploredPlatform quiet(*this);
  std::array<PhysAddr, max_hardware_pages> written{};
  for (std::size_t i = 0; i < scenario.pages.size(); ++i) {
    if (!range.contains(scenario.pages[i])) continue;
    const auto leaf = lookup_in<PrimaryFormat>(quiet, SyncPoint::load, core.object.primary, scenario.pages[i]);
    if (leaf && (memory.flags_of(leaf->frame) & PageFlags::written_log)) written[i] = leaf->frame;
  }
  return written;
}

// I4, of frames that are still where they were.
void ExploredWorld::check_harvest(const std::array<PhysAddr, max_hardware_pages>& due, u32 reported)
{
  ExploredPlatform quiet(*this);
  for (std::size_t i = 0; i < scenario.pages.size(); ++i) {
    if (due[i] == PhysAddr{} || (reported >> i & 1)) continue;
    const auto leaf = lookup_in<PrimaryFormat>(quiet, SyncPoint::load, core.object.primary, scenario.pages[i]);
    if (leaf && leaf->frame == due[i])
      violation("I4 a write was complete before the harvest began, and it reports the page clean");
  }
}

std::size_t ExploredWorld::acts_of(Act::Kind kind) const
{
  return static_cast<std::size_t>(std::count_if(scenario.actors.begin(), scenario.actors.end(),
                                                [kind](const Act& act) { return act.kind == kind; }));
}

bool ExploredWorld::has_evidence(PhysAddr frame)
{
  ExploredPlatform quiet(*this);
  auto shows = [&](const Tree& t) {
    return AllFormats::dispatch(t.format, false, [&]<class F>() {
      for (const u64 page : scenario.pages)
        if (const Expected<Leaf> leaf = lookup_in<F>(quiet, SyncPoint::load, t, page))
          if (leaf->frame == frame && F::may_be_dirty(leaf->word, leaf->level)) return true;
      return false;
    });
  };
  if (shows(core.object.primary)) return true;
  for (TreeId id = 1; id < trees_; ++id)
    if (core.object.views[id - 1u] && shows(tree(id))) return true;
  return false;
}

// All actors have returned: nothing is pending, nothing leaked, no write forgotten.
void ExploredWorld::check_end()
{
  ExploredPlatform quiet(*this);
  if (scenario.slow_release) release_expired();
  if (core.batch_count != 0) violation("I3 something is never released");
  if (core.object.primary.pending.value != 0) violation("a pending count is not lowered: the primary's");
  for (const u64 page : scenario.pages)
    if (const Expected<Leaf> leaf = lookup_in<PrimaryFormat>(quiet, SyncPoint::load, core.object.primary, page)) {
      if (page >= core.object.bytes) violation("I2 a page behind the object's end is mapped");
      if (core.object.frozen.value != 0 && leaf->rights.write()) violation("I9 a page of a frozen base can be written");
      const u8 flags = memory.flags_of(leaf->frame);
      const bool forgotten = ((flags & PageFlags::written_log) && !(flags & PageFlags::carried_log)) ||
                             ((flags & PageFlags::written_back) && !(flags & PageFlags::carried_back));
      if (forgotten && !has_evidence(leaf->frame)) violation("I4 a write that nothing remembers");
    }
  for (TreeId id = 1; id < trees_; ++id) {
    if (!core.object.views[id - 1u]) continue;
    if (view(id).tree.pending.value != 0) violation("a pending count is not lowered: " + tree_name(id));
    core.attached[id] = false;
    drop_view(quiet, core.object, view(id));
  }
  for (Hardware& h : hardware_) h = {};
  if (!violation_.empty()) return;
  release_expired();
  destroy(quiet, core.object);
  if (core.object.base) destroy(quiet, core.base);
  if (memory.counts.used_pages != 0) violation("I3 tables or frames leaked");
}

}  // namespace morsel::sim
