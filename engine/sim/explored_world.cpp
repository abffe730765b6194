// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/explored_world.hpp"

#include <cstring>

#include "engine/sim/explored_platform.hpp"

namespace morsel::sim {

namespace {

constexpr u64 memory_bytes = u64{32} << 20;
constexpr int poison = 0xdb;

std::string hex(u64 value)
{
  char text[20];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string tree_name(TreeId id) { return id == primary_tree ? "the primary" : "view " + std::to_string(id); }

}  // namespace

ExploredWorld::ExploredWorld(const Scenario& s)
    : scenario(s), arena_(memory_bytes), pages_(arena_.pages()), inside_(s.actors.size() + 1)
{
  for (const FaultRule& rule : s.faults) faults.add(rule);
  hardware_.emplace(primary_tree, Hardware(arena_, s.pages));
}

View& ExploredWorld::make_view(TreeId id, FormatId format)
{
  (void)format;
  hardware_.try_emplace(id, Hardware(arena_, scenario.pages));
  attached[id] = false;
  return *(views[id] = std::make_unique<View>());
}

u64* ExploredWorld::table_words(PhysAddr table)
{
  u64* const words = arena_.words(table);
  check_in_table(words);
  return words;
}

void ExploredWorld::check_in_table(const u64* word)
{
  const auto distance = reinterpret_cast<const std::byte*>(word) - arena_.host(Arena::base);
  if (state(Arena::base + static_cast<u64>(distance)).use != Use::table) violation("I3 an actor uses a freed table");
}

void ExploredWorld::set_use(PhysAddr at, u32 pages, Use use)
{
  for (u32 i = 0; i < pages; ++i) state(at + i * page_bytes) = {use, false, false};
}

Expected<PhysAddr> ExploredWorld::allocate_table(u32 order)
{
  const auto at = arena_.allocate(order);
  if (at) set_use(*at, 1u << order, Use::table);
  return at;
}

Expected<PhysAddr> ExploredWorld::allocate_frame(Level level)
{
  const auto at = arena_.allocate(9u * level);
  if (at) set_use(*at, 1u << 9u * level, Use::frame);
  return at;
}

void ExploredWorld::free_table(PhysAddr table, u32 order)
{
  if (state(table).use != Use::table) return violation("I3 a table is freed twice");
  for (const auto& [id, hardware] : hardware_)
    for (const CachedTable& t : hardware.tables())
      if (t.table == table) violation("I3 a table of " + tree_name(id) + " is freed while a walker can reach it");
  set_use(table, 1u << order, Use::none);
  std::memset(arena_.host(table), poison, page_bytes << order);
  arena_.release(table, order);
}

void ExploredWorld::free_frame(PhysAddr frame, Level level)
{
  const u32 count = 1u << 9u * level;
  for (u32 i = 0; i < count; ++i) {
    const PhysAddr page = frame + i * page_bytes;
    if (state(page).use != Use::frame) return violation("I3 a frame is freed twice");
    if (state(page).written && !state(page).carried)
      violation("I4 a frame is judged clean at release, but it was written");
    for (const auto& [id, hardware] : hardware_)
      for (const CachedLeaf& l : hardware.leaves())
        if (l.frame == page) violation("I3 a frame is freed while a walker of " + tree_name(id) + " can use it");
  }
  set_use(frame, count, Use::none);
  arena_.release(frame, 9u * level);
}

void ExploredWorld::carry(PhysAddr frame, Level level)
{
  for (u32 i = 0; i < 1u << 9u * level; ++i) state(frame + i * page_bytes).carried = true;
}

void ExploredWorld::retire(RetiredList retired)
{
  std::vector<bool> waits_for = inside_;
  if (scenario.no_grace_periods) waits_for.assign(waits_for.size(), false);
  batches_.push_back({std::move(retired), std::move(waits_for)});
}

void ExploredWorld::leave(u32 actor)
{
  inside_[actor] = false;
  for (Batch& b : batches_) b.waits_for[actor] = false;
}

void ExploredWorld::release_expired()
{
  ExploredPlatform quiet(*this);
  for (std::size_t i = 0; i < batches_.size();) {
    if (std::find(batches_[i].waits_for.begin(), batches_[i].waits_for.end(), true) != batches_[i].waits_for.end()) {
      ++i;
      continue;
    }
    const RetiredList over = std::move(batches_[i].retired);
    batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(i));
    for (const RetiredTable& t : over.tables) release(quiet, t);
    for (const RetiredFrame& f : over.frames) free_frame(f.frame, f.level);
  }
}

void ExploredWorld::write(TreeId id, u64 page)
{
  PhysAddr frame;
  if (hardware(id).write(tree(id), walked(id), page, frame)) state(frame).written = true;
}

void ExploredWorld::settle()
{
  release_expired();
  for (auto& [id, hardware] : hardware_) {
    if (id == primary_tree ? !scenario.primary_walked : !views.count(id)) continue;
    hardware.observe(tree(id), walked(id));
    for (const CachedLeaf& l : hardware.leaves())
      if (l.dirty && l.rights.write()) state(l.frame).written = true;  // it may write unnoticed: assume that it does
    check_caches(id);
  }
}

// I1 outside every mutator's window, I10 always.
void ExploredWorld::check_caches(TreeId id)
{
  ExploredPlatform quiet(*this);
  for (const CachedLeaf& l : hardware_.at(id).leaves()) {
    for (const CachedLeaf& other : hardware_.at(id).leaves())
      if (other.page == l.page && (other.frame != l.frame || other.level != l.level) && id != primary_tree)
        violation("I10 two translations of page " + hex(l.page) + " are cached in " + tree_name(id) + " at once");
    if (primary_changes_in_flight != 0 || id == primary_tree) continue;
    const Expected<Leaf> truth = lookup(quiet, SyncPoint::load, object.primary, l.page);
    if (!truth || truth->frame != l.frame)
      violation("I1 no mutator is in flight, and a walker of " + tree_name(id) + " reaches a frame at " + hex(l.page) +
                " that the primary does not give");
    else if (!truth->rights.includes(l.rights))
      violation("I1 no mutator is in flight, and a walker of " + tree_name(id) + " has rights at " + hex(l.page) +
                " that the primary forbids");
  }
}

bool ExploredWorld::has_evidence(PhysAddr frame)
{
  if (state(frame).carried) return true;
  ExploredPlatform quiet(*this);
  auto shows = [&](const Tree& t) {
    for (const u64 page : scenario.pages)
      if (const Expected<Leaf> leaf = lookup(quiet, SyncPoint::load, t, page))
        if (leaf->frame == frame && (leaf->word & find_format(t.format)->dirty_bit)) return true;
    return false;
  };
  if (shows(object.primary)) return true;
  for (const auto& [id, view] : views)
    if (object.views[id - 1u] && shows(view->tree)) return true;
  return false;
}

// All actors have returned: nothing is pending, nothing leaked, no write forgotten.
void ExploredWorld::check_end()
{
  ExploredPlatform quiet(*this);
  if (!batches_.empty()) violation("I3 something is never released");
  if (object.primary.pending.value != 0) violation("a pending count is not lowered: the primary's");
  for (const u64 page : scenario.pages)
    if (const Expected<Leaf> leaf = lookup(quiet, SyncPoint::load, object.primary, page))
      if (state(leaf->frame).written && !has_evidence(leaf->frame)) violation("I4 a write that nothing remembers");
  for (auto& [id, view] : views) {
    if (!object.views[id - 1u]) continue;
    if (view->tree.pending.value != 0) violation("a pending count is not lowered: " + tree_name(id));
    attached[id] = false;
    drop_view(quiet, object, *view);
  }
  hardware_.clear();
  if (!violation_.empty()) return;
  release_expired();
  destroy(quiet, object);
  if (arena_.used_pages() != 0) violation("I3 tables or frames leaked");
}

}  // namespace morsel::sim
