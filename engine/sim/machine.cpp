// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/machine.hpp"

#include <algorithm>
#include <cstring>

namespace morsel::sim {

namespace {

// Pages of a leaf at `level`, as a power of two.
constexpr u32 order_lg2(Level level) { return 9u * level; }

}  // namespace

void Machine::set_dirty(PhysAddr frame, Level level, bool dirty)
{
  if (!arena_.contains(frame)) return;
  const u64 first = arena_.page_number(frame), end = std::min(first + (u64{1} << order_lg2(level)), arena_.pages());
  for (u64 page = first; page < end; ++page) dirty_[page] = dirty;
}

void Machine::fired(const FaultRule& rule, u32 actor, const std::string& object)
{
  tell_({session::Event::Kind::fault_fired, object,
         "rule " + std::to_string(rule.number) + " fired at " + std::string(point_name(rule.point)), actor,
         rule.number});
}

void Machine::crash()
{
  lost_ = true;
  faults_.clear();
  baton_.run();
  tell_({session::Event::Kind::target_lost, {}, "the embedded machine has crashed, as it was told to"});
}

void Machine::reset()
{
  arena_.reset();
  faults_ = {};
  std::fill(dirty_.begin(), dirty_.end(), false);
  baton_.reset();
  journal_.reset();
  lost_ = false;
  flushes = fills = 0;
}

EmbeddedPlatform::Fault EmbeddedPlatform::announce(const Access& next)
{
  if (actor_ && !releasing_) machine_.baton().pause(*actor_, next);
  if (machine_.faults().empty()) return {};
  const FaultRule* const rule = machine_.faults().find({.point = next.point,
                                                        .tree = next.entry.tree,
                                                        .actor = actor_id(),
                                                        .span = next.span(),
                                                        .reads = next.kind == Access::Kind::read,
                                                        .object = object_.id});
  if (!rule) return {};
  const Fault fault{rule->action, rule->bits, rule->until};
  machine_.fired(*rule, actor_id(), object_.name);
  if (fault.action != MORSEL_FAULT_CRASH) return fault;
  machine_.crash();
  return {};
}

void EmbeddedPlatform::note(const Access& done, u64 before, u64 after, const Fault& fault, u32 flags)
{
  if (machine_.journal().recording() && !machine_.lost()) {
    morsel_journal_record r{};
    r.object_offset = done.entry.offset;
    r.before = before;
    r.after = after;
    r.actor_id = actor_id();
    r.object_id = object_.id;
    r.point = static_cast<u16>(done.point);
    r.tree = done.entry.tree;
    r.level = done.entry.level;
    r.actor_kind = releasing_ ? MORSEL_ACTOR_RECLAIM : actor_ ? MORSEL_ACTOR_CALLER : MORSEL_ACTOR_NONE;
    r.fault_action = static_cast<u8>(fault.action);
    r.flags = flags | (releasing_ && machine_.baton().watching() ? MORSEL_RECORD_UNGATED : 0);
    machine_.journal().append(r);
  }
  if (!later_.empty()) do_later(done.point);
}

void EmbeddedPlatform::do_later(std::optional<SyncPoint> passed)
{
  for (std::size_t i = 0; i < later_.size();) {
    if (passed && later_[i].until != *passed) {
      ++i;
      continue;
    }
    const std::function<void()> access = std::move(later_[i].access);
    later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(i));
    access();
    i = 0;  // it may have made others happen
  }
}

void EmbeddedPlatform::carry_out(const Access& done, const Fault& fault, u64 still,
                                 std::function<void(const Fault&)> access)
{
  switch (fault.action) {
    case MORSEL_FAULT_DROP: return note(done, still, still, fault);
    case MORSEL_FAULT_DELAY:
      note(done, still, still, fault);
      return later_.push_back({fault.until, [access = std::move(access)] { access({}); }});
    case MORSEL_FAULT_DUPLICATE: access(fault); break;
    default: break;
  }
  access(fault);
}

// A dropped view is off the list when its tables are noted for the last time, but still in the map.
FormatId EmbeddedPlatform::format_of(TreeId tree) const
{
  return tree == primary_tree ? PrimaryFormat::id : object_.views.at(tree)->tree.format;
}

void EmbeddedPlatform::enter()
{
  if (observed()) observe({.point = SyncPoint::enter}, [] { return u64{0}; });
  began_ = object_.epoch;
  object_.sections.push_back({actor_id(), began_});
}

void EmbeddedPlatform::leave()
{
  if (observed()) {
    const Access access{.point = SyncPoint::leave};
    announce(access);
    do_later({});
    note(access, 0, 0);
  }
  const auto mine = std::find_if(object_.sections.begin(), object_.sections.end(),
                                 [&](const auto& s) { return s.actor == actor_id() && s.began == began_; });
  object_.sections.erase(mine);
  release_expired();
}

