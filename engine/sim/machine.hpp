// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine: physical memory, objects, and a walker for every format, in this process and deterministic.
// One actor runs at a time, on plain memory; the same calls and steps give the same words in the same places. Each view
// has a walker, which caches and sets accessed and dirty bits as hardware does (caching_walker.hpp).
//
// Actors, journal and faults act at points (baton.hpp, embedded_journal.hpp, fault_plan.hpp). A fault spoils the
// machine, never this process: addresses of no memory lead nowhere (arena.hpp), a View lives while it is listed.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "engine/morsel/all.hpp"
#include "engine/sim/arena.hpp"
#include "engine/sim/baton.hpp"
#include "engine/sim/caching_walker.hpp"
#include "engine/sim/embedded_journal.hpp"
#include "engine/sim/fault_plan.hpp"

namespace morsel::sim {

// What waits for the end of a grace period.
struct RetiredFrame {
  PhysAddr frame;
  Level level;
};
struct RetiredList {
  std::vector<RetiredTable> tables;
  std::vector<RetiredFrame> frames;
};
// ... of the sections that began before `stamp`.
struct RetiredBatch {
  u64 stamp = 0;
  RetiredList list;
  TreeId view = primary_tree;  // a dropped one, whose View goes, too
};

struct EmbeddedObject {
  std::string name;
  u32 id = 0;
  std::string base;  // the name of the object that it is a clone of
  Object object;
  std::map<TreeId, std::unique_ptr<View>> views;  // dropped ones until their grace period is over
  std::map<TreeId, CachingWalker> walkers;        // of views that were accessed
  bool going = false;                             // nobody finds it any more
  u64 tables = 0;                                 // of all trees, retired ones included
  u64 frames = 0;
  u64 last_token = 0;

  // Grace periods: a section notes the epoch that it began in, what is retired gets a new one.
  struct Section {
    u32 actor = 0;  // 0: nobody who can wait
    u64 began = 0;
  };
  u64 epoch = 0;
  std::vector<Section> sections;     // open ones
  std::deque<RetiredBatch> retired;  // ascending stamps

  std::vector<u32> users{};  // actors whose request is about this object
  u32 view_changer = 0;      // the actor that adds or drops a view: one at a time
};

class Machine {
 public:
  using Tell = Baton::Tell;
  explicit Machine(
      u64 memory_bytes, Tell tell = [](const session::Event&) {}, std::function<void(bool)> switched = {})
      : arena_(memory_bytes),
        dirty_(arena_.pages()),
        tell_(tell),
        baton_(std::move(tell)),
        journal_(std::move(switched))
  {
  }

  Arena& arena() { return arena_; }
  FaultPlan& faults() { return faults_; }
  Baton& baton() { return baton_; }
  EmbeddedJournal& journal() { return journal_; }
  u64 flushes = 0;  // since the start
  u64 fills = 0;

  // Points have something to do: wait, record, fail. Else they cost this question.
  bool observed() const { return baton_.watching() || journal_.recording() || !faults_.empty(); }
  void fired(const FaultRule& rule, u32 actor, const std::string& object);
  // MORSEL_FAULT_CRASH: nothing of it can be reached any more. Whoever was in the middle of something ends unseen.
  void crash();
  bool lost() const { return lost_; }
  // As it was when it was made. Nobody may be in it.
  void reset();

  // The frame state's dirty-log bit; the dirty log reads it.
  void mark_dirty(PhysAddr frame, Level level) { set_dirty(frame, level, true); }
  // A frame that is new to somebody was written by nobody.
  void mark_clean(PhysAddr frame, Level level) { set_dirty(frame, level, false); }
  bool is_dirty(PhysAddr frame) const { return arena_.contains(frame) && dirty_[arena_.page_number(frame)]; }
  bool take_dirty(PhysAddr frame)
  {
    const bool dirty = is_dirty(frame);
    if (dirty) dirty_[arena_.page_number(frame)] = false;
    return dirty;
  }

 private:
  void set_dirty(PhysAddr frame, Level level, bool dirty);

  Arena arena_;
  FaultPlan faults_;
  std::vector<bool> dirty_;
  const Tell tell_;
  Baton baton_;
  EmbeddedJournal journal_;
  std::atomic<bool> lost_{false};
};

// What the fault plan decided about one access.
struct FaultDecision {
  morsel_fault_action action = MORSEL_FAULT_NONE;
  u64 bits = 0;
  SyncPoint until = SyncPoint::leave;
};

// Who is at the engine's door: without an actor nobody waits at points. Hardware and whoever only looks are unseen:
// what they do is one step of the actor in whose name it is done, and no fault hits it.
enum class Seen : u8 { yes, no };

// The embedded machine as the engine's platform. Unobserved accesses are inline; the others wait, fail and are recorded
// in machine.cpp.
class EmbeddedPlatform {
 public:
  using Retired = RetiredList;
  static constexpr bool own_walker = true;
  EmbeddedPlatform(Machine& machine, EmbeddedObject& object, Baton::Actor* actor = nullptr, Seen seen = Seen::yes)
      : machine_(machine), object_(object), actor_(actor), seen_(seen)
  {
  }
  ~EmbeddedPlatform() { do_later({}); }
  EmbeddedPlatform(const EmbeddedPlatform&) = delete;
  EmbeddedPlatform& operator=(const EmbeddedPlatform&) = delete;

