// SPDX-License-Identifier: GPL-2.0-or-later
//
// A target: a machine that holds objects. The embedded machine and the test VM stand behind this one interface, and
// command line and window know nothing else. Every request throws Failure when it cannot be done.
//
// Thread safety: one thread at a time calls requests; with the gate closed (engine/session/stepping.hpp) several do,
// each an actor. Listeners are called from the target's own thread or from within a request, and must not call back.
#pragma once
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/abi/morsel_counters.h"
#include "engine/abi/morsel_journal.h"
#include "engine/format/all.hpp"
#include "engine/inspect/physical_memory.hpp"
#include "engine/inspect/snapshot.hpp"
#include "engine/platform/platform.hpp"
#include "engine/session/failure.hpp"
#include "engine/session/journal_source.hpp"
#include "engine/session/stepping.hpp"

namespace morsel::session {

struct ViewState {
  TreeId number = 0;        // from 1
  FormatId format = FormatId::amd64;
  PhysAddr root;
  Level root_level = 0;
  u32 attached = 0;         // mappings of this view by processes
  inspect::Maker maker = inspect::Maker::engine;
  inspect::TreeSource source() const { return {format, root, root_level, maker}; }
  bool operator==(const ViewState&) const = default;
};

struct ObjectState {
  std::string name;
  u32 id = 0;
  u64 bytes = 0;
  PhysAddr root;
  Level root_level = 0;
  u32 attached = 0;         // mappings of the primary by processes, vCPUs on it
  u64 tables = 0;           // of the primary and all views
  u64 frames = 0;
  std::vector<ViewState> views;
  bool frozen = false;  // the base of clones: it does not change any more
  std::string base{};   // whose tables and frames this clone uses; empty: it is none
  u32 clones = 0;       // that use this one's
  FormatId format = FormatId::amd64;
  inspect::Maker maker = inspect::Maker::engine;  // foreign: an address space to look at (Roots)
  inspect::TreeSource source() const { return {format, root, root_level, maker}; }
  Range range() const { return {0, bytes}; }
  bool operator==(const ObjectState&) const = default;
};

// A run of mapped pages with the same rights.
struct MappedRun {
  Range range;
  Rights rights;
};
// Runs of pages, ascending and not adjacent, since the last harvest.
struct HarvestReply {
  std::vector<Range> accessed, dirty;
};
// Runs as the engine reports them, tree by tree and a page perhaps twice: ascending, and as long as may be.
inline std::vector<Range> joined(std::vector<Range> runs)
{
  std::sort(runs.begin(), runs.end(), [](Range a, Range b) { return a.start < b.start; });
  std::vector<Range> result;
  for (const Range r : runs) {
    if (!result.empty() && r.start <= result.back().end)
      result.back().end = std::max(result.back().end, r.end);
    else
      result.push_back(r);
  }
  return result;
}

enum class AccessOutcome : u8 { hit, filled, populated, denied, copied };
constexpr std::string_view outcome_name(AccessOutcome o)
{
  constexpr std::string_view names[] = {"hit", "filled", "populated", "denied", "copied"};
  return names[static_cast<u8>(o)];
}

struct AccessRequest {
  std::string object;
  TreeId view = primary_tree;   // primary_tree: the primary itself
  u64 offset = 0;               // bytes, multiple of 8
  Rights right = right_read;    // exactly one
  u64 value = 0;                // to write
  bool populate = true;        // a hole in the primary is populated, a page of a base copied; else outcome denied
  bool touch = true;           // memory is accessed; else a view is filled for the access, and nothing more
  bool vcpu = false;           // by a virtual CPU or not at all; the primary is attached to it
};
struct AccessReply {
  AccessOutcome outcome = AccessOutcome::denied;
  std::string walker;           // who walked: "the engine's walker in the module", "the embedded machine's walker", …
  bool cached = false;          // it used a cached translation: no entry was looked at
  u64 value = 0;                // read
};

// What the walker of a tree has cached, where a machine shows it.
struct WalkerCaches {
  struct Translation {
    u64 page = 0;        // byte offset of the 4-KiB page
    PhysAddr frame{};    // of that page
    Rights rights{};
    Level level = 0;     // of the leaf it came from
    bool dirty = false;
    bool absent = false;  // that there is no leaf; nothing else holds then
  };
  struct Table {
    Range range;  // what it covers
    PhysAddr table;
    Level level = 0;
  };
  std::vector<Translation> translations;  // ascending
  std::vector<Table> tables;
};

struct InjectRule {
  u32 number = 0;               // given by the target
  SyncPoint point = SyncPoint::invalidate;
  morsel_fault_action action = MORSEL_FAULT_DROP;
  std::optional<TreeId> tree{};  // empty: any
  u64 nth = 1;                  // fires at the nth matching access from now on
  u64 times = 1;
  u64 fired = 0;
  std::optional<Range> range{};  // empty: any offset
  std::optional<u32> actor{};   // its id; empty: any
  u64 interval = 1;             // of those that follow, at every so many
  u32 probability = 100;        // percent, drawn from `seed`
  u64 seed = 0;
  SyncPoint until = SyncPoint::leave;  // MORSEL_FAULT_DELAY: the access happens when the actor has passed this point
  u64 bits = 0;                 // MORSEL_FAULT_CORRUPT: flipped in the word that is stored
  std::optional<std::string> object{};  // its name, empty once it has none; nothing: any
};

// What the target holds; all zero when the last object is gone.
struct Counters {
#define MORSEL_COUNTER_FIELD(field, name) u64 field = 0;
  MORSEL_COUNTER_LIST(MORSEL_COUNTER_FIELD)
#undef MORSEL_COUNTER_FIELD
};

struct TargetInfo {
  std::string kind;        // "embedded", "vm", "dump", "guest"
  std::string name;        // "embedded", the VM's name
  std::string machine;     // who walks tables, in words: "QEMU 7.2 TCG, Linux 6.1.0-56-amd64"
  u64 memory_bytes = 0;
};

struct Event {
  enum class Kind : u8 {
    object_changed,
    program_ended,
    target_lost,
    stopped,      // an actor waits at a point, or the gate was closed
    resumed,      // the gate was opened
    fault_fired,  // a rule of injection
    command_finished,  // from a session: a command that had waited at points; `text` is it
  } kind = Kind::object_changed;
  std::string object{};    // object_changed: its name
  std::string text{};      // for people
  u32 actor = 0;           // stopped, fault_fired: who
  u32 rule = 0;            // fault_fired
};

// A program in the guest (the VM only).
struct ProgramResult {
  std::optional<int> exit_status;
  std::optional<int> signal;
  std::string output, errors;
};

// A CPU's registers that say which tables it walks; x86-64.
struct CpuState {
  u64 rip = 0, cr0 = 0, cr3 = 0, cr4 = 0;
};

// A target whose memory is only looked at: a dump, a guest of somebody else. Its objects are address spaces, whose
// roots are told to it. All requests that would change something are refused.
class Roots {
 public:
  virtual ~Roots() = default;
  // As they are now; empty if nobody says so.
  virtual std::vector<CpuState> cpus() = 0;
  // Throws Failure if the name is taken, or no table can stand there.
  virtual ObjectState add_root(const std::string& name, const inspect::TreeSource& root) = 0;
  // As a view of an address space, to be compared with it.
  virtual ViewState add_beside(const std::string& name, const inspect::TreeSource& root) = 0;
  // Forgets it. Nothing changes in the memory.
  virtual void drop_root(const std::string& name) = 0;
};

class Target {
 public:
  virtual ~Target() = default;