// Null if the object goes: nobody asks its list any more.
const View* EmbeddedPlatform::listed_view(TreeId number) const
{
  return object_.going || number == primary_tree ? nullptr
                                                 : static_cast<const View*>(object_.object.views[number - 1u]);
}

// Whatever was retired before every open section began can be reached by nobody. But for a view that a fault has kept
// on the list: it stays a view, with its root.
void EmbeddedPlatform::release_expired()
{
  u64 oldest = ~u64{0};
  for (const EmbeddedObject::Section& s : object_.sections) oldest = std::min(oldest, s.began);
  releasing_ = true;
  while (!object_.retired.empty() && object_.retired.front().stamp <= oldest) {
    const RetiredBatch over = std::move(object_.retired.front());
    object_.retired.pop_front();
    for (const RetiredTable& t : over.list.tables)
      if (const View* const view = listed_view(t.tree); !view || view->tree.root != t.table) release(*this, t);
    for (const RetiredFrame& f : over.list.frames) free_frame(f.frame, f.level);
    if (over.view != primary_tree && !listed_view(over.view)) {
      object_.views.erase(over.view);
      object_.walkers.erase(over.view);
    }
  }
  releasing_ = false;
}

void EmbeddedPlatform::wait_for_grace_period(SyncPoint at)
{
  const Access access{.kind = Access::Kind::store, .point = at};
  Fault fault;
  if (observed()) fault = announce(access);
  const u64 stamp = ++object_.epoch;
  if (actor_ && fault.action != MORSEL_FAULT_DROP)
    machine_.baton().wait_for(*actor_, [&object = object_, stamp] {
      std::vector<u32> inside;
      for (const EmbeddedObject::Section& s : object.sections)
        if (s.began < stamp) inside.push_back(s.actor);
      return inside;
    });
  if (observed()) note(access, 0, 0, fault);
}

void EmbeddedPlatform::retire(SyncPoint at, Retired& retired)
{
  const Access access{.kind = Access::Kind::store, .point = at};
  Fault fault;
  if (observed()) fault = announce(access);
  Retired list = std::exchange(retired, {});
  if (fault.action != MORSEL_FAULT_DROP && !(list.tables.empty() && list.frames.empty()))
    object_.retired.push_back({++object_.epoch, std::move(list)});
  if (observed()) note(access, 0, 0, fault);
}

void EmbeddedPlatform::retire_view(TreeId view)
{
  object_.retired.push_back({++object_.epoch, {}, view});
  release_expired();
}

void EmbeddedPlatform::note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
{
  retired.tables.push_back({tree, format_of(tree), level, table});
}

Expected<PhysAddr> EmbeddedPlatform::allocate(TreeId tree, Level level, u32 order, u32 flags)
{
  const Access access{.kind = Access::Kind::store, .point = SyncPoint::alloc, .entry = {nullptr, 0, tree, level}};
  Fault fault;
  if (observed()) fault = announce(access);
  Expected<PhysAddr> made = Error::no_memory;
  if (fault.action != MORSEL_FAULT_FAIL) made = machine_.arena().allocate(order);
  if (made) (flags ? object_.tables : object_.frames) += flags ? 1 : u64{1} << order;
  if (observed()) note(access, 0, made ? made->value : 0, fault, made ? flags : 0);
  return made;
}

Expected<PhysAddr> EmbeddedPlatform::allocate_table(TreeId tree, Level level, u32 order)
{
  return allocate(tree, level, order, MORSEL_RECORD_TABLE);
}

Expected<PhysAddr> EmbeddedPlatform::allocate_frame(Level level)
{
  const Expected<PhysAddr> made = allocate(primary_tree, level, order_lg2(level), 0);
  if (made) machine_.mark_clean(*made, level);
  return made;
}

void EmbeddedPlatform::free_table(TreeId, Level, PhysAddr table, u32 order)
{
  machine_.arena().release(table, order);
  --object_.tables;
}

void EmbeddedPlatform::free_frame(PhysAddr frame, Level level)
{
  machine_.arena().release(frame, order_lg2(level));
  object_.frames -= u64{1} << order_lg2(level);
}

// Nobody else can reach the table: the actor does not wait for its turn.
void EmbeddedPlatform::store_private(SyncPoint at, const EntryRef& e, u64 word)
{
  *e.word = word;
  if (!observed()) return;
  const u64 address =
      Arena::base.value + static_cast<u64>(reinterpret_cast<std::byte*>(e.word) - machine_.arena().host(Arena::base));
  note({.kind = Access::Kind::store, .point = at, .entry = e}, address, word, {}, MORSEL_RECORD_PRIVATE);
}

u64 EmbeddedPlatform::observed_exchange(SyncPoint at, const EntryRef& e, u64 desired)
{
  const Access access{.kind = Access::Kind::store, .point = at, .entry = e, .desired = desired};
  const Fault fault = announce(access);
  const u64 before = *e.word;
  carry_out(access, fault, before, [this, access](const Fault& f) {
    const u64 found = std::exchange(*access.entry.word, access.desired ^ f.bits);
    note(access, found, *access.entry.word, f);
  });
  return before;
}