  void enter();
  void leave();

  Expected<PhysAddr> allocate_table(TreeId tree, Level level, u32 order = 0);
  void discard_table(TreeId tree, Level level, PhysAddr table) { free_table(tree, level, table, 0); }
  u64* words(PhysAddr table) { return machine_.arena().table_words(table); }
  Expected<PhysAddr> allocate_frame(Level level);
  void discard_frame(PhysAddr frame, Level level) { free_frame(frame, level); }

  u64 load(SyncPoint at, const EntryRef& e)
  {
    if (observed()) [[unlikely]]
      observe({.point = at, .entry = e}, [&e] { return *e.word; });
    return *e.word;
  }
  void store_private(SyncPoint at, const EntryRef& e, u64 word);
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    if (observed()) [[unlikely]]
      return observed_exchange(at, e, desired);
    return std::exchange(*e.word, desired);
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    if (observed()) [[unlikely]]
      return observed_compare_exchange(at, e, expected, desired);
    if (*e.word != expected) return false;
    *e.word = desired;
    return true;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta);
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    if (observed()) [[unlikely]]
      observe({.point = at, .entry = {nullptr, 0, tree, 0}, .counter = &counter}, [&counter] { return counter.value; });
    return counter.value;
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    if (observed()) [[unlikely]]
      observe({.point = at}, [&word] { return word; });
    return word;
  }
  void store_word(SyncPoint at, u64& word, u64 value);
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    if (observed()) [[unlikely]]
      observe({.point = at}, [&slot] { return u64{slot != nullptr}; });
    return slot;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value);
  void flush(SyncPoint at, const FlushRequest& request);
  void carry(SyncPoint at, PhysAddr frame, Level level);
  bool is_dirty(PhysAddr frame) const { return machine_.is_dirty(frame); }
  bool take_dirty(SyncPoint at, PhysAddr frame);
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level);
  void wait_for_grace_period(SyncPoint at);

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table);
  void note_frame(Retired& retired, PhysAddr frame, Level level) { retired.frames.push_back({frame, level}); }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    for (const RetiredTable& t : retired.tables) visit(t.tree, t.level, t.table);
  }
  void retire(SyncPoint at, Retired& retired);
  // The View of a dropped view: it is freed when everybody who may still use it has left.
  void retire_view(TreeId view);
  void free_table(TreeId tree, Level level, PhysAddr table, u32 order);
  void free_frame(PhysAddr frame, Level level);
  u64 token() { return ++object_.last_token; }

 private:
  using Access = Baton::Access;
  using Fault = FaultDecision;
  struct Later {
    SyncPoint until;
    std::function<void()> access;
  };

  bool observed() const { return seen_ == Seen::yes && machine_.observed(); }
  // Waits until it is the actor's turn; then the fault plan decides.
  Fault announce(const Access& next);
  // One record.
  void note(const Access& done, u64 before, u64 after, const Fault& fault = {}, u32 flags = 0);
  // A read, which only waits and is recorded.
  template <class Value>
  void observe(const Access& read, Value&& value)
  {
    announce(read);
    const u64 found = value();
    note(read, found, found);
  }
  u64 observed_exchange(SyncPoint at, const EntryRef& e, u64 desired);
  bool observed_compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired);
  // An access that was announced happens: now, twice, later or never. It writes its own record; `still` is what the
  // record of one that does not happen says.
  void carry_out(const Access& done, const Fault& fault, u64 still, std::function<void(const Fault&)> access);
  // The same for one that has neither entry nor counter; `before` and `after` are its record.
  void announce_and_do(const Access& done, u64 before, u64 after, std::function<void(const Fault&)> access);
  Expected<PhysAddr> allocate(TreeId tree, Level level, u32 order, u32 flags);
  // What waited for this point; without one, all that is left.
  void do_later(std::optional<SyncPoint> passed);
  void close_section();
  void release_expired();
  const View* listed_view(TreeId number) const;
  u32 actor_id() const { return actor_ ? actor_->id : 0; }
  FormatId format_of(TreeId tree) const;
  void flush_walker(TreeId tree, Range range);

  Machine& machine_;
  EmbeddedObject& object_;
  Baton::Actor* const actor_;
  const Seen seen_;
  bool releasing_ = false;  // at the end of a grace period: nobody waits there
  u64 began_ = 0;           // the open section's epoch
  std::vector<Later> later_;
};
static_assert(Platform<EmbeddedPlatform>);

}  // namespace morsel::sim
