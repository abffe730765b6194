// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

using inspect::AnomalyKind;
using inspect::DiffRun;
using inspect::DiffState;

bool Violation::same_as(const Violation& other) const
{
  return object_id == other.object_id && tree == other.tree && range.start == other.range.start &&
         state == other.state && broken == other.broken;
}

namespace {

std::string frame_of(const AlignedTree& trees, std::size_t column, const AlignedCell& cell, u64 offset)
{
  return hex(trees.format(column).address(cell.word, cell.level).value + (offset - cell.offset));
}

std::string why_of(const AlignedTree& trees, std::size_t column, const DiffRun& run)
{
  const AlignedRow page{0, run.range.start};
  const AlignedCell primary = trees.cell(page, 0), view = trees.cell(page, column);
  const std::string where = range_text(run.range);
  const auto rights = [&](std::size_t c, const AlignedCell& cell) {
    return inspect::rights_text(trees.format(c).access(cell.word, cell.level));
  };
  switch (run.state) {
    case DiffState::stale:
      return fmt::format("still maps {} → frame {}, the primary has {} there", where,
                         frame_of(trees, column, view, run.range.start),
                         primary.kind == EntryKind::hole
                             ? "nothing"
                             : "a " + std::string(inspect::kind_name(primary.kind)) + " entry");
    case DiffState::frame:
      return fmt::format("maps {} → frame {}, the primary frame {}", where,
                         frame_of(trees, column, view, run.range.start),
                         frame_of(trees, 0, primary, run.range.start));
    case DiffState::rights:
      return fmt::format("allows {} at {}, the primary {}", rights(column, view), where, rights(0, primary));
    default:
      return view.readable ? fmt::format("has the entry {} at {}, which is {}", hex(view.word), where,
                                         inspect::kind_name(view.kind))
                           : fmt::format("has a table at {} that cannot be read", where);
  }
}

// Looks at one object, and gathers what is wrong.
class Check {
 public:
  Check(Verdict& verdict, const AlignedTree& trees) : verdict_(verdict), trees_(trees) {}

  void run()
  {
    for (const inspect::Anomaly& a : trees_.snapshot(0).anomalies()) {
      const u64 bytes = AlignedTree::entry_bytes(a.level);
      add(0, {a.offset, a.offset + bytes}, a.kind == AnomalyKind::table_seen_twice ? "I3" : "I1",
          std::string(inspect::anomaly_name(a.kind)),
          fmt::format("has the entry {} at {}: {}", hex(a.word), range_text({a.offset, a.offset + bytes}),
                      inspect::anomaly_name(a.kind)));
    }
    for (std::size_t c = 1; c < trees_.columns(); ++c)
      for (const DiffRun& run : trees_.diff(c).runs())
        if (!inspect::is_clean(run)) add_run(c, run);
  }

 private:
  void add_run(std::size_t column, const DiffRun& run)
  {
    // A table that two entries reach was given away while one of them could still reach it.
    const auto& anomalies = trees_.snapshot(column).anomalies();
    const bool shared = run.state == DiffState::format &&
                        std::any_of(anomalies.begin(), anomalies.end(), [&](const inspect::Anomaly& a) {
                          return a.kind == AnomalyKind::table_seen_twice &&
                                 run.range.overlaps({a.offset, a.offset + AlignedTree::entry_bytes(a.level)});
                        });
    add(column, run.range, shared ? "I3" : run.state == DiffState::stale ? "I2" : "I1",
        std::string(inspect::diff_state_name(run.state)), why_of(trees_, column, run));
  }

  void add(std::size_t column, Range range, std::string invariant, std::string state, std::string why)
  {
    if (verdict_.violations.size() >= max_violations) {
      ++verdict_.more;
      return;
    }
    Violation v;
    v.invariant = std::move(invariant);
    v.object = trees_.object().name;
    v.object_id = trees_.object().id;
    v.tree = trees_.tree(column);
    v.format = trees_.format(column).id;
    v.range = range;
    v.state = std::move(state);
    v.why = std::move(why);
    verdict_.violations.push_back(std::move(v));
  }