  virtual TargetInfo info() const = 0;
  virtual Counters counters() = 0;
  // Valid as long as the target; its bytes change while the target runs.
  virtual const inspect::PhysicalMemory& memory() const = 0;

  virtual std::vector<ObjectState> objects() = 0;
  virtual ObjectState object(const std::string& name) = 0;
  // Without a root level: the lowest that covers `bytes`.
  virtual ObjectState create_object(const std::string& name, u64 bytes, std::optional<Level> root_level) = 0;
  virtual void destroy_object(const std::string& name) = 0;
  // Each returns the pages changed.
  virtual u64 populate(const std::string& name, Range range, Rights rights, Level leaf_level) = 0;
  virtual u64 unmap(const std::string& name, Range range) = 0;
  virtual u64 protect(const std::string& name, Range range, Rights rights) = 0;
  // Leaves of the primary that are larger than `leaf_level` become smaller ones. Nothing that is mapped changes.
  virtual void split(const std::string& name, Range range, Level leaf_level) = 0;
  // The reverse, where frames lie side by side. Returns the leaves of `leaf_level` made.
  virtual u64 merge(const std::string& name, Range range, Level leaf_level) = 0;
  // Moves pages to other frames. Returns the pages moved; what somebody else holds or changes stays where it is.
  virtual u64 migrate(const std::string& name, Range range) = 0;
  // The pages accessed and written since the last harvest, which are forgotten by it.
  virtual HarvestReply harvest(const std::string& name, Range range) = 0;
  // Runs of pages, ascending: mapped ones; those written since the last harvest.
  virtual std::vector<MappedRun> populated(const std::string& name, Range range) = 0;
  virtual std::vector<Range> dirty(const std::string& name, Range range) = 0;
  // A new object with the contents of `base`, which is frozen by it: pages are copied when they are written.
  virtual ObjectState clone_object(const std::string& base, const std::string& name) = 0;

