// SPDX-License-Identifier: GPL-2.0-or-later
//
// journal, journal on|off|status|save|load
#include <fmt/format.h>

#include <algorithm>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/facts_journal.hpp"
#include "engine/session/journal_file.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr u64 default_records = 50;

void sync(Session& session)
{
  if (session.recorder().on()) session.recorder().sync(session.target());
}

Recorder& not_empty(Session& session, const std::string& command)
{
  sync(session);
  if (session.recorder().empty())
    throw Failure(Exit::usage, command, "nothing was recorded", "'journal on' begins; then run what you want to see.");
  return session.recorder();
}

Json status_facts(Recorder& recorder)
{
  const Journal& journal = recorder.chronicle().journal;
  Json facts{{"recording", recorder.on()}, {"records", journal.size()}};
  if (!recorder.ended().empty()) facts["ended"] = recorder.ended();
  if (recorder.empty()) return facts;
  const u64 last = journal.sequence_at(journal.size());
  Json gaps = Json::array();
  for (const JournalGap& g : journal.gaps())
    gaps.push_back({{"after", journal.sequence_at(g.before)}, {"lost", g.lost}});
  u64 doubtful = 0;
  for (const Doubt& d : recorder.chronicle().history->doubts()) doubtful += d.to - d.from;
  facts.update({{"target", recorder.chronicle().target},
                {"first", journal.size() == 0 ? last : journal.records()[0].sequence},
                {"last", last},
                {"lost", journal.lost},
                {"garbage", journal.garbage},
                {"forgotten", journal.forgotten},
                {"gaps", std::move(gaps)},
                {"doubtful_places", doubtful},
                {"place", place_facts(recorder)}});
  return facts;
}

// Which records are asked for.
struct Wanted {
  Range sequences;
  std::optional<u64> actor;
  std::optional<SyncPoint> point;
  std::optional<u32> object;
  std::optional<u64> tree;
  bool faults = false, changes = false;

  bool operator()(const JournalRecord& r) const
  {
    return sequences.contains(r.sequence) && (!actor || *actor == r.actor_id) &&
           (!point || static_cast<u16>(*point) == r.point) && (!object || *object == r.object_id) &&
           (!tree || *tree == r.tree) && (!faults || r.fault_action != MORSEL_FAULT_NONE) && (!changes || is_write(r));
  }
};

// 800..900, 800+20, 812. Sequences have no units and no pages.
Range sequences_of(const Arguments& arguments)
{
  if (!arguments.has("RANGE")) return {0, ~u64{0}};
  const std::string what = arguments.command + ": RANGE", &word = arguments.text("RANGE");
  if (word.find("..") != std::string::npos || word.find('+') != std::string::npos) return parse_range(what, word);
  const u64 one = parse_number(what, word);
  return {one, one + 1};
}

Wanted wanted(const Arguments& arguments, const Chronicle& chronicle)
{
  Wanted w;
  w.sequences = sequences_of(arguments);
  if (arguments.has("--actor")) w.actor = arguments.number("--actor");
  if (arguments.has("--point")) w.point = arguments.get<SyncPoint>("--point");
  w.tree = tree_option(arguments);
  w.faults = arguments.has("--faults");
  w.changes = arguments.has("--changes");
  if (!arguments.has("--object")) return w;
  // Objects that are gone by now count as well.
  std::vector<std::string_view> names;
  for (const ObjectsSince& since : chronicle.history->objects_since())
    for (const ObjectState& o : since.objects) {
      if (o.name == arguments.text("--object")) w.object = o.id;
      if (std::find(names.begin(), names.end(), o.name) == names.end()) names.push_back(o.name);
    }
  if (!w.object)
    throw Failure(Exit::usage, arguments.command + ": --object",
                  fmt::format("no object of the journal is called '{}'", arguments.text("--object")),
                  suggest(arguments.text("--object"), names));
  return w;
}

}  // namespace

Outcome journal_on(Session& session, const Arguments&)
{
  session.recorder().start(session.target());
  return {status_facts(session.recorder())};
}

Outcome journal_off(Session& session, const Arguments&)
{
  if (session.recorder().on()) session.recorder().stop(session.target());
  return {status_facts(session.recorder())};
}

Outcome journal_status(Session& session, const Arguments&)
{
  sync(session);
  return {status_facts(session.recorder())};
}

Outcome journal_save(Session& session, const Arguments& arguments)
{
  Recorder& recorder = not_empty(session, arguments.command);
  save_journal(recorder.chronicle(), arguments.text("FILE"));
  return {{{"done", "saved"}, {"file", arguments.text("FILE")}, {"records", recorder.chronicle().journal.size()}}};
}

Outcome journal_load(Session& session, const Arguments& arguments)
{
  if (session.recorder().on())
    throw Failure(Exit::usage, arguments.command, "a recording is under way", "'journal off' ends it.");
  session.recorder().load(load_journal(arguments.text("FILE")));
  const Chronicle& loaded = session.recorder().chronicle();
  return {{{"done", "loaded"},
           {"file", arguments.text("FILE")},
           {"records", loaded.journal.size()},
           {"target", loaded.target}}};
}