  Verdict& verdict_;
  const AlignedTree& trees_;
};

// A fault concerns a place if its entry covers it, or if it is no entry's (a flush, a counter) but the tree's.
bool is_fault_at(const JournalRecord& r, const Violation& v)
{
  if (r.fault_action == MORSEL_FAULT_NONE || r.object_id != v.object_id) return false;
  if (r.tree != v.tree && r.tree != primary_tree) return false;
  return !is_about_entry(r) || span_of(r).overlaps(v.range);
}

void find_causes(std::vector<Violation>& violations, const Evidence& evidence)
{
  const std::span<const JournalRecord> records = evidence.chronicle->journal.records().first(evidence.records);
  for (std::size_t i = records.size(); i-- > 0;) {
    const JournalRecord& r = records[i];
    const bool wrote = is_write(r);
    if (!wrote && r.fault_action == MORSEL_FAULT_NONE) continue;
    for (Violation& v : violations) {
      const bool here = wrote && r.object_id == v.object_id && span_of(r).contains(v.range.start);
      if (here && r.tree == v.tree && !v.tree_since) v.tree_since = i;
      if (here && r.tree == primary_tree && !v.primary_since) v.primary_since = i;
      if (!v.fault && is_fault_at(r, v)) v.fault = i;
    }
  }
  // The primary has changed since, and whoever changed it has returned: walkers may no longer do what they can.
  for (Violation& v : violations)
    if (v.invariant == "I1" && v.tree != primary_tree && v.primary_since && v.primary_since > v.tree_since)
      v.invariant = "I2";
}

// All of the journal was followed while it was recorded; of a part of it, or of one from elsewhere, nothing was.
Promises promises_of(const Evidence& evidence)
{
  const Chronicle& chronicle = *evidence.chronicle;
  const u64 last = chronicle.journal.sequence_at(chronicle.journal.size());
  if (evidence.records == chronicle.journal.size() && chronicle.promises.followed() == last)
    return chronicle.promises;
  Promises promises;
  const std::span<const JournalRecord> records = chronicle.journal.records().first(evidence.records);
  std::size_t done = 0;
  for (const ObjectsSince& since : chronicle.history->objects_since()) {
    const std::size_t until = std::min(since.position, records.size());
    promises.follow(records.subspan(done, until - done), since.objects);
    done = until;
  }
  promises.follow(records.subspan(done), chronicle.history->objects_since().back().objects);
  return promises;
}

// Of what is not there any more nothing is told.
const ObjectState* find_owner(const BrokenPromise& broken, const std::vector<ObjectState>& objects)
{
  for (const ObjectState& o : objects) {
    if (o.id != broken.object || o.bytes == 0) continue;
    if (broken.tree == primary_tree) return &o;
    for (const ViewState& v : o.views)
      if (v.number == broken.tree && v.format == broken.format) return &o;
  }
  return nullptr;
}

std::string why_of(const BrokenPromise& broken, const Range& range)
{
  const std::string where = range_text(range);
  switch (broken.kind) {
    case BrokenPromise::Kind::flush: return fmt::format("was not flushed after {} was taken out of it", where);
    case BrokenPromise::Kind::carry:
      return fmt::format("has lost the dirty bit of {} (frame {})", where, hex(broken.frame.value));
    case BrokenPromise::Kind::make:
      return fmt::format("got {} → frame {} before all walkers had forgotten another leaf there", where,
                         hex(broken.frame.value));
    default: return fmt::format("maps {} → frame {}, which was not copied whole", where, hex(broken.frame.value));
  }
}

Violation of_promise(const BrokenPromise& broken, const ObjectState& object, const Journal& journal)
{
  constexpr std::array<std::pair<const char*, const char*>, 4> names{
      {{"I2", "unflushed"}, {"I4", "lost dirty bit"}, {"I9", "torn"}, {"I10", "made before broken"}}};
  // Nothing if it was forgotten.
  const auto number_of = [&journal](u64 sequence) -> std::optional<std::size_t> {
    const std::size_t count = journal.count_until(sequence);
    return count != 0 && journal.sequence_at(count) == sequence ? std::optional(count - 1) : std::nullopt;
  };
  Violation v;
  std::tie(v.invariant, v.state) = names[static_cast<std::size_t>(broken.kind)];
  v.object = object.name;
  v.object_id = object.id;
  v.tree = broken.tree;
  v.format = broken.format;
  v.range = intersect(broken.range, object.range());
  v.why = why_of(broken, v.range);
  v.broken = broken.broken;
  v.tree_since = number_of(broken.since);
  if (broken.fault) v.fault = number_of(*broken.fault);
  return v;
}

void add_promises(Verdict& verdict, const std::vector<ObjectState>& objects, const Evidence& evidence)
{
  const Promises promises = promises_of(evidence);
  std::vector<std::pair<const BrokenPromise*, const ObjectState*>> told;
  for (const BrokenPromise& broken : promises.broken())
    if (const ObjectState* const object = find_owner(broken, objects)) told.emplace_back(&broken, object);
  // The latest, if there is no room for all: they were not told yet.
  const std::size_t room = max_violations - std::min(max_violations, verdict.violations.size());
  const std::size_t untold = told.size() - std::min(told.size(), room);
  verdict.more += untold + promises.dropped();
  for (const auto& [broken, object] : std::span(told).subspan(untold))
    verdict.violations.push_back(of_promise(*broken, *object, evidence.chronicle->journal));
}

Json record_note(const Chronicle& chronicle, std::size_t number, const std::vector<InjectRule>& rules)
{
  const JournalRecord& r = chronicle.journal.records()[number];
  Json note{{"record", r.sequence},
            {"point", point_name(static_cast<SyncPoint>(r.point))},
            {"actor", r.actor_id},
            {"action", r.flags & record_twisted ? "another access"
                                                : action_name(static_cast<morsel_fault_action>(r.fault_action))}};
  // The record does not say which rule it was. If only one can have been, it was that; one that is gone can have been
  // if what is there has fired less often than there are such records from this one on.
  const auto since = chronicle.journal.records().subspan(number);
  const auto alike = static_cast<u64>(std::count_if(since.begin(), since.end(), [&](const JournalRecord& other) {
    return other.point == r.point && other.fault_action == r.fault_action;
  }));
  u32 rule = 0;
  int fitting = 0;
  u64 fired = 0;
  for (const InjectRule& candidate : rules)
    if (candidate.fired != 0 && static_cast<u16>(candidate.point) == r.point && candidate.action == r.fault_action) {
      rule = candidate.number;
      fired = candidate.fired;
      ++fitting;
    }
  if (fitting == 1 && fired >= alike) note["rule"] = rule;
  return note;
}

}  // namespace

