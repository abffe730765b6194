// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/target_json.hpp"

#include <algorithm>
#include <limits>

#include "engine/abi/morsel_ioctl.h"
#include "engine/session/facts.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

[[noreturn]] void refuse(const std::string& what)
{
  throw Failure(Exit::target_lost, "reading the agent's reply", what,
                "the guest is broken or of another version: end the VM and start it again");
}

template <class T>
T small_field(const Json& json, const char* name)
{
  const u64 number = number_field(json, name);
  if (number > std::numeric_limits<T>::max()) refuse(std::string("field '") + name + "' is too large");
  return static_cast<T>(number);
}

const Json& list_field(const Json& json, const char* name, std::size_t limit)
{
  const auto field = json.find(name);
  if (field == json.end() || !field->is_array()) refuse(std::string("field '") + name + "' is no list");
  if (field->size() > limit) refuse(std::string("field '") + name + "' has too many elements");
  return *field;
}

// Levels index tables of the inspector: nothing above a 5-level root is passed on.
Level root_level_field(const Json& json)
{
  constexpr Level highest = 4;
  const auto level = small_field<Level>(json, "root_level");
  if (level > highest) refuse("a root at level " + std::to_string(level));
  return level;
}

SyncPoint point_field(const Json& json, const char* field)
{
  const std::string name = text_field(json, field);
  for (const PointInfo& point : all_points)
    if (point.name == name) return point.point;
  refuse("there is no point '" + printable(name, 64) + "'");
}

}  // namespace

u64 number_field(const Json& json, const char* name)
{
  if (!json.is_object()) refuse("an object was expected");
  const auto field = json.find(name);
  if (field == json.end() || !field->is_number_unsigned()) refuse(std::string("field '") + name + "' is no number");
  return field->get<u64>();
}

std::string text_field(const Json& json, const char* name)
{
  if (!json.is_object()) refuse("an object was expected");
  const auto field = json.find(name);
  if (field == json.end() || !field->is_string()) refuse(std::string("field '") + name + "' is no text");
  return field->get<std::string>();
}

session::ViewState view_from_json(const Json& json)
{
  session::ViewState view;
  view.number = small_field<TreeId>(json, "view");
  const FormatInfo* format = find_format(text_field(json, "format"));
  if (!format) refuse("there is no format '" + printable(text_field(json, "format"), 64) + "'");
  view.format = format->id;
  view.root = {number_field(json, "root_pa")};
  view.root_level = root_level_field(json);
  view.attached = small_field<u32>(json, "attached");
  return view;
}

session::ObjectState object_from_json(const Json& json)
{
  session::ObjectState object;
  object.name = printable(text_field(json, "name"), MORSEL_NAME_BYTES);
  object.id = small_field<u32>(json, "id");
  object.bytes = number_field(json, "bytes");
  object.root = {number_field(json, "root_pa")};
  object.root_level = root_level_field(json);
  object.attached = small_field<u32>(json, "attached");
  object.tables = number_field(json, "tables");
  object.frames = number_field(json, "frames");
  for (const Json& view : list_field(json, "views", MORSEL_MAX_VIEWS)) object.views.push_back(view_from_json(view));
  return object;
}

std::vector<session::ObjectState> objects_from_json(const Json& json)
{
  std::vector<session::ObjectState> objects;
  for (const Json& object : list_field(json, "objects", max_line_bytes)) objects.push_back(object_from_json(object));
  return objects;
}

session::AccessReply access_from_json(const Json& json)
{
  using session::AccessOutcome;
  session::AccessReply reply;
  const std::string result = text_field(json, "result"), walker = text_field(json, "walker");
  bool known = false;
  for (const AccessOutcome o :
       {AccessOutcome::hit, AccessOutcome::filled, AccessOutcome::populated, AccessOutcome::denied})
    if (result == outcome_name(o)) {
      reply.outcome = o;
      known = true;
    }
  if (!known) refuse("there is no outcome '" + printable(result, 64) + "'");
  if (walker == "engine")
    reply.walker = "the engine's walker in the module";
  else if (walker == "cpu")
    reply.walker = "the guest's CPU";
  else if (walker == "svm")
    reply.walker = "AMD-V nested paging";
  else if (walker == "vmx")
    reply.walker = "VMX with EPT";
  else if (walker == "vtd")
    reply.walker = "Intel VT-d, for a DMA of the edu device";
  else
    refuse("there is no walker '" + printable(walker, 64) + "'");
  if (json.contains("why")) reply.walker += "; no virtual CPU: " + printable(text_field(json, "why"), 128);
  if (json.contains("why_no_device"))
    reply.walker += "; no device behind an IOMMU: " + printable(text_field(json, "why_no_device"), 128);
  reply.value = number_field(json, "value");
  return reply;
}