Outcome journal_list(Session& session, const Arguments& arguments)
{
  const Recorder& recorder = not_empty(session, arguments.command);
  const Chronicle& chronicle = recorder.chronicle();
  const Wanted is_wanted = wanted(arguments, chronicle);
  const u64 limit = arguments.get_or<u64>("--limit", default_records);
  const std::span<const JournalRecord> records = chronicle.journal.records();
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < records.size(); ++i)
    if (is_wanted(records[i])) found.push_back(i);
  const u64 total = found.size();
  // Of a range the first ones, else the newest.
  if (total > limit && arguments.has("RANGE")) found.resize(limit);
  if (total > limit && !arguments.has("RANGE"))
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(limit));
  Json list = Json::array(), gaps = Json::array();
  for (const std::size_t i : found) {
    for (const JournalGap& g : chronicle.journal.gaps())
      if (g.before == i) gaps.push_back({{"before", records[i].sequence}, {"lost", g.lost}});
    list.push_back(record_facts(chronicle, i));
  }
  return {
      {{"total", total}, {"records", std::move(list)}, {"gaps", std::move(gaps)}, {"lost", chronicle.journal.lost}}};
}

std::string render_journal_status(const Json& facts, const Style& style)
{
  const bool on = facts["recording"].get<bool>();
  std::string out = on ? style.good("recording") : std::string("not recording");
  if (facts.contains("ended")) out += fmt::format(": {}", style.bad(facts["ended"].get<std::string>()));
  if (!facts.contains("target")) return out + (on ? "\n" : "; nothing was recorded\n");
  const u64 records = facts["records"].get<u64>();
  out += fmt::format("; {}", plural(records, "record"));
  if (records != 0) out += fmt::format(", {}..{}", facts["first"].get<u64>(), facts["last"].get<u64>());
  out += fmt::format(" of {}\n", facts["target"].get<std::string>());
  const auto missing = [&](const char* name, std::string_view what) {
    if (const u64 count = facts[name].get<u64>(); count != 0)
      out += fmt::format("  {}: {}\n", style.bad(what), plural(count, "record"));
  };
  missing("lost", "lost before they were read");
  missing("garbage", "no records, but garbage");
  missing("forgotten", "forgotten, the oldest, for want of room");
  for (const Json& g : facts["gaps"])
    out += fmt::format("  {} missing after record {}\n", plural(g["lost"].get<u64>(), "record"), g["after"].get<u64>());
  if (const u64 places = facts["doubtful_places"].get<u64>(); places != 0)
    out += fmt::format("  the tables are not known exactly at {}\n", plural(places, "place"));
  return out;
}

std::string render_journal_file(const Json& facts, const Style& style)
{
  std::string out = fmt::format("{}: {} {}", facts["file"].get<std::string>(), facts["done"].get<std::string>(),
                                plural(facts["records"].get<u64>(), "record"));
  if (facts.contains("target")) out += fmt::format(" of {}", style.bold(facts["target"].get<std::string>()));
  return out + "\n";
}

std::string render_journal(const Json& facts, const Style& style)
{
  if (facts["total"] == 0u) return "no such records\n";
  TextTable table({TextTable::Align::right});
  for (const Json& r : facts["records"]) {
    for (const Json& g : facts["gaps"])
      if (g["before"] == r["sequence"])
        table.add({"", style.bad(fmt::format("{} lost", plural(g["lost"].get<u64>(), "record")))});
    const u64 tree = r["tree"].get<u64>();
    std::string words = r["before"] != r["after"] ? fmt::format("{} → {}", r["before_text"].get<std::string>(),
                                                                style.bold(r["after_text"].get<std::string>()))
                                                  : r["after_text"].get<std::string>();
    for (const Json& f : r["flags"]) words += fmt::format(" {}", style.dim("[" + f.get<std::string>() + "]"));
    if (r["fault"] != "none") words += fmt::format(" {}", style.bad("fault: " + r["fault"].get<std::string>()));
    table.add({std::to_string(r["sequence"].get<u64>()),
               fmt::format("actor {} ({})", r["actor"].get<u64>(), r["actor_kind"].get<std::string>()),
               style.bold(r["point"].get<std::string>()),
               fmt::format("{} {}",
                           r["object"].is_null() ? fmt::format("object {}", r["object_id"].get<u64>())
                                                 : r["object"].get<std::string>(),
                           tree == primary_tree ? "primary" : fmt::format("view {}", tree)),
               fmt::format("{} {:#x}", r["level"].is_string() ? r["level"].get<std::string>() : r["level"].dump(),
                           r["offset"].get<u64>()),
               std::move(words)});
  }
  std::string out = table.text();
  const u64 shown = facts["records"].size(), total = facts["total"].get<u64>();
  if (total > shown) out += fmt::format("{} of {} records (--limit N shows more)\n", shown, total);
  return out;
}

}  // namespace morsel::session
