// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/embedded_target.hpp"

#include <algorithm>
#include <cstring>

#include "engine/sim/machine.hpp"

namespace morsel::sim {

namespace {

using session::AccessOutcome;
using session::AccessReply;
using session::AccessRequest;
using session::Exit;
using session::Failure;
using session::ObjectState;
using session::ViewState;

// A walk that still faults after so many fills will go on to do so.
constexpr int max_faults = 16;
constexpr std::string_view walker_name = "the embedded machine's walker";

std::string hex(u64 value)
{
  char text[20];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string text_of(Range r) { return hex(r.start) + ".." + hex(r.end); }

std::string advice_for(Error error, const EmbeddedObject& o)
{
  switch (error) {
    case Error::out_of_range: return "the object has " + hex(o.object.bytes) + " bytes";
    case Error::unaligned: return "offsets are multiples of 4 KiB, or of 2 MiB for 2-MiB leaves";
    case Error::invalid: return "rights include read, the range is not empty, 2-MiB leaves need a PMD or PUD root";
    case Error::no_memory: return "the embedded machine is full: unmap or destroy something";
    case Error::frozen: return "it is the base of clones and does not change any more: change a clone of it";
    case Error::busy: return "somebody else is at it: try again";
    default: return {};
  }
}

ViewState state_of(const View& v)
{
  return {v.tree.id, v.tree.format, v.tree.root, v.tree.root_level, v.tree.attached.value};
}

ObjectState state_of(const EmbeddedObject& o)
{
  ObjectState s{o.name,   o.id, o.object.bytes, o.object.primary.root, o.object.primary.root_level, 0, o.tables,
                o.frames, {}};
  for (const auto& [number, view] : o.views) s.views.push_back(state_of(*view));
  s.frozen = o.object.frozen.value != 0;
  s.base = o.base;
  s.clones = o.object.clones.value;
  return s;
}

class EmbeddedTarget final : public session::Target {
 public:
  explicit EmbeddedTarget(u64 memory_bytes)
      : machine_(memory_bytes), memory_(machine_.arena().memory()), memory_bytes_(memory_bytes)
  {
  }
  ~EmbeddedTarget() override
  {
    listener_ = nullptr;
    while (!objects_.empty()) destroy(*objects_.back());
  }

  session::TargetInfo info() const override
  {
    return {"embedded", "embedded", "the embedded machine, deterministic, in this process", memory_bytes_};
  }
  session::Counters counters() override;
  const inspect::PhysicalMemory& memory() const override { return memory_; }

  std::vector<ObjectState> objects() override;
  ObjectState object(const std::string& name) override { return state_of(find(name)); }
  ObjectState create_object(const std::string& name, u64 bytes, std::optional<Level> root_level) override;
  void destroy_object(const std::string& name) override;
  u64 populate(const std::string& name, Range range, Rights rights, Level leaf_level) override;
  u64 unmap(const std::string& name, Range range) override;
  u64 protect(const std::string& name, Range range, Rights rights) override;
  void split(const std::string& name, Range range, Level leaf_level) override;
  u64 merge(const std::string& name, Range range, Level leaf_level) override;
  u64 migrate(const std::string& name, Range range) override;
  session::HarvestReply harvest(const std::string& name, Range range) override;
  std::vector<session::MappedRun> populated(const std::string& name, Range range) override;
  std::vector<Range> dirty(const std::string& name, Range range) override;
  ObjectState clone_object(const std::string& base, const std::string& name) override;
  ViewState add_view(const std::string& name, FormatId format) override;
  void drop_view(const std::string& name, TreeId view) override;
  AccessReply access(const AccessRequest& request) override;

  u32 inject(const session::InjectRule& rule) override;
  std::vector<session::InjectRule> injected() override;
  void clear_injected() override { machine_.faults().clear(); }

  session::ProgramResult run_program(const std::vector<std::string>& argv) override { return no_guest(argv); }
  u32 start_program(const std::vector<std::string>& argv) override { return no_guest(argv), 0; }
  session::ProgramResult end_program(u32) override { return no_guest({}); }
  std::string kernel_log() override { return {}; }
  void listen(std::function<void(const session::Event&)> listener) override { listener_ = std::move(listener); }

 private:
  EmbeddedObject& find(const std::string& name);
  View& find_view(EmbeddedObject& o, TreeId number);
  void destroy(EmbeddedObject& o);
  void changed(const std::string& name)
  {
    if (listener_) listener_({session::Event::Kind::object_changed, name, {}});
  }
  template <class T>
  T value_or_failure(const Expected<T>& result, const EmbeddedObject& o, const std::string& tried);
  template <class Made>
  ObjectState add_object(const std::string& name, const std::string& tried, const std::string& advice, Made&& made);
  // What keeps the access from being allowed is done away with, if the request wants that: false if it stays denied.
  bool allow(EmbeddedObject& o, Error reason, const AccessRequest& request, AccessReply& reply);
  AccessReply access_primary(EmbeddedObject& o, const AccessRequest& request);
  AccessReply access_view(EmbeddedObject& o, View& view, const AccessRequest& request);
  // One access by the machine's walker; sets A and D in the leaf. Returns false if the tree does not allow it.
  bool walk_and_touch(EmbeddedObject& o, const Tree& tree, const AccessRequest& request, AccessReply& reply);
  [[noreturn]] session::ProgramResult no_guest(const std::vector<std::string>& argv);

  Machine machine_;
  inspect::PhysicalMemory memory_;
  const u64 memory_bytes_;
  std::vector<std::unique_ptr<EmbeddedObject>> objects_;
  u32 last_object_id_ = 0;
  std::function<void(const session::Event&)> listener_;
};

session::Counters EmbeddedTarget::counters()
{
  session::Counters c;
  c.objects = objects_.size();
  for (const auto& o : objects_) {
    c.views += o->views.size();
    c.tables += o->tables;
    c.frames += o->frames;
  }
  c.flushes_total = machine_.flushes;
  c.fills_total = machine_.fills;
  return c;
}

std::vector<ObjectState> EmbeddedTarget::objects()
{
  std::vector<ObjectState> states;
  for (const auto& o : objects_) states.push_back(state_of(*o));
  return states;
}

EmbeddedObject& EmbeddedTarget::find(const std::string& name)
{
  for (const auto& o : objects_)
    if (o->name == name) return *o;
  throw Failure(Exit::usage, "object " + name, "there is none of this name", "'object list' shows those there are");
}

View& EmbeddedTarget::find_view(EmbeddedObject& o, TreeId number)
{
  const auto found = o.views.find(number);
  if (found == o.views.end())
    throw Failure(Exit::usage, "view " + std::to_string(number) + " of object " + o.name, "there is none",
                  "'view list " + o.name + "' shows those there are");
  return *found->second;
}

template <class T>
T EmbeddedTarget::value_or_failure(const Expected<T>& result, const EmbeddedObject& o, const std::string& tried)
{
  if (!result) throw Failure(Exit::usage, tried, error_name(result.error()), advice_for(result.error(), o));
  changed(o.name);
  return *result;
}

template <class Made>
ObjectState EmbeddedTarget::add_object(const std::string& name, const std::string& tried, const std::string& advice,
                                       Made&& made)
{
  if (name.empty() || name.find('/') != std::string::npos)
    throw Failure(Exit::usage, tried, "a name is not empty and contains no '/'");
  if (std::any_of(objects_.begin(), objects_.end(), [&](const auto& o) { return o->name == name; }))
    throw Failure(Exit::usage, tried, "one of this name exists", "destroy it first, or choose another name");
  auto o = std::make_unique<EmbeddedObject>();
  o->name = name;
  o->id = ++last_object_id_;
  EmbeddedPlatform p(machine_, *o);
  if (const Status s = made(p, *o); !s) throw Failure(Exit::usage, tried, error_name(s.error()), advice);
  objects_.push_back(std::move(o));
  changed(name);
  return state_of(*objects_.back());
}

ObjectState EmbeddedTarget::create_object(const std::string& name, u64 bytes, std::optional<Level> root_level)
{
  Level level = root_level.value_or(0);
  while (!root_level && level < 2 && bytes > table_span<PrimaryFormat>(level)) ++level;
  return add_object(name, "create object " + name + " with " + hex(bytes) + " bytes",
                    "the size is a multiple of 4 KiB; a PTE root covers 2 MiB, a PMD root 1 GiB, a PUD root 512 GiB",
                    [&](EmbeddedPlatform& p, EmbeddedObject& o) { return create(p, o.object, bytes, level); });
}

ObjectState EmbeddedTarget::clone_object(const std::string& base, const std::string& name)
{
  EmbeddedObject& from = find(base);
  ObjectState state = add_object(name, "clone object " + base + " as " + name, advice_for(Error::no_memory, from),
                                 [&](EmbeddedPlatform& p, EmbeddedObject& o) {
                                   EmbeddedPlatform base_platform(machine_, from);
                                   if (const Status s = freeze(base_platform, from.object); !s) return s;
                                   o.base = base;
                                   return morsel::clone(p, from.object, o.object);
                                 });
  changed(base);
  return state;
}

void EmbeddedTarget::destroy_object(const std::string& name)
{
  EmbeddedObject& o = find(name);
  std::string clones;
  for (const auto& other : objects_)
    if (other->object.base == &o.object) clones += " " + other->name;
  if (!clones.empty())
    throw Failure(Exit::usage, "destroy object " + name, "clones use its tables and frames:" + clones,
                  "destroy them first");
  destroy(o);
}

void EmbeddedTarget::destroy(EmbeddedObject& o)
{
  EmbeddedPlatform p(machine_, o);
  while (!o.views.empty()) {
    morsel::drop_view(p, o.object, *o.views.begin()->second);
    o.views.erase(o.views.begin());
  }
  morsel::destroy(p, o.object);
  const std::string name = o.name;
  std::erase_if(objects_, [&](const auto& candidate) { return candidate.get() == &o; });
  changed(name);
}

u64 EmbeddedTarget::populate(const std::string& name, Range range, Rights rights, Level leaf_level)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  return value_or_failure(morsel::populate(p, o.object, range, rights, leaf_level), o, "populate " + text_of(range));
}

u64 EmbeddedTarget::unmap(const std::string& name, Range range)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  return value_or_failure(morsel::unmap(p, o.object, range), o, "unmap " + text_of(range));
}

u64 EmbeddedTarget::protect(const std::string& name, Range range, Rights rights)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  return value_or_failure(morsel::protect(p, o.object, range, rights), o, "protect " + text_of(range));
}

