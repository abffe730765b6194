// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine as a whole: its objects and views, faults, events, beginning and end.
#include "engine/sim/embedded_target.hpp"

#include <algorithm>

#include "engine/sim/embedded_target_class.hpp"

namespace morsel::sim {

using session::Exit;
using session::Failure;
using session::ObjectState;
using session::ViewState;

std::string hex_text(u64 value)
{
  char text[20];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string text_of(Range r) { return hex_text(r.start) + ".." + hex_text(r.end); }

std::string advice_for(Error error, const EmbeddedObject& o)
{
  switch (error) {
    case Error::out_of_range: return "the object has " + hex_text(o.object.bytes) + " bytes";
    case Error::unaligned: return "offsets are multiples of 4 KiB, or of 2 MiB for 2-MiB leaves";
    case Error::invalid: return "rights include read, the range is not empty, 2-MiB leaves need a PMD or PUD root";
    case Error::no_memory: return "the embedded machine is full: unmap or destroy something";
    case Error::interrupted: return "it was interrupted";
    case Error::frozen: return "it is the base of clones and does not change any more: change a clone of it";
    case Error::busy: return "somebody else is at it: try again";
    default: return {};
  }
}

namespace {

bool is_listed(const EmbeddedObject& o, TreeId number)
{
  return number != primary_tree && number <= max_views && o.object.views[number - 1u] != nullptr;
}

ViewState state_of(const View& v)
{
  return {v.tree.id, v.tree.format, v.tree.root, v.tree.root_level, v.tree.attached.value};
}

ObjectState state_of(const EmbeddedObject& o)
{
  ObjectState s{o.name,   o.id, o.object.bytes, o.object.primary.root, o.object.primary.root_level, 0, o.tables,
                o.frames, {}};
  for (const auto& [number, view] : o.views)
    if (is_listed(o, number)) s.views.push_back(state_of(*view));
  s.frozen = o.object.frozen.value != 0;
  s.base = o.base;
  s.clones = o.object.clones.value;
  return s;
}

}  // namespace

// Whoever adds or drops a view of an object has this: one at a time, the others wait.
class EmbeddedTarget::ViewChange {
 public:
  ViewChange(Baton& baton, EmbeddedObject& o, Baton::Actor& actor) : o_(o)
  {
    while (o_.view_changer != 0)
      baton.wait_for(actor, [&o] { return std::vector<u32>(o.view_changer ? 1 : 0, o.view_changer); });
    o_.view_changer = actor.id;
  }
  ~ViewChange() { o_.view_changer = 0; }
  ViewChange(const ViewChange&) = delete;
  ViewChange& operator=(const ViewChange&) = delete;

 private:
  EmbeddedObject& o_;
};

EmbeddedTarget::EmbeddedTarget(u64 memory_bytes)
    : memory_bytes_(memory_bytes),
      machine_(
          memory_bytes, [this](const session::Event& e) { tell(e); },
          [this](bool on) {
            keep(on ? Input::Kind::recording : Input::Kind::order,
                 [on](EmbeddedTarget& t) { t.machine_.journal().record(on); });
          }),
      memory_(machine_.arena().memory()),
      gate_(make_gate())
{
}

EmbeddedTarget::~EmbeddedTarget()
{
  listen({});
  machine_.faults().clear();
  machine_.baton().finish_all();
  for (std::thread& t : threads_) t.join();
  while (!objects_.empty()) destroy(*objects_.back(), nullptr);
}

session::TargetInfo EmbeddedTarget::info() const
{
  return {"embedded", "embedded", "the embedded machine, deterministic, in this process", memory_bytes_};
}

void EmbeddedTarget::check_alive() const
{
  if (machine_.lost())
    throw Failure(Exit::target_lost, "reach the embedded machine", "it has crashed, as 'inject add … crash' told it to",
                  "open a new one: its objects are gone");
}

void EmbeddedTarget::tell(const session::Event& event)
{
  const std::lock_guard lock(listener_mutex_);
  if (listener_ && !silent_ && (!machine_.lost() || event.kind == session::Event::Kind::target_lost)) listener_(event);
}

void EmbeddedTarget::listen(std::function<void(const session::Event&)> listener)
{
  const std::lock_guard lock(listener_mutex_);
  listener_ = std::move(listener);
}

session::Counters EmbeddedTarget::counters()
{
  const auto still = machine_.baton().look();
  check_alive();
  session::Counters c;
  c.objects = objects_.size();
  for (const auto& o : objects_) {
    c.views += state_of(*o).views.size();
    c.tables += o->tables;
    c.frames += o->frames;
  }
  c.flushes_total = machine_.flushes;
  c.fills_total = machine_.fills;
  return c;
}

std::vector<ObjectState> EmbeddedTarget::objects()
{
  const auto still = machine_.baton().look();
  check_alive();
  std::vector<ObjectState> states;
  for (const auto& o : objects_) states.push_back(state_of(*o));
  return states;
}

ObjectState EmbeddedTarget::object(const std::string& name)
{
  const auto still = machine_.baton().look();
  check_alive();
  return state_of(find(name));
}

EmbeddedObject* EmbeddedTarget::find_or_null(const std::string& name)
{
  for (const auto& o : objects_)
    if (o->name == name) return o.get();
  return nullptr;
}

EmbeddedObject& EmbeddedTarget::find(const std::string& name)
{
  if (EmbeddedObject* const o = find_or_null(name)) return *o;
  throw Failure(Exit::usage, "object " + name, "there is none of this name", "'object list' shows those there are");
}

View& EmbeddedTarget::find_view(EmbeddedObject& o, TreeId number)
{
  if (!is_listed(o, number))
    throw Failure(Exit::usage, "view " + std::to_string(number) + " of object " + o.name, "there is none",
                  "'view list " + o.name + "' shows those there are");
  return *o.views.at(number);
}

void EmbeddedTarget::fail(Error error, const EmbeddedObject& o, const std::string& tried)
{
  throw Failure(Exit::usage, tried, error_name(error), advice_for(error, o));
}

template <class Made>
ObjectState EmbeddedTarget::add_object(const std::string& name, const std::string& tried, const std::string& advice,
                                       Baton::Actor& actor, Made&& made)
{
  const auto check_free = [&] {
    if (find_or_null(name))
      throw Failure(Exit::usage, tried, "one of this name exists", "destroy it first, or choose another name");
  };
  if (name.empty() || name.find('/') != std::string::npos)
    throw Failure(Exit::usage, tried, "a name is not empty and contains no '/'");
  check_free();
  auto o = std::make_unique<EmbeddedObject>();
  o->name = name;
  o->id = ++last_object_id_;
  EmbeddedPlatform p(machine_, *o, &actor);
  if (const Status s = made(p, *o); !s)
    throw Failure(Exit::usage, tried, error_name(s.error()),
                  s.error() == Error::no_memory ? advice_for(s.error(), *o) : advice);
  try {
    check_free();  // it may have come while this one was made
  } catch (const Failure&) {
    morsel::destroy(p, o->object);
    throw;
  }
  objects_.push_back(std::move(o));
  changed(name);
  return state_of(*objects_.back());
}

ObjectState EmbeddedTarget::create_object(const std::string& name, u64 bytes, std::optional<Level> root_level)
{
  Level level = root_level.value_or(0);
  while (!root_level && level < 2 && bytes > table_span<PrimaryFormat>(level)) ++level;
  const Again again = [=](EmbeddedTarget& t) { t.create_object(name, bytes, root_level); };
  return request("create " + name, name, again, [&](Baton::Actor& actor) {
    return add_object(name, "create object " + name + " with " + hex_text(bytes) + " bytes",
                      "the size is a multiple of 4 KiB; a PTE root covers 2 MiB, a PMD root 1 GiB, a PUD root 512 GiB",
                      actor, [&](EmbeddedPlatform& p, EmbeddedObject& o) { return create(p, o.object, bytes, level); });
  });
}

// It was frozen just before.
constexpr const char* clone_advice =
    "an injected fault keeps its base from being frozen: 'inject list' shows the rules";

ObjectState EmbeddedTarget::clone_object(const std::string& base, const std::string& name)
{
  const Again again = [=](EmbeddedTarget& t) { t.clone_object(base, name); };
  return on_object(
      "clone as " + name, base, again, [&](EmbeddedObject& from, EmbeddedPlatform& base_platform, auto& actor) {
        ObjectState state = add_object(name, "clone object " + base + " as " + name, clone_advice, actor,
                                       [&](EmbeddedPlatform& p, EmbeddedObject& o) {
                                         if (const Status s = freeze(base_platform, from.object); !s) return s;
                                         o.base = base;
                                         return morsel::clone(p, from.object, o.object);
                                       });
        changed(base);
        return state;
      });
}

void EmbeddedTarget::refuse_if_base(const EmbeddedObject& o) const
{
  std::string clones;
  for (const auto& other : objects_)
    if (other->object.base == &o.object) clones += " " + other->name;
  if (!clones.empty())
    throw Failure(Exit::usage, "destroy object " + o.name, "clones use its tables and frames:" + clones,
                  "destroy them first");
}

// Waits for the requests that are about the object, as for a grace period.
void EmbeddedTarget::destroy_object(const std::string& name)
{
  const Again again = [=](EmbeddedTarget& t) { t.destroy_object(name); };
  request("destroy " + name, name, again, [&](Baton::Actor& actor) {
    for (;;) {
      EmbeddedObject& o = find(name);
      refuse_if_base(o);
      if (o.users.empty()) break;
      machine_.baton().wait_for(actor, [this, &name] {
        const EmbeddedObject* const still = find_or_null(name);
        return still ? still->users : std::vector<u32>{};
      });
    }
    destroy(find(name), &actor);
    return true;
  });
}

void EmbeddedTarget::destroy(EmbeddedObject& o, Baton::Actor* actor)
{
  const auto at = std::find_if(objects_.begin(), objects_.end(), [&](const auto& other) { return other.get() == &o; });
  const std::unique_ptr<EmbeddedObject> gone = std::move(*at);
  objects_.erase(at);  // nobody finds it any more
  EmbeddedObject* const base = o.base.empty() ? nullptr : find_or_null(o.base);
  const std::unique_ptr<Use> base_use = base ? std::make_unique<Use>(*base, actor ? actor->id : 0) : nullptr;
  o.going = true;
  EmbeddedPlatform p(machine_, o, actor);
  while (!o.views.empty()) {
    const TreeId number = o.views.begin()->first;
    morsel::drop_view(p, o.object, *o.views.begin()->second);
    p.retire_view(number);
  }
  morsel::destroy(p, o.object);
  changed(o.name);
}

ViewState EmbeddedTarget::add_view(const std::string& name, FormatId format)
{
  const Again again = [=](EmbeddedTarget& t) { t.add_view(name, format); };
  return on_object("add a view", name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, Baton::Actor& actor) {
    const ViewChange change(machine_.baton(), o, actor);
    TreeId number = 1;
    while (o.views.find(number) != o.views.end()) ++number;
    const std::string tried = "add a view to object " + name;
    if (number > max_views)
      throw Failure(Exit::usage, tried, "it has " + std::to_string(max_views) + " already", "drop one first");
    View& view = *(o.views[number] = std::make_unique<View>());
    const Status s = morsel::add_view(p, o.object, view, format, number);
    if (!s) {
      o.views.erase(number);
      throw Failure(Exit::usage, tried, error_name(s.error()), "'formats' lists the formats");
    }
    changed(name);
    return state_of(view);
  });
}

void EmbeddedTarget::drop_view(const std::string& name, TreeId number)
{
  const std::string who = "drop view " + std::to_string(number);
  const Again again = [=](EmbeddedTarget& t) { t.drop_view(name, number); };
  on_object(who, name, again, [&](EmbeddedObject& o, EmbeddedPlatform& p, Baton::Actor& actor) {
    const ViewChange change(machine_.baton(), o, actor);
    morsel::drop_view(p, o.object, find_view(o, number));
    p.retire_view(number);
    changed(name);
    return true;
  });
}

// Nobody else comes to an operation's help that always loses, or whose exchanges never happen.
constexpr u64 most_lost_exchanges = 4096;

bool keeps_busy(const session::InjectRule& rule)
{
  switch (rule.point) {
    case SyncPoint::link:
    case SyncPoint::reserve:
    case SyncPoint::cancel_move:
    case SyncPoint::publish:
    case SyncPoint::undo:
    case SyncPoint::link_primary:
    case SyncPoint::split:
    case SyncPoint::change:
    case SyncPoint::cancel_merge: return rule.action != MORSEL_FAULT_CRASH && rule.times > most_lost_exchanges;
    default:
      return rule.action == MORSEL_FAULT_FAIL && rule.point != SyncPoint::alloc && rule.times > most_lost_exchanges;
  }
}

u32 EmbeddedTarget::inject(const session::InjectRule& rule)
{
  if (rule.nth == 0) throw Failure(Exit::usage, "inject", "nth counts from 1");
  if (keeps_busy(rule))
    throw Failure(Exit::usage, "inject", std::to_string(rule.times) + " lost exchanges would keep an operation busy",
                  "Who loses a compare-and-swap tries again: at most " + std::to_string(most_lost_exchanges) + ".");
  const auto still = machine_.baton().look();
  check_alive();
  FaultRule added;
  added.point = rule.point;
  added.action = rule.action;
  added.tree = rule.tree;
  added.nth = rule.nth;
  added.times = rule.times;
  added.range = rule.range;
  added.actor = rule.actor.value_or(0);
  added.interval = rule.interval;
  added.probability = rule.probability;
  added.seed = rule.seed;
  added.until = rule.until;
  added.bits = rule.bits;
  added.object = rule.object ? find(*rule.object).id : 0;
  keep(Input::Kind::order, [rule](EmbeddedTarget& t) { t.inject(rule); });
  return machine_.faults().add(added);
}

std::vector<session::InjectRule> EmbeddedTarget::injected()
{
  const auto still = machine_.baton().look();
  check_alive();
  std::vector<session::InjectRule> rules;
  for (const FaultRule& r : machine_.faults().rules()) {
    rules.push_back({r.number, r.point, r.action, r.tree, r.nth, r.times, r.fired, r.range,
                     r.actor ? std::optional(r.actor) : std::nullopt, r.interval, r.probability, r.seed, r.until,
                     r.bits});
    if (r.object == 0) continue;
    rules.back().object = "";
    for (const auto& o : objects_)
      if (o->id == r.object) rules.back().object = o->name;
  }
  return rules;
}

void EmbeddedTarget::clear_injected()
{
  const auto still = machine_.baton().look();
  check_alive();
  keep(Input::Kind::order, [](EmbeddedTarget& t) { t.clear_injected(); });
  machine_.faults().clear();
}

session::ProgramResult EmbeddedTarget::no_guest(const std::vector<std::string>& argv)
{
  throw Failure(Exit::skipped, "run " + (argv.empty() ? std::string("a program") : argv.front()),
                "the embedded machine has no guest that runs programs", "use a VM: 'morselctl vm up'");
}

std::unique_ptr<session::Target> make_embedded_target(u64 memory_bytes)
{
  return std::make_unique<EmbeddedTarget>(memory_bytes);
}

}  // namespace morsel::sim
