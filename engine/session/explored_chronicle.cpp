// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/explored_chronicle.hpp"

#include <cstring>

namespace morsel::session {

namespace {

using sim::ExploredMemory;
using sim::ExploredRun;
using sim::ExploredWorld;

constexpr u64 ns_per_step = 1000;
constexpr u32 object_id = 1, base_id = 2;
constexpr u64 words_of_tables = ExploredMemory::table_memory_bytes() / sizeof(u64);

const u64* words_at(const ExploredMemory& memory, u64 page)
{
  return memory.words({ExploredMemory::table_memory_start() + page * page_bytes});
}

// What a counter, a word or a pointer of the world holds that is no entry.
u64 value_at(const ExploredWorld& world, const void* where)
{
  const auto& core = world.core;
  for (const Object* object : {&core.object, &core.base}) {
    if (where == &object->bytes || where == &object->slots) return *static_cast<const u64*>(where);
    for (void* const& view : object->views)
      if (where == &view) return view != nullptr;
  }
  return static_cast<const Counter*>(where)->value;
}

std::vector<ObjectState> objects_of(const ExploredWorld& world)
{
  const auto& core = world.core;
  u64 tables = 0;
  for (u64 page = 0; page < ExploredMemory::table_memory_bytes() / page_bytes; ++page)
    tables += world.memory.is_table(words_at(world.memory, page));
  const auto state_of = [](const Object& object, std::string_view name, u32 id) {
    ObjectState o;
    o.name = name;
    o.id = id;
    o.bytes = object.bytes;
    o.root = object.primary.root;
    o.root_level = object.primary.root_level;
    o.attached = object.primary.attached.value;
    o.frozen = object.frozen.value != 0;
    o.clones = object.clones.value;
    return o;
  };
  std::vector<ObjectState> objects{state_of(core.object, explored_name, object_id)};
  objects[0].tables = tables;
  objects[0].frames = world.memory.counts.used_pages - tables;
  for (TreeId id = 1; id <= max_views; ++id)
    if (core.object.views[id - 1u]) {
      const Tree& tree = core.views[id - 1u].tree;
      objects[0].views.push_back({id, tree.format, tree.root, tree.root_level, tree.attached.value});
    }
  if (core.object.base) {
    objects[0].base = explored_base_name;
    objects.push_back(state_of(core.base, explored_base_name, base_id));
  }
  return objects;
}

bool is_aside(sim::Access access)
{
  using sim::Access;
  switch (access) {
    case Access::begin:
    case Access::finish:
    case Access::look:
    case Access::end_flush:
    case Access::end_wait:
    case Access::hardware_write:
    case Access::hardware_read:
    case Access::attach: return true;
    default: return false;
  }
}

// Goes along with a run, and keeps what it did.
class Scribe {
 public:
  explicit Scribe(ExploredRun& run) : run_(run), seen_(words_of_tables)
  {
    run_.world().settle();
    look([](u64, u64, u64) {});
    beginning_ = seen_;
    objects_.push_back({0, objects_of(run_.world())});
  }

  void before(sim::Choice choice)
  {
    const sim::PendingStep& next = run_.pending(choice);
    where_ = sim::is_buffer(choice) ? nullptr : next.where;
    value_ = where_ ? value_at(run_.world(), where_) : 0;
    fired_.clear();
    for (const sim::FaultRule& rule : run_.world().fault_rules()) fired_.push_back(rule.fired);
  }

  void after(const sim::Step& step)
  {
    records_.push_back(record_of(step));
    const std::size_t number = records_.size() - 1;
    look([&](u64 index, u64 was, u64 is) { changes_.push_back({number, {index, was, is}}); });
    std::vector<ObjectState> objects = objects_of(run_.world());
    if (objects != objects_.back().objects) objects_.push_back({records_.size(), std::move(objects)});
  }