void EmbeddedTarget::split(const std::string& name, Range range, Level leaf_level)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  const Status s = morsel::split(p, o.object, range, leaf_level);
  value_or_failure(s ? Expected<u64>(0) : s.error(), o, "split " + text_of(range));
}

u64 EmbeddedTarget::merge(const std::string& name, Range range, Level leaf_level)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  return value_or_failure(morsel::merge(p, o.object, range, leaf_level), o, "merge " + text_of(range));
}

u64 EmbeddedTarget::migrate(const std::string& name, Range range)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  return value_or_failure(morsel::migrate(p, o.object, range), o, "migrate " + text_of(range));
}

session::HarvestReply EmbeddedTarget::harvest(const std::string& name, Range range)
{
  struct Report {
    std::vector<Range> accessed_runs, dirty_runs;
    void accessed(Range r) { accessed_runs.push_back(r); }
    void dirty(Range r) { dirty_runs.push_back(r); }
  } report;
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  const Status s = morsel::harvest(p, o.object, range, report);
  value_or_failure(s ? Expected<u64>(0) : s.error(), o, "harvest " + text_of(range));
  return {session::joined(std::move(report.accessed_runs)), session::joined(std::move(report.dirty_runs))};
}

std::vector<session::MappedRun> EmbeddedTarget::populated(const std::string& name, Range range)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  std::vector<session::MappedRun> runs;
  const Status s = for_each_populated(p, o.object, range, [&](Range r, Rights rights) { runs.push_back({r, rights}); });
  if (!s) throw Failure(Exit::usage, "ranges of " + text_of(range), error_name(s.error()), advice_for(s.error(), o));
  return runs;
}

