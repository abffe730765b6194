// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/facts_actor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/inspect/decode.hpp"
#include "engine/session/facts_journal.hpp"
#include "engine/session/journal.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

std::string_view waits_word(ActorWaits waits)
{
  constexpr std::string_view words[] = {"nowhere", "at_point", "for_grace", "finished"};
  return words[static_cast<std::size_t>(waits)];
}

// Its words are those of a table's entry, as in the journal.
bool names_entry(const NextAccess& next)
{
  JournalRecord record{};
  record.point = static_cast<u16>(next.point);
  record.level = next.level;
  record.before = next.word;
  record.after = next.desired;
  return is_about_entry(record);
}

const FormatInfo* format_of(const ActorState& actor, const std::vector<ObjectState>& objects)
{
  for (const ObjectState& o : objects) {
    if (o.name != actor.object) continue;
    if (actor.next.tree == primary_tree) return find_format(o.source().format);
    for (const ViewState& v : o.views)
      if (v.number == actor.next.tree) return find_format(v.format);
  }
  return nullptr;
}

Json next_facts(const ActorState& actor, const std::vector<ObjectState>& objects)
{
  const NextAccess& n = actor.next;
  Json facts{{"point", point_name(n.point)}};
  facts["view"] = n.tree == primary_tree ? "primary" : std::to_string(n.tree);
  const FormatInfo* const format = names_entry(n) ? format_of(actor, objects) : nullptr;
  if (names_entry(n)) {
    facts["level"] = level_name(n.level);
    facts["offset"] = n.offset;
  }
  facts["before"] = hex(n.word);
  facts["after"] = hex(n.desired);
  if (format && n.level < format->levels.size()) {
    facts["before_text"] = inspect::one_line(inspect::decode(*format, n.level, n.word));
    facts["after_text"] = inspect::one_line(inspect::decode(*format, n.level, n.desired));
  }
  return facts;
}

std::string next_text(const Json& next, const Style& style)
{
  std::string out = style.bold(next["point"].get<std::string>());
  const std::string view = next["view"].get<std::string>();
  if (next.contains("offset"))
    out += fmt::format("  {}, {} entry at {}", view == "primary" ? view : "view " + view,
                       next["level"].get<std::string>(), hex(next["offset"].get<u64>()));
  const auto words = [&](const char* when) {
    const std::string text = std::string(when) + "_text";
    return next.contains(text) ? next[text].get<std::string>() : next[when].get<std::string>();
  };
  const bool changes = next["before"] != next["after"];
  if (next.contains("offset") || changes) out += "  " + words("before");
  if (changes) out += " → " + words("after");
  return out;
}

}  // namespace

Json actor_facts(const ActorState& actor, const std::vector<ObjectState>& objects)
{
  Json facts{{"actor", actor.id},
             {"kind", actor_kind_name(static_cast<u8>(actor.kind))},
             {"who", actor.who},
             {"object", actor.object},
             {"waits", waits_word(actor.waits)}};
  if (actor.waits == ActorWaits::at_point) facts["next"] = next_facts(actor, objects);
  if (actor.waits == ActorWaits::for_grace) facts["waits_for"] = actor.waits_for;
  if (actor.pid) facts["pid"] = *actor.pid;
  if (actor.cpu) facts["cpu"] = *actor.cpu;
  if (actor.instruction_pointer != 0) {
    facts["instruction_pointer"] = hex(actor.instruction_pointer);
    facts["fault_address"] = hex(actor.fault_address);
  }
  return facts;
}

Json finished_facts(const std::vector<Tasks::Finished>& finished)
{
  Json list = Json::array();
  for (const Tasks::Finished& f : finished) {
    Json one{{"actor", f.actor}, {"command", f.command}};
    try {
      if (f.failure) std::rethrow_exception(f.failure);
      one["status"] = f.reply.status;
      one["text"] = f.reply.text;
      one["facts"] = f.reply.facts;
    } catch (const Failure& failure) {
      one["status"] = static_cast<int>(failure.code());
      one["text"] = std::string(failure.what()) + "\n";
      one["facts"] = failure_facts(failure);
    } catch (const std::exception& error) {
      one["status"] = static_cast<int>(Exit::target_lost);
      one["text"] = std::string(error.what()) + "\n";
      one["facts"] = failure_facts(Failure(Exit::target_lost, f.command, error.what()));
    }
    list.push_back(std::move(one));
  }
  return list;
}

std::string actor_text(const Json& actor, const Style& style)
{
  const std::string waits = actor["waits"].get<std::string>();
  std::string out = fmt::format("actor {}  {}  ", style.bold(std::to_string(actor["actor"].get<u64>())),
                                actor["who"].get<std::string>());
  if (waits == "at_point")
    out += next_text(actor["next"], style);
  else if (waits == "for_grace")
    out += fmt::format("waits for a grace period: for {}", fmt::join(actor["waits_for"].get<std::vector<u64>>(), ", "));
  else
    out += waits == "finished" ? style.good("has finished") : "runs";
  if (actor.contains("cpu")) out += style.dim(fmt::format("  cpu {}", actor["cpu"].get<u64>()));
  if (actor.contains("fault_address"))
    out += style.dim(fmt::format("  ip {}, faulted at {}", actor["instruction_pointer"].get<std::string>(),
                                 actor["fault_address"].get<std::string>()));
  return out + "\n";
}

std::string finished_text(const Json& finished, const Style& style)
{
  std::string out;
  for (const Json& f : finished) {
    const std::string text = f["text"].get<std::string>();
    out += fmt::format("actor {} has finished '{}': {}", style.bold(std::to_string(f["actor"].get<u64>())),
                       f["command"].get<std::string>(), text.empty() ? "\n" : text);
  }
  return out;
}

}  // namespace morsel::session