  ExploredChronicle finish(const std::string& target, const std::string& violation)
  {
    ExploredChronicle made;
    made.violation = violation;
    Chronicle& c = made.chronicle;
    c.target = target;
    c.history = std::make_unique<History>(
        std::vector<Extent>{{ExploredMemory::table_memory_start(), ExploredMemory::table_memory_bytes()}},
        std::move(objects_), std::vector<Doubt>{});
    TableImage& image = c.history->image();
    for (u64 i = 0; i < words_of_tables; ++i)
      if (beginning_[i] != 0) image.set(i, beginning_[i]);
    std::size_t next = 0;
    std::vector<TableChange> of_one;
    for (std::size_t number = 0; number < records_.size(); ++number) {
      of_one.clear();
      for (; next < changes_.size() && changes_[next].record == number; ++next) {
        of_one.push_back(changes_[next].change);
        image.set(of_one.back().index, of_one.back().after);
      }
      c.history->append_saved(of_one);
    }
    c.journal.append({std::move(records_), 0, 0});
    if (!violation.empty()) c.findings.push_back({c.journal.size(), violation});
    return made;
  }

 private:
  struct Change {
    std::size_t record;
    TableChange change;
  };

  // Every word of a table that is not as it was at the last look: changed(index, was, is).
  template <class Changed>
  void look(Changed&& changed)
  {
    const ExploredMemory& memory = run_.world().memory;
    constexpr u64 words = page_bytes / sizeof(u64);
    for (u64 page = 0; page < words_of_tables / words; ++page) {
      const u64* const is = words_at(memory, page);
      u64* const was = &seen_[page * words];
      if (!memory.is_table(is) || std::memcmp(was, is, page_bytes) == 0) continue;
      for (u64 i = 0; i < words; ++i)
        if (was[i] != is[i]) changed(page * words + i, was[i], is[i]);
      std::memcpy(was, is, page_bytes);
    }
  }

  JournalRecord record_of(const sim::Step& step) const
  {
    const sim::PendingStep& what = step.what;
    JournalRecord r{};
    r.sequence = records_.size() + 1;
    r.time_ns = r.sequence * ns_per_step;
    r.object_offset = what.entry.offset;
    r.actor_id = sim::actor_of(step.choice) + 1;
    r.object_id = object_id;
    r.point = static_cast<u16>(what.point);
    r.tree = what.entry.tree;
    r.level = what.entry.level;
    r.actor_kind = MORSEL_ACTOR_CALLER;
    r.cpu = run_.world().core_of(r.actor_id);
    if (what.entry.word) {
      r.before = step.before;
      r.after = step.after;
    } else if (where_) {
      r.before = value_;
      r.after = value_at(run_.world(), where_);
    }
    if (sim::is_buffer(step.choice)) {
      r.flags |= record_seen_late;
      r.point = static_cast<u16>(point_of_delayed(what.entry));
    } else if (is_aside(what.access)) {
      r.flags |= record_aside;
    }
    note_fault(r);
    return r;
  }

  // Only the fault plan delays stores: the point that it names.
  SyncPoint point_of_delayed(const EntryRef& entry) const
  {
    for (const sim::FaultRule& rule : run_.world().fault_rules())
      if (rule.twist == sim::Twist::plain && rule.tree.value_or(entry.tree) == entry.tree) return rule.point;
    return SyncPoint::change;
  }

  void note_fault(JournalRecord& r) const
  {
    const auto& rules = run_.world().fault_rules();
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].fired == fired_[i] || static_cast<u16>(rules[i].point) != r.point) continue;
      if (rules[i].twist == sim::Twist::none)
        r.fault_action = static_cast<u8>(rules[i].action);
      else if (rules[i].twist == sim::Twist::late)
        r.fault_action = MORSEL_FAULT_DELAY;
      else
        r.flags |= record_twisted;
    }
  }

  ExploredRun& run_;
  std::vector<u64> seen_, beginning_;  // words of tables
  std::vector<JournalRecord> records_;
  std::vector<Change> changes_;
  std::vector<ObjectsSince> objects_;
  const void* where_ = nullptr;  // of the step under way
  u64 value_ = 0;
  std::vector<u64> fired_;  // by rule
};

}  // namespace

ExploredChronicle explore_again(const sim::TokenRun& token)
{
  ExploredRun run(token.scenario);
  Scribe scribe(run);
  const sim::Replay told = sim::replay(
      run, token.schedule,
      {[&](sim::Choice choice) { scribe.before(choice); }, [&](const sim::Step& step) { scribe.after(step); }});
  ExploredChronicle made = scribe.finish("exploration of " + sim::to_text(token.scenario), told.violation);
  made.steps = told.steps;
  return made;
}

}  // namespace morsel::session