std::vector<Range> EmbeddedTarget::dirty(const std::string& name, Range range)
{
  EmbeddedObject& o = find(name);
  EmbeddedPlatform p(machine_, o);
  std::vector<Range> runs;
  const Status s = for_each_dirty(p, o.object, range, [&](Range r) { runs.push_back(r); });
  if (!s) throw Failure(Exit::usage, "ranges of " + text_of(range), error_name(s.error()), advice_for(s.error(), o));
  return runs;
}

ViewState EmbeddedTarget::add_view(const std::string& name, FormatId format)
{
  EmbeddedObject& o = find(name);
  const auto slot = std::find(o.object.views.begin(), o.object.views.end(), nullptr);
  const auto number = static_cast<TreeId>(slot - o.object.views.begin() + 1);
  const std::string tried = "add a view to object " + name;
  if (number > max_views)
    throw Failure(Exit::usage, tried, "it has " + std::to_string(max_views) + " already", "drop one first");
  View& view = *(o.views[number] = std::make_unique<View>());
  EmbeddedPlatform p(machine_, o);
  const Status s = morsel::add_view(p, o.object, view, format, number);
  if (!s) {
    o.views.erase(number);
    throw Failure(Exit::usage, tried, error_name(s.error()), "'formats' lists the formats");
  }
  changed(name);
  return state_of(view);
}