std::vector<session::MappedRun> runs_from_json(const Json& json, const char* name, Range asked)
{
  if (!json.is_object()) refuse("an object was expected");
  std::vector<session::MappedRun> runs;
  for (const Json& item : list_field(json, name, max_line_bytes)) {
    if (!item.is_array() || item.size() < 2 || item.size() > 3) refuse("a run is no list of numbers");
    for (const Json& number : item)
      if (!number.is_number_unsigned()) refuse("a run is no list of numbers");
    const Range range{item[0].get<u64>(), item[1].get<u64>()};
    const u64 rights = item.size() == 3 ? item[2].get<u64>() : 0;
    if (range.empty() || !asked.contains(range) || !is_aligned(range.start | range.end, page_bytes))
      refuse("a run lies beside the range that was asked for");
    if (rights > rights_all.bits()) refuse("a run has rights that do not exist");
    runs.push_back({range, Rights::from_bits(static_cast<u8>(rights))});
  }
  return runs;
}

u64 next_from_json(const Json& json, Range asked)
{
  const u64 next = number_field(json, "next");
  if (next <= asked.start || next > asked.end) refuse("the rest begins beside the range that was asked for");
  return next;
}

session::Counters counters_from_json(const Json& json)
{
  session::Counters c;
#define MORSEL_COUNTER_READ(field, name) c.field = number_field(json, #field);
  MORSEL_COUNTER_LIST(MORSEL_COUNTER_READ)
#undef MORSEL_COUNTER_READ
  return c;
}

Json json_of_rule(const session::InjectRule& rule)
{
  Json json{{"point", point_name(rule.point)},
            {"action", session::action_name(rule.action)},
            {"nth", rule.nth},
            {"times", rule.times},
            {"interval", rule.interval},
            {"probability", rule.probability},
            {"seed", rule.seed},
            {"bits", rule.bits}};
  if (rule.tree) json["view"] = *rule.tree;
  if (rule.actor) json["actor"] = *rule.actor;
  if (rule.object) json["name"] = *rule.object;
  if (rule.action == MORSEL_FAULT_DELAY) json["until"] = point_name(rule.until);
  if (!rule.range) return json;
  json["start"] = rule.range->start;
  json["end"] = rule.range->end;
  return json;
}

namespace {

morsel_fault_action action_field(const Json& json)
{
  const std::string name = text_field(json, "action");
  for (int action = MORSEL_FAULT_DROP; action <= MORSEL_FAULT_CRASH; ++action)
    if (name == session::action_name(static_cast<morsel_fault_action>(action)))
      return static_cast<morsel_fault_action>(action);
  refuse("there is no action '" + printable(name, 64) + "'");
}

}  // namespace

std::vector<session::InjectRule> rules_from_json(const Json& json)
{
  std::vector<session::InjectRule> rules;
  for (const Json& item : list_field(json, "rules", max_line_bytes)) {
    session::InjectRule rule;
    rule.number = small_field<u32>(item, "rule");
    rule.point = point_field(item, "point");
    rule.action = action_field(item);
    if (item.contains("view")) rule.tree = small_field<TreeId>(item, "view");
    if (item.contains("actor")) rule.actor = small_field<u32>(item, "actor");
    if (item.contains("name")) rule.object = printable(text_field(item, "name"), MORSEL_NAME_BYTES);
    if (item.contains("until")) rule.until = point_field(item, "until");
    if (item.contains("end")) rule.range = Range{number_field(item, "start"), number_field(item, "end")};
    rule.nth = number_field(item, "nth");
    rule.times = number_field(item, "times");
    rule.interval = number_field(item, "interval");
    rule.probability = small_field<u32>(item, "probability");
    rule.seed = number_field(item, "seed");
    rule.bits = number_field(item, "bits");
    rule.fired = number_field(item, "fired");
    rules.push_back(rule);
  }
  return rules;
}

JournalRings rings_from_json(const Json& json)
{
  JournalRings result;
  for (const Json& ring : list_field(json, "rings", MORSEL_JOURNAL_ROOM)) {
    if (!ring.is_number_unsigned()) refuse("a ring's address is no number");
    result.rings.push_back({ring.get<u64>()});
  }
  result.capacity_lg2 = small_field<u32>(json, "capacity_lg2");
  if (result.capacity_lg2 > MORSEL_JOURNAL_MAX_CAPACITY_LG2) refuse("rings are larger than rings may be");
  result.next_sequence = number_field(json, "next_sequence");
  if (result.next_sequence == 0) refuse("a journal begins with record 0");
  return result;
}