namespace {

// "I3 a frame is freed while …": broken at the last record that was done when it was seen.
Violation of_finding(const Finding& finding, const std::vector<ObjectState>& objects, const Chronicle& chronicle)
{
  const std::size_t space = std::min(finding.text.find(' '), finding.text.size());
  const bool named = space > 1 && finding.text[0] == 'I';
  Violation v;
  v.invariant = named ? finding.text.substr(0, space) : "end";
  v.why = named ? finding.text.substr(space + 1) : finding.text;
  v.state = "found";
  if (!objects.empty()) {
    v.object = objects.front().name;
    v.object_id = objects.front().id;
    v.range = objects.front().range();
  }
  if (finding.position != 0) v.tree_since = finding.position - 1;
  const std::span<const JournalRecord> records = chronicle.journal.records();
  for (std::size_t i = std::min(finding.position, records.size()); i-- > 0 && !v.fault;)
    if (records[i].fault_action != MORSEL_FAULT_NONE || (records[i].flags & record_twisted)) v.fault = i;
  return v;
}

}  // namespace

Verdict verify(const inspect::PhysicalMemory& memory, const std::vector<ObjectState>& objects,
               const Evidence& evidence)
{
  Verdict verdict;
  for (const ObjectState& object : objects) {
    if (object.bytes == 0 || object.maker == inspect::Maker::foreign) continue;  // no views of ours
    const AlignedTree trees = AlignedTree::capture(memory, object);
    verdict.views += trees.columns() - 1;
    Check(verdict, trees).run();
  }
  if (!evidence.chronicle) return verdict;
  if (!verdict.violations.empty()) find_causes(verdict.violations, evidence);
  add_promises(verdict, objects, evidence);
  for (const Finding& f : evidence.chronicle->findings)
    if (f.position <= evidence.records) verdict.violations.push_back(of_finding(f, objects, *evidence.chronicle));
  return verdict;
}

Json violation_facts(const Violation& v, const Evidence& evidence, const std::vector<InjectRule>& rules)
{
  Json facts{{"invariant", v.invariant},
             {"object", v.object},
             {"view", v.tree},
             {"format", find_format(v.format)->name},
             {"range", range_facts(v.range)},
             {"state", v.state},
             {"why", v.why}};
  if (!evidence.chronicle) return facts;
  const std::optional<std::size_t> since = std::max(v.primary_since, v.tree_since);
  if (since) facts["since"] = record_note(*evidence.chronicle, *since, {});
  if (v.fault) facts["fault"] = record_note(*evidence.chronicle, *v.fault, rules);
  return facts;
}

std::string violation_text(const Json& facts, const Style& style)
{
  const u64 tree = facts["view"].get<u64>();
  const std::string where = tree == primary_tree
                                ? std::string("the primary")
                                : fmt::format("view {} ({})", tree, facts["format"].get<std::string>());
  std::string out = style.bad(facts["invariant"].get<std::string>()) + ": ";
  if (facts["state"] != "found")  // else it says itself what it is about
    out += fmt::format("{} of {} ", where, style.bold(facts["object"].get<std::string>()));
  out += facts["why"].get<std::string>();
  if (facts.contains("since")) {
    const Json& r = facts["since"];
    out += fmt::format("; since record {} ({}, actor {})", r["record"].get<u64>(), r["point"].get<std::string>(),
                       r["actor"].get<u64>());
  }
  if (facts.contains("fault")) {
    const Json& r = facts["fault"];
    const std::string rule = r.contains("rule") ? fmt::format(", rule {}", r["rule"].get<u64>()) : std::string();
    out += fmt::format("; injected at record {} ({} at {}{}, actor {})", r["record"].get<u64>(),
                       r["action"].get<std::string>(), r["point"].get<std::string>(), rule, r["actor"].get<u64>());
  }
  return out + "\n";
}

}  // namespace morsel::session