void EmbeddedTarget::drop_view(const std::string& name, TreeId number)
{
  EmbeddedObject& o = find(name);
  View& view = find_view(o, number);
  EmbeddedPlatform p(machine_, o);
  morsel::drop_view(p, o.object, view);
  o.views.erase(number);
  changed(name);
}

AccessReply EmbeddedTarget::access(const AccessRequest& request)
{
  EmbeddedObject& o = find(request.object);
  if (!is_aligned(request.offset, sizeof(u64)) || request.offset >= o.object.bytes)
    throw Failure(Exit::usage, "access " + request.object + " at " + hex(request.offset),
                  "not a multiple of 8 inside the object", advice_for(Error::out_of_range, o));
  AccessReply reply =
      request.view == primary_tree ? access_primary(o, request) : access_view(o, find_view(o, request.view), request);
  changed(o.name);
  return reply;
}

bool EmbeddedTarget::walk_and_touch(EmbeddedObject& o, const Tree& tree, const AccessRequest& request,
                                    AccessReply& reply)
{
  EmbeddedPlatform p(machine_, o);
  const Expected<Leaf> leaf = lookup(p, SyncPoint::load, tree, request.offset);
  if (!leaf || !leaf->rights.includes(request.right)) return false;
  const FormatInfo& format = *find_format(tree.format);
  *leaf->entry.word |= format.accessed_bit | (request.right.write() ? format.dirty_bit : 0);
  u64* const word = machine_.arena().words(leaf->frame + (request.offset & (page_bytes - 1)));
  if (request.right.write()) *word = request.value;
  reply.value = *word;
  return true;
}