bool EmbeddedPlatform::observed_compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
{
  const Access access{.kind = Access::Kind::compare, .point = at, .entry = e, .expected = expected, .desired = desired};
  const Fault fault = announce(access);
  const u64 found = *e.word;
  if (found != expected || fault.action == MORSEL_FAULT_FAIL) {
    note(access, found, found, fault, MORSEL_RECORD_LOST);
    return false;
  }
  carry_out(access, fault, found, [this, access](const Fault& f) {
    u64& word = *access.entry.word;
    if (word != access.expected) return note(access, word, word, f, MORSEL_RECORD_LOST);
    word = access.desired ^ f.bits;
    note(access, access.expected, word, f);
  });
  return true;
}

void EmbeddedPlatform::add(SyncPoint at, TreeId tree, Counter& counter, int delta)
{
  const auto by = static_cast<u32>(delta);
  if (!observed()) {
    counter.value += by;
    return;
  }
  const Access access{
      .kind = Access::Kind::add, .point = at, .entry = {nullptr, 0, tree, 0}, .counter = &counter, .desired = by};
  const Fault fault = announce(access);
  carry_out(access, fault, counter.value, [this, access, &counter, by](const Fault& f) {
    const u32 before = counter.value;
    counter.value = (before + by) ^ static_cast<u32>(f.bits);
    note(access, before, counter.value, f);
  });
}

void EmbeddedPlatform::announce_and_do(const Access& done, u64 before, u64 after,
                                       std::function<void(const Fault&)> access)
{
  if (!observed()) return access({});
  carry_out(done, announce(done), before, [this, done, before, after, access = std::move(access)](const Fault& f) {
    access(f);
    note(done, before, after, f);
  });
}

// The number of views that are to be looked at, however spoilt, is not larger than their list.
void EmbeddedPlatform::store_word(SyncPoint at, u64& word, u64 value)
{
  const u64 most = at == SyncPoint::list ? max_views : ~u64{0};
  announce_and_do({.kind = Access::Kind::store, .point = at}, word, value,
                  [&word, value, most](const Fault& f) { word = std::min(value ^ f.bits, most); });
}

// Host addresses mean nothing to anybody: a record says whether there is one.
void EmbeddedPlatform::store_pointer(SyncPoint at, void*& slot, void* value)
{
  announce_and_do({.kind = Access::Kind::store, .point = at}, slot != nullptr, value != nullptr,
                  [&slot, value](const Fault&) { slot = value; });
}

void EmbeddedPlatform::flush_walker(TreeId tree, Range range)
{
  ++machine_.flushes;
  if (const auto walker = object_.walkers.find(tree); walker != object_.walkers.end()) walker->second.flush(range);
}

void EmbeddedPlatform::flush(SyncPoint at, const FlushRequest& request)
{
  if (!observed()) return flush_walker(request.tree, request.range);
  const Access access{.kind = Access::Kind::store,
                      .point = at,
                      .entry = {nullptr, request.range.start, request.tree, 0},
                      .asked = request.range};
  const u64 start = request.range.start, end = request.range.end;
  carry_out(access, announce(access), start, [this, access, start, end](const Fault& f) {
    flush_walker(access.entry.tree, {start ^ f.bits, end ^ f.bits});
    note(access, start ^ f.bits, end ^ f.bits, f);
  });
}

void EmbeddedPlatform::carry(SyncPoint at, PhysAddr frame, Level level)
{
  announce_and_do({.kind = Access::Kind::store, .point = at, .entry = {nullptr, 0, primary_tree, level}}, frame.value,
                  frame.value, [this, frame, level](const Fault&) { machine_.mark_dirty(frame, level); });
}

bool EmbeddedPlatform::take_dirty(SyncPoint at, PhysAddr frame)
{
  if (!observed()) return machine_.take_dirty(frame);
  const Access access{.point = at};
  announce(access);
  const bool dirty = machine_.take_dirty(frame);
  note(access, dirty, 0);
  return dirty;
}

// A copy that is corrupted is torn: its second half stays as it was. Where no memory is, nothing is read or stored.
void EmbeddedPlatform::copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
{
  announce_and_do({.kind = Access::Kind::store, .point = at, .entry = {nullptr, 0, primary_tree, level}}, from.value,
                  to.value, [this, from, to, level](const Fault& f) {
                    const u64 bytes = page_bytes << order_lg2(level);
                    const Arena& arena = machine_.arena();
                    if (!arena.contains(from, bytes) || !arena.contains(to, bytes)) return;
                    std::memcpy(arena.host(to), arena.host(from), f.action == MORSEL_FAULT_CORRUPT ? bytes / 2 : bytes);
                  });
}

}  // namespace morsel::sim