  virtual ViewState add_view(const std::string& name, FormatId format) = 0;
  virtual void drop_view(const std::string& name, TreeId view) = 0;
  virtual AccessReply access(const AccessRequest& request) = 0;
  // Nothing for a machine whose walkers show it to nobody, as hardware does.
  virtual std::optional<WalkerCaches> cached(const std::string& name, TreeId tree)
  {
    (void)name, (void)tree;
    return std::nullopt;
  }

  virtual u32 inject(const InjectRule& rule) = 0;
  virtual std::vector<InjectRule> injected() = 0;
  virtual void clear_injected() = 0;

  // Null for a target that cannot be stepped (or has no journal).
  virtual Stepping* stepping() { return nullptr; }
  virtual JournalSource* journal() { return nullptr; }
  // Whether the machine can be made again from what was done to it (the embedded machine's requests decide everything).
  virtual bool goes_back() const { return false; }
  // Makes it again as it was when record `sequence` of the recording was done (one less than the first: where it
  // began), or at the first place behind it at which somebody can wait. The recording goes on, the gate is closed, who
  // was in the middle of something waits there; who waits now comes to its end before. `recording` is called where
  // the recording begins. Failure for targets that do not.
  virtual void go_back_to(u64 sequence, const std::function<void()>& recording)
  {
    (void)recording;
    throw Failure(Exit::skipped, "go on from record " + std::to_string(sequence),
                  "this machine cannot be made again from what was done to it",
                  "The embedded machine can: morselctl --embedded.");
  }
  // Null for a target that makes its objects itself.
  virtual Roots* roots() { return nullptr; }

  // Runs a program in the guest until it ends. Targets without a guest throw Failure(Exit::skipped).
  virtual ProgramResult run_program(const std::vector<std::string>& argv) = 0;
  // Starts one that stays; returns its process id. end_program sends SIGKILL and waits.
  virtual u32 start_program(const std::vector<std::string>& argv) = 0;
  virtual ProgramResult end_program(u32 pid) = 0;
  // The guest's kernel log since its start; empty without a guest.
  virtual std::string kernel_log() = 0;

  // The listener is kept until it is replaced; an empty one ends it.
  virtual void listen(std::function<void(const Event&)> listener) = 0;
};

}  // namespace morsel::session