session::ActorState actor_from_json(const Json& json)
{
  using session::ActorWaits;
  session::ActorState actor;
  actor.id = small_field<u32>(json, "id");
  const u64 kind = number_field(json, "kind");
  if (kind > MORSEL_ACTOR_RECLAIM) refuse("there is no kind " + std::to_string(kind) + " of actors");
  actor.kind = static_cast<morsel_actor_kind>(kind);
  actor.who = printable(text_field(json, "who"), 200);
  actor.object = printable(text_field(json, "object"), MORSEL_NAME_BYTES);
  if (json.contains("pid")) actor.pid = small_field<u32>(json, "pid");
  if (json.contains("cpu")) actor.cpu = small_field<u32>(json, "cpu");
  if (json.contains("instruction_pointer")) actor.instruction_pointer = number_field(json, "instruction_pointer");
  if (json.contains("fault_address")) actor.fault_address = number_field(json, "fault_address");
  const std::string state = text_field(json, "state");
  if (state == "finished") actor.waits = ActorWaits::finished;
  if (state == "grace") {
    actor.waits = ActorWaits::for_grace;
    for (const Json& other : list_field(json, "waits_for", max_line_bytes)) {
      if (!other.is_number_unsigned()) refuse("an actor's id is no number");
      actor.waits_for.push_back(static_cast<u32>(other.get<u64>()));
    }
  }
  if (state != "point") return actor;
  actor.waits = ActorWaits::at_point;
  constexpr Level highest_level = 4;
  actor.next = {.point = point_field(json, "point"),
                .tree = small_field<TreeId>(json, "view"),
                .level = small_field<Level>(json, "level"),
                .offset = number_field(json, "offset"),
                .word = number_field(json, "word"),
                .desired = number_field(json, "desired")};
  if (actor.next.level > highest_level) refuse("an entry at level " + std::to_string(actor.next.level));
  return actor;
}

std::vector<session::ActorState> actors_from_json(const Json& json)
{
  std::vector<session::ActorState> actors;
  for (const Json& actor : list_field(json, "actors", max_line_bytes)) actors.push_back(actor_from_json(actor));
  std::sort(actors.begin(), actors.end(), [](auto& a, auto& b) { return a.id < b.id; });
  return actors;
}

session::UntilReply until_from_json(const Json& json)
{
  session::UntilReply reply;
  if (json.contains("actor")) {
    reply.met = actor_from_json(object_at(json, "actor"));
  } else if (json.contains("stopped")) {
    for (const Json& program : list_field(json, "programs", max_line_bytes)) {
      if (!program.is_string()) refuse("a program's name is no text");
      reply.programs.push_back(printable(program.get<std::string>(), 200));
    }
  } else {
    reply.finished = true;
  }
  return reply;
}

session::ProgramResult program_from_json(const Json& json)
{
  session::ProgramResult result;
  if (json.contains("exit_status")) result.exit_status = small_field<u8>(json, "exit_status");
  if (json.contains("signal")) result.signal = small_field<u8>(json, "signal");
  if (!result.exit_status && !result.signal) refuse("a program ended neither by exit nor by signal");
  result.output = text_at(json, "stdout");
  result.errors = text_at(json, "stderr");
  return result;
}

namespace {

u32 small_at(const Json& data, const char* name)
{
  const auto field = data.find(name);
  return field != data.end() && field->is_number_unsigned() ? static_cast<u32>(field->get<u64>()) : 0;
}

session::Event fault_event(const Json& data)
{
  const u32 rule = small_at(data, "rule"), untold = small_at(data, "untold");
  std::string text = "rule " + std::to_string(rule) + " fired at " + printable(text_at(data, "point"), 64);
  if (untold) text += "; before that " + std::to_string(untold) + " of which nothing is known";
  return {.kind = session::Event::Kind::fault_fired,
          .object = printable(text_at(data, "name"), MORSEL_NAME_BYTES),
          .text = text,
          .actor = small_at(data, "actor"),
          .rule = rule};
}

}  // namespace

std::optional<session::Event> event_from_json(const Json& json)
{
  using Kind = session::Event::Kind;
  const std::string name = text_at(json, "event");
  const Json data = object_at(json, "data");
  if (name == "OBJECT_CHANGED") {
    const std::string object = printable(text_at(data, "name"), MORSEL_NAME_BYTES);
    return session::Event{Kind::object_changed, object, object + " changed"};
  }
  if (name == "RESUMED") return session::Event{Kind::resumed, {}, "the gate is open"};
  if (name == "STOPPED") {
    const std::string who = printable(text_at(data, "who"), 200), point = printable(text_at(data, "point"), 64);
    return session::Event{.kind = Kind::stopped,
                          .text = who.empty() ? "the gate is closed" : who + " waits at " + point,
                          .actor = small_at(data, "actor")};
  }
  if (name == "FAULT_FIRED") return fault_event(data);
  if (name == "PROGRAM_ENDED") return session::Event{Kind::program_ended, {}, printable(data.dump(), 300)};
  if (name == "TARGET_LOST")
    return session::Event{
        Kind::target_lost, {}, printable(text_at(data, "reason") + "\n" + text_at(data, "console"), 8192)};
  return {};
}

std::string rights_word(Rights rights)
{
  std::string word;
  if (rights.read()) word += 'r';
  if (rights.write()) word += 'w';
  if (rights.exec()) word += 'x';
  return word;
}

}  // namespace morsel::testvm
