// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/explored_world.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "engine/sim/explored_platform.hpp"

namespace morsel::sim {

static_assert(std::is_trivially_copyable_v<ExploredWorld::Core> && std::is_trivially_copyable_v<Hardware> &&
                  std::is_trivially_copyable_v<ExploredMemory::Counts>,
              "a state is saved by copying it");

ExploredWorld::ExploredWorld(const Scenario& s) : scenario(s), memory(log_)
{
  for (const FaultRule& rule : s.faults) faults_.add(rule);
  std::size_t trees = 1 + s.views.size();
  for (const std::vector<Act>* acts : {&s.before, &s.actors})
    for (const Act& act : *acts)
      if (act.kind == Act::Kind::add_view) trees = std::max(trees, std::size_t{act.view} + 1);
  trees_ = static_cast<TreeId>(trees);
  hardware_.resize(trees * s.cores);
  core.exists[primary_tree] = core.attached[primary_tree] = s.primary_walked;
}

View& ExploredWorld::make_view(TreeId id)
{
  core.exists[id] = true;
  return view(id);
}

void ExploredWorld::attach(TreeId id, bool attached)
{
  core.attached[id] = attached;
  core.changed_trees |= 1u << id;
}

u64* ExploredWorld::table_words(PhysAddr table)
{
  if (!memory.is_table(table)) {
    violation("I3 an actor uses a freed table");
    if (!memory.holds(table)) table = core.object.primary.root;  // anything that can be read: the run ends here
  }
  return memory.words(table);
}

void ExploredWorld::check_in_table(const u64* word)
{
  if (!memory.is_table(word)) violation("I3 an actor uses a freed table");
}

void ExploredWorld::write_entry(const EntryRef& e, u64 value)
{
  if (*e.word == value) return;
  memory.write(e.word, value);
  core.changed_trees |= 1u << e.tree;
}

void ExploredWorld::free_table(PhysAddr table, u32 order)
{
  for (TreeId id = 0; id < trees_; ++id)
    for (const Hardware& walker : cores(id))
      for (const CachedTable& t : walker.tables())
        if (t.table == table) violation("I3 a table of " + tree_name(id) + " is freed while a walker can reach it");
  if (!memory.free_table(table, order)) violation("I3 a table is freed twice");
  for (u32 i = 0; i < 1u << order; ++i) freed_tables.push_back(table + i * page_bytes);
}

void ExploredWorld::free_frame(PhysAddr frame, Level level)
{
  const u64 bytes = page_bytes << (9u * level);
  for (u64 distance = 0; distance < bytes; distance += page_bytes) {
    const u8 flags = memory.flags_of(frame + distance);
    if ((flags & PageFlags::written_back) && !(flags & PageFlags::carried_back))
      violation("I4 a frame is judged clean at release, but it was written");
  }
  for (TreeId id = 0; id < trees_; ++id)
    for (const Hardware& walker : cores(id))
      for (const CachedLeaf& l : walker.leaves())
        if (l.frame.value - frame.value < bytes)
          violation("I3 a frame is freed while a walker of " + tree_name(id) + " can use it");
  if (!memory.free_frame(frame, level)) violation("I3 a frame is freed twice");
  forget_copy(frame);
}

void ExploredWorld::carry(PhysAddr frame, Level level)
{
  for (u64 i = 0; i < u64{1} << (9u * level); ++i) memory.set_flags(frame + i * page_bytes, PageFlags::carried);
}

// What was written before this is in the report; whoever can still write unnoticed writes again.
bool ExploredWorld::take_dirty(PhysAddr frame)
{
  const bool dirty = memory.flags_of(frame) & PageFlags::carried_log;
  if (!dirty) return false;
  memory.set_flags(frame, 0, PageFlags::carried_log | PageFlags::written_log);
  core.changed_trees = ~0u;
  return true;
}

u64 ExploredWorld::token(u32 actor) { return scenario.reuse_tokens ? 1 : ++core.tokens[actor] * max_owners + actor; }

const FaultRule* ExploredWorld::fault(SyncPoint point, TreeId tree, u32 actor, u8 whens)
{
  if (faults_.rules().empty()) return nullptr;
  for (FaultRule& rule : faults_.rules()) {
    log_.save(&rule.seen, sizeof rule.seen);
    log_.save(&rule.fired, sizeof rule.fired);
  }
  return faults_.find({.point = point, .tree = tree, .actor = actor, .whens = whens});
}

bool ExploredWorld::looks_early(SyncPoint at) const
{
  const std::vector<FaultRule>& rules = faults_.rules();
  return std::any_of(rules.begin(), rules.end(),
                     [at](const FaultRule& r) { return r.twist == Twist::early && r.until == at; });
}

u32 ExploredWorld::note(u32 list, const RetiredTable& table)
{
  nodes_.resize(core.nodes);
  nodes_.push_back({list, true, false, table, {}, 0});
  return ++core.nodes;
}

u32 ExploredWorld::note(u32 list, PhysAddr frame, Level level)
{
  nodes_.resize(core.nodes);
  nodes_.push_back({list, false, false, {}, frame, level});
  return ++core.nodes;
}

// The same list with every table below a view's as an item of its own: as they stand now, and their dirty bits carried.
u32 ExploredWorld::sweep(u32 list)
{
  u32 swept = 0;
  for (; list; list = nodes_[list - 1].next) {
    const Node node = nodes_[list - 1];
    if (node.is_table && node.table.tree != primary_tree) {
      swept = sweep_table(swept, node.table);
    } else {
      nodes_.resize(core.nodes);
      nodes_.push_back(node);
      nodes_.back().next = std::exchange(swept, ++core.nodes);
    }
  }
  return swept;
}

u32 ExploredWorld::sweep_table(u32 list, const RetiredTable& table)
{
  AllFormats::dispatch(table.format, false, [&]<class F>() {
    const u64* const words = memory.words(table.table);
    for (u64 i = 0; i < table_entries<F>(table.level); ++i) {
      const PhysAddr below = F::address(words[i], table.level);
      if (F::kind(words[i], table.level) == EntryKind::table)
        list = sweep_table(list, {table.tree, table.format, static_cast<Level>(table.level - 1), below});
      else if (F::kind(words[i], table.level) == EntryKind::leaf && F::may_be_dirty(words[i], table.level))
        carry(below, table.level);
    }
    return true;
  });
  list = note(list, table);
  nodes_[list - 1].alone = true;
  return list;
}

void ExploredWorld::retire(u32 list)
{
  if (list == 0) return;
  if (core.batch_count == core.batches.size()) return violation("exploration: too many batches wait");
  core.batches[core.batch_count++] = {list, scenario.no_grace_periods ? u8{0} : core.inside};
}

bool ExploredWorld::frees_by_leaving(u32 actor) const
{
  return std::any_of(core.batches.begin(), core.batches.begin() + core.batch_count,
                     [actor](const Batch& b) { return (b.waits_for & ~(1u << actor)) == 0; });
}

bool ExploredWorld::frees_tables_by_leaving(u32 actor) const
{
  bool tables = false;
  for (u32 i = 0; i < core.batch_count; ++i)
    if ((core.batches[i].waits_for & ~(1u << actor)) == 0)
      for_each_table(core.batches[i].first, [&tables](const RetiredTable&) { tables = true; });
  return tables;
}

void ExploredWorld::leave(u32 actor)
{
  const auto others = static_cast<u8>(~(1u << actor));
  core.inside &= others;
  for (u32 i = 0; i < core.batch_count; ++i) core.batches[i].waits_for &= others;
  for (u8& waiting : core.waits_for) waiting &= others;
}

void ExploredWorld::begin_wait(u32 actor)
{
  core.waits_for[actor] = scenario.no_grace_periods ? u8{0} : static_cast<u8>(core.inside & ~(1u << actor));
}

void ExploredWorld::release_list(u32 list)
{
  ExploredPlatform quiet(*this);
  for (; list; list = nodes_[list - 1].next) {
    const Node node = nodes_[list - 1];
    if (node.alone)
      AllFormats::dispatch(node.table.format, false, [&]<class F>() {
        free_table(node.table.table, table_order<F>(node.table.level));
        return true;
      });
    else if (node.is_table)
      release(quiet, node.table);
    else
      free_frame(node.frame, node.level);
  }
}

void ExploredWorld::release_expired()
{
  for (u32 i = 0; i < core.batch_count;) {
    if (core.batches[i].waits_for != 0) {
      ++i;
      continue;
    }
    const u32 list = core.batches[i].first;
    core.batches[i] = core.batches[--core.batch_count];
    release_list(list);
  }
}

void ExploredWorld::begin_flush(u32 actor, TreeId tree)
{
  for (u32 turn = 0; turn < cores_reached(); ++turn)
    cores(tree)[(core_of(actor) + turn) % scenario.cores].begin_flush(actor);
  core.changed_trees |= 1u << tree;
}

void ExploredWorld::end_flush(u32 actor, u32 turn, const FlushRequest& request, Hardware::Pointers pointers)
{
  cores(request.tree)[(core_of(actor) + turn) % scenario.cores].end_flush(actor, request.range, pointers);
  core.changed_trees |= 1u << request.tree;
}

void ExploredWorld::published(u32 actor, const EntryRef& e)
{
  const u64 bytes = AllFormats::dispatch(tree(e.tree).format, u64{0},
                                         [&]<class F>() { return entry_bytes<F>(static_cast<Level>(e.level)); });
  for (Hardware& each : cores(e.tree)) each.published(actor, {e.offset, e.offset + bytes});
}

void ExploredWorld::check_new_leaves(u32 actor)
{
  for (TreeId id = 1; id <= max_views; ++id) {
    if (!core.exists[id]) continue;
    for (Hardware& each : cores(id)) {
      for (const CachedAbsence& a : each.absences())
        if (a.missed & 1u << actor)
          violation("I5 a walker of " + tree_name(id) + " misses what a returned fill has mapped");
      each.fill_ended(actor);
    }
  }
}

bool ExploredWorld::write(u32 actor, TreeId id, u64 page)
{
  PhysAddr frame;
  u64* set = nullptr;
  const bool done = cores(id)[core_of(actor)].write(memory, tree(id), walked(id), page, frame, set);
  if (set) dirtied.push_back(set);
  if (done) memory.set_flags(frame, PageFlags::written);
  core.changed_trees |= 1u << id;
  return done;
}

void ExploredWorld::read(u32 actor, TreeId id, u64 page)
{
  u64* set = nullptr;
  cores(id)[core_of(actor)].read(memory, tree(id), walked(id), page, set);
  if (set) dirtied.push_back(set);
  core.changed_trees |= 1u << id;
}

const u64* ExploredWorld::delayed(u32 actor, const u64* word) const
{
  const StoreBuffer& buffer = core.buffers[actor];
  for (u32 i = buffer.count; i-- > 0;)
    if (buffer.stores[i].entry.word == word) return &buffer.stores[i].value;
  return nullptr;
}

void ExploredWorld::delay(u32 actor, const EntryRef& e, u64 value)
{
  StoreBuffer& buffer = core.buffers[actor];
  if (buffer.count == buffer.stores.size()) drain_one(actor);
  buffer.stores[buffer.count++] = {e, value};
}

void ExploredWorld::drain_one(u32 actor)
{
  StoreBuffer& buffer = core.buffers[actor];
  const DelayedStore oldest = buffer.stores[0];
  std::copy(buffer.stores.begin() + 1, buffer.stores.end(), buffer.stores.begin());
  --buffer.count;
  check_in_table(oldest.entry.word);
  write_entry(oldest.entry, oldest.value);
}

u64 ExploredWorld::hash_of_list(u32 list) const
{
  u64 sum = 0;
  for (; list; list = nodes_[list - 1].next) {
    const Node& n = nodes_[list - 1];
    sum += n.is_table ? mix(n.table.table.value, n.table.tree) : mix(n.frame.value, u64{n.level} + 99);
  }
  return sum;
}

// Tokens, and what else only ever repeats its owner's history, is left out.
u64 ExploredWorld::hash() const
{
  u64 h = mix(memory.counts.hash + memory.fresh_hash(), memory.counts.used_pages);
  auto add = [&h](u64 value) { h = mix(h, value); };
  add(core.object.bytes);
  add(core.object.slots);
  add(u64{core.changes_in_flight} << 16 | u64{core.inside});
  add(u64{core.object.frozen.value} << 32 | u64{core.object.merging.value});
  for (TreeId id = 0; id < trees_; ++id) {
    const Tree& t = id == primary_tree ? core.object.primary : core.views[id - 1u].tree;
    add(t.root.value);
    add(u64{t.pending.value} << 32 | u64{t.attached.value} << 2 | u64{core.exists[id]} << 1 | u64{core.attached[id]});
    for (u32 i = 0; i < scenario.cores; ++i) add(hardware_[id * scenario.cores + i].hash());
    if (id != primary_tree) add(core.object.views[id - 1u] != nullptr);
  }
  u64 sum = 0;
  for (u32 i = 0; i < core.batch_count; ++i) sum += mix(hash_of_list(core.batches[i].first), core.batches[i].waits_for);
  for (u32 i = 0; i < core.copy_count; ++i)
    sum += mix(mix(core.copies[i].from.value, core.copies[i].to.value), core.copies[i].outdated);
  for (u32 i = 0; i < max_owners; ++i) {
    if (core.waits_for[i]) sum += mix(i, core.waits_for[i]);
    for (u32 k = 0; k < core.buffers[i].count; ++k)
      sum +=
          mix(memory.address(core.buffers[i].stores[k].entry.word).value + i, mix(k, core.buffers[i].stores[k].value));
  }
  add(sum);
  for (const FaultRule& rule : faults_.rules())
    if (rule.counts()) add(rule.seen << 32 | rule.fired);
  if (!has_faults()) return h;  // then these are what their holders' histories say
  for (const Counter& token : core.object.move_tokens) h = token.value ? mix(h, token.value) : h + 1;
  return h;
}

ExploredWorld::Saved ExploredWorld::save(std::vector<std::byte>& buffer) const
{
  const Saved saved{log_.mark(), buffer.size(), static_cast<u32>(memory.fresh_count())};
  auto append = [&buffer](const void* from, std::size_t bytes) {
    const std::size_t where = buffer.size();
    buffer.resize(where + bytes);
    std::memcpy(buffer.data() + where, from, bytes);
  };
  append(&core, sizeof core);
  append(&memory.counts, sizeof memory.counts);
  append(hardware_.data(), hardware_.size() * sizeof(Hardware));
  append(memory.fresh().data(), saved.fresh * sizeof(ExploredMemory::Fresh));
  memory.for_each_fresh([&](const u64* words) { append(words, page_bytes); });
  return saved;
}

void ExploredWorld::restore(const Saved& saved, const std::vector<std::byte>& buffer)
{
  log_.undo_to(saved.mark);
  const std::byte* from = buffer.data() + saved.where;
  auto take = [&from](void* to, std::size_t bytes) {
    std::memcpy(to, from, bytes);
    from += bytes;
  };
  take(&core, sizeof core);
  take(&memory.counts, sizeof memory.counts);
  take(hardware_.data(), hardware_.size() * sizeof(Hardware));
  std::array<ExploredMemory::Fresh, 64> fresh;
  take(fresh.data(), saved.fresh * sizeof(ExploredMemory::Fresh));
  memory.set_fresh(fresh.data(), saved.fresh);
  for (u32 i = 0; i < saved.fresh; ++i) take(memory.words(fresh[i].table), page_bytes);
  violation_.clear();
}

}  // namespace morsel::sim
