// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/facts_journal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

std::string_view actor_kind_name(u8 kind)
{
  switch (kind) {
    case MORSEL_ACTOR_CALLER: return "caller";
    case MORSEL_ACTOR_PROCESS_PRIMARY: return "process";
    case MORSEL_ACTOR_PROCESS_VIEW: return "process in a view";
    case MORSEL_ACTOR_VCPU: return "vcpu";
    case MORSEL_ACTOR_IOMMU: return "iommu";
    case MORSEL_ACTOR_RECLAIM: return "reclaim";
    default: return "unknown";
  }
}

namespace {

// The record's object: as it was then, or, if it was being made, as it was afterwards.
const ObjectState* object_of(const History& history, std::size_t number, u32 id)
{
  const auto& states = history.objects_since();
  auto since = std::upper_bound(states.begin(), states.end(), number,
                                [](std::size_t at, const ObjectsSince& o) { return at < o.position; });
  if (since != states.begin()) --since;
  for (int tries = 0; tries < 2 && since != states.end(); ++tries, ++since)
    for (const ObjectState& o : since->objects)
      if (o.id == id) return &o;
  return nullptr;
}

const FormatInfo* format_of(const ObjectState* object, TreeId tree)
{
  if (!object) return nullptr;
  if (tree == primary_tree) return find_format(object->source().format);
  for (const ViewState& v : object->views)
    if (v.number == tree) return find_format(v.format);
  return nullptr;
}

std::string word_text(const JournalRecord& r, u64 word, const FormatInfo* format)
{
  if (is_about_entry(r) && format && r.level < format->levels.size())
    return inspect::one_line(inspect::decode(*format, r.level, word));
  return r.point == MORSEL_POINT_alloc ? hex(word) : std::to_string(word);
}

std::string_view aside_text(SyncPoint point)
{
  switch (point) {
    case SyncPoint::enter: return "its act begins";
    case SyncPoint::leave: return "its act returns";
    case SyncPoint::flush:
    case SyncPoint::grace: return "has ended";
    case SyncPoint::load: return "looks around";
    default: return "by hardware";
  }
}

Json flag_facts(const JournalRecord& r)
{
  Json flags = Json::array();
  if (r.flags & MORSEL_RECORD_PRIVATE) flags.push_back("private");
  if (r.flags & MORSEL_RECORD_TABLE) flags.push_back("table");
  if (r.flags & MORSEL_RECORD_UNGATED) flags.push_back("ungated");
  if (r.flags & MORSEL_RECORD_LOST) flags.push_back("lost");
  if (r.flags & record_aside) flags.push_back(aside_text(static_cast<SyncPoint>(r.point)));
  if (r.flags & record_seen_late) flags.push_back("a delayed store is seen");
  if (r.flags & record_twisted) flags.push_back("another access, by the fault plan");
  return flags;
}

}  // namespace

Json record_facts(const Chronicle& chronicle, std::size_t number)
{
  const JournalRecord& r = chronicle.journal.records()[number];
  const ObjectState* const object = object_of(*chronicle.history, number, r.object_id);
  const FormatInfo* const format = format_of(object, r.tree);
  const bool is_private = (r.flags & MORSEL_RECORD_PRIVATE) != 0;
  const u64 before = is_private ? 0 : r.before;
  Json facts{{"sequence", r.sequence},
             {"actor", r.actor_id},
             {"actor_kind", actor_kind_name(r.actor_kind)},
             {"point", point_name(static_cast<SyncPoint>(r.point))},
             {"object", object ? Json(object->name) : Json()},
             {"object_id", r.object_id},
             {"tree", r.tree},
             {"level", r.level > 4 ? Json(r.level) : Json(level_name(r.level))},
             {"offset", r.object_offset},
             {"before", hex(before)},
             {"after", hex(r.after)},
             {"before_text", word_text(r, before, format)},
             {"after_text", word_text(r, r.after, format)},
             {"changed", is_write(r)},
             {"fault", action_name(static_cast<morsel_fault_action>(r.fault_action))},
             {"flags", flag_facts(r)},
             {"time_ns", r.time_ns},
             {"cpu", r.cpu}};
  if (is_private) facts["address"] = hex(r.before);
  return facts;
}

Json place_facts(const Recorder& recorder)
{
  const Journal& journal = recorder.chronicle().journal;
  const std::size_t at = recorder.position();
  return {{"present", !recorder.in_past()},
          {"record", journal.sequence_at(at)},
          {"of", journal.sequence_at(journal.size())},
          {"exact", recorder.empty() || recorder.chronicle().history->is_exact(at)}};
}

std::string place_text(const Recorder& recorder, const Style& style)
{
  if (!recorder.in_past()) return {};
  const bool exact = recorder.chronicle().history->is_exact(recorder.position());
  return fmt::format("{}{}\n", style.bold("at " + recorder.place()),
                     exact ? "" : style.bad(" (not exact: records are missing here)"));
}

}  // namespace morsel::session