bool EmbeddedTarget::allow(EmbeddedObject& o, Error reason, const AccessRequest& request, AccessReply& reply)
{
  if (!request.populate) return false;
  EmbeddedPlatform p(machine_, o);
  if (reason == Error::needs_populate && reply.outcome != AccessOutcome::populated) {
    const u64 page = align_down(request.offset, page_bytes);
    value_or_failure(morsel::populate(p, o.object, {page, page + page_bytes}, rights_rw | request.right, 0), o,
                     "populate for an access");
    reply.outcome = AccessOutcome::populated;
    return true;
  }
  if (reason != Error::access_denied || !request.right.write()) return false;
  const Expected<BreakOutcome> copy = break_copy(p, o.object, request.offset);
  if (!copy && (copy.error() == Error::access_denied || copy.error() == Error::frozen)) return false;
  if (value_or_failure(copy, o, "copy a page for an access") == BreakOutcome::writable) return false;
  reply.outcome = AccessOutcome::copied;
  return true;
}

AccessReply EmbeddedTarget::access_primary(EmbeddedObject& o, const AccessRequest& request)
{
  AccessReply reply{AccessOutcome::hit, std::string(walker_name), 0};
  if (walk_and_touch(o, o.object.primary, request, reply)) return reply;
  EmbeddedPlatform p(machine_, o);
  const bool mapped = static_cast<bool>(lookup(p, SyncPoint::load, o.object.primary, request.offset));
  if (!allow(o, mapped ? Error::access_denied : Error::needs_populate, request, reply) ||
      !walk_and_touch(o, o.object.primary, request, reply))
    reply.outcome = AccessOutcome::denied;
  return reply;
}

AccessReply EmbeddedTarget::access_view(EmbeddedObject& o, View& view, const AccessRequest& request)
{
  AccessReply reply{AccessOutcome::hit, std::string(walker_name), 0};
  EmbeddedPlatform p(machine_, o);
  for (int faults = 0; !walk_and_touch(o, view.tree, request, reply); ++faults) {
    if (faults == max_faults)
      throw Failure(Exit::check_failed, "access view " + std::to_string(request.view) + " at " + hex(request.offset),
                    "filled " + std::to_string(max_faults) + " times, and the walk still faults",
                    "an injected fault that keeps firing does this: 'inject list' shows the rules");
    const Expected<FillOutcome> filled = fill(p, o.object, view, request.offset, request.right);
    if (filled) {
      ++machine_.fills;
      if (reply.outcome == AccessOutcome::hit) reply.outcome = AccessOutcome::filled;
    } else if (allow(o, filled.error(), request, reply)) {
      continue;
    } else if (filled.error() == Error::needs_populate || filled.error() == Error::access_denied) {
      reply.outcome = AccessOutcome::denied;
      return reply;
    } else {
      throw Failure(Exit::usage, "fill " + hex(request.offset), error_name(filled.error()),
                    advice_for(filled.error(), o));
    }
  }
  return reply;
}

u32 EmbeddedTarget::inject(const session::InjectRule& rule)
{
  if (rule.nth == 0) throw Failure(Exit::usage, "inject", "nth counts from 1");
  FaultRule added;
  added.point = rule.point;
  added.action = rule.action;
  added.tree = rule.tree;
  added.nth = rule.nth;
  added.times = rule.times;
  return machine_.faults().add(added);
}

std::vector<session::InjectRule> EmbeddedTarget::injected()
{
  std::vector<session::InjectRule> rules;
  for (const FaultRule& r : machine_.faults().rules())
    rules.push_back({r.number, r.point, r.action, r.tree, r.nth, r.times, r.fired});
  return rules;
}

session::ProgramResult EmbeddedTarget::no_guest(const std::vector<std::string>& argv)
{
  throw Failure(Exit::skipped, "run " + (argv.empty() ? std::string("a program") : argv.front()),
                "the embedded machine has no guest that runs programs", "use a VM: 'morselctl vm up'");
}

}  // namespace

std::unique_ptr<session::Target> make_embedded_target(u64 memory_bytes)
{
  return std::make_unique<EmbeddedTarget>(memory_bytes);
}

}  // namespace morsel::sim
