// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/ingredients.hpp"

#include "engine/sim/crash.hpp"
#include "engine/sim/minimise.hpp"
#include "engine/sim/search.hpp"
#include "engine/sim/token.hpp"

namespace morsel::sim {

namespace {

constexpr auto model = Ingredient::Source::model, engine = Ingredient::Source::engine,
               persistence = Ingredient::Source::persistence;

constexpr Ingredient rows[] = {
    {model, "no_recheck", "a filler uses the primary's entry that it read before the reservation",
     "populate:p0 -- fill:p0 unmap:p0 old:read_primary", "I3"},
    {model, "blind_reserve", "a reservation is stored whatever stands there",
     "populate:p0 fill:p0 invalidate:p0 -- fill:p0 fill:p0 unmap:p0 blind:reserve", "I3"},
    {model, "no_stale", "the reservation of a live leaf is not marked stale",
     "populate:p0,r fill:p0 -- fill:p0,w unmap:p0 unmarked:reserve", "I2"},
    {model, "token_per_fill", "all reservations bear one token",
     "populate:p0 fill:p0 invalidate:p0 -- fill:p0 fill:p0 unmap:p0 same_token", "I3"},
    {model, "takeover", "a filler that meets a reservation replaces it by its own",
     "populate:p0 -- fill:p0 fill:p0 hidden:load", "I5"},
    {model, "takeover_no_token", "the same, and all reservations bear one token",
     "populate:p0 -- fill:p0 fill:p0 unmap:p0 hidden:load same_token", "I3"},
    {model, "plain_publish", "a leaf is published whatever stands there",
     "populate:p0 -- fill:p0 unmap:p0 blind:publish", "I3"},
    {model, "plain_link", "a table is linked whatever stands there",
     "populate:p0 -- fill:p0 fill:p0 blind:link", "I3"},
    {model, "undo_no_flush", "a stale reservation is undone without a flush",
     "populate:p0,r fill:p0 -- fill:p0,w unmap:p0 drop:flush@a", "I3"},
    {model, "large_no_flush", "a stale large reservation gives way to a table without a flush",
     "watch:p0,p1 populate:m0,r,2M fill:p0 -- protect:p1,rw fill:p1,w drop:flush@b", "I10"},
    {model, "publish_no_flush", "a stale reservation is published over without a flush",
     "populate:p0,r fill:p0 -- fill:p0,w protect:p0,rw migrate:p0 drop:flush@a", "I3"},
    {model, "no_size_check", "a filler publishes a large leaf although the primary has a table there by now",
     "watch:p0,p1 populate:m0,2M -- fill:p0 unmap:p1 wide:read_primary@a", "I3"},
    {model, "no_section", "a filler is in no grace section",
     "populate:p0 fill:p0 -- fill:p0 unmap:m0 drop:enter@a", "I3"},
    {model, "invalidate_first", "a mutator changes behind its flush",
     "populate:p0 fill:p0 invalidate:p0 -- unmap:p0 fill:p0 late:change~flush", "I1"},
    {model, "skip_noop", "a mutator that changed nothing returns at once",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 drop:read_list?idle", "I2"},
    {model, "no_pend", "others' pending flushes are ignored",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 drop:read_pending", "I2"},
    {model, "pend_only_hole", "others' pending flushes are ignored where a reservation was taken away",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 fill:p0 drop:read_pending?reserved", "I2"},
    {model, "pend_late", "the pending count is raised behind the invalidation",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 late:pend~invalidate", "I2"},
    {model, "pend_after_change", "a walked primary's pending count is raised behind the change",
     "walked populate:p0 -- unmap:p0 unmap:p0 late:pend~change", "I2"},
    {model, "unpend_early", "the pending count is lowered before the flush",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 late:flush~unpend", "I2"},
    {model, "pend_read_early", "the pending count is read before the walk of the view",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 early:read_pending~read_list", "I2"},
    {model, "no_flush", "no flush",
     "populate:p0 fill:p0 -- unmap:p0 drop:flush", "I3"},
    {model, "rsv_stale_no_flush", "a mutator does not flush for a stale reservation that it took away",
     "populate:p0,r fill:p0 -- fill:p0,w unmap:p0 drop:flush?stale", "I2"},
    {model, "flush_asked_range", "what is flushed is what was asked for, not what was removed",
     "watch:p0,p1 populate:m0,2M fill:p0 -- unmap:p1 fill:p0 asked:flush", "I10"},
    {model, "leaf_flush", "a flush leaves cached pointers to tables alone",
     "populate:p0 fill:p0 -- unmap:m0 leaf:flush", "I3"},
    {model, "leaf_flush_pend", "a flush forgets cached pointers to tables only if its operation unlinked one",
     "populate:p0 fill:p0 -- unmap:m0 unmap:p0 leaf:flush?kept", "I2"},
    {model, "release_no_grace", "memory is released without a grace period",
     "populate:p0 fill:p0 -- fill:p0 unmap:m0 no_grace", "I3"},
    {model, "release_early", "a mutator flushes behind its section",
     "populate:p0 fill:p0 -- unmap:p0 late:flush~leave", "I3"},
    {model, "collect_early", "dirty bits of an unlinked table are collected before the flush",
     "populate:p0 fill:p0,w -- invalidate:m0 write:p0 harvest:p0 late:flush~collect slow_release", "I4"},
    {model, "no_collect", "dirty bits of an unlinked table are not collected",
     "populate:p0 fill:p0,w write:p0 -- invalidate:m0 harvest:p0 drop:collect slow_release", "I4"},
    {model, "carry_early", "removed dirty bits are carried before the flush",
     "populate:p0 fill:p0,w -- invalidate:p0 harvest:p0 write:p0 late:flush~carry", "I4"},
    {model, "carry_outside", "removed dirty bits are carried behind the section",
     "populate:p0 fill:p0,w write:p0 -- unmap:p0 late:carry~leave", "I4"},
    {model, "upgrade_drops_d", "an upgrade without a flush publishes a clean leaf",
     "populate:p0 fill:p0,w write:p0 -- protect:p0,rwx fill:p0,x harvest:p0 clean:publish@b", "I4"},
    {model, "upgrade_no_carry", "an upgrade puts the dirty bit back into the leaf and does not carry it",
     "populate:p0 fill:p0,w write:p0 -- protect:p0,rwx fill:p0,x harvest:p0 drop:carry@b?dirty", "I4"},
    {model, "harvest_no_flush", "harvest does not flush",
     "populate:p0 fill:p0,w write:p0 -- harvest:p0 write:p0 drop:flush@a", "I4"},
    {model, "harvest_no_grace", "harvest reports without waiting for a grace period",
     "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 invalidate:p0 drop:grace", "I4"},
    {model, "one_dirty_bit", "the dirty log and the verdict at release share one bit",
     "populate:p0 fill:p0,w write:p0 -- harvest:p0 unmap:p0 both:report", "I4"},
    {model, "merge_no_mark", "a merge leaves no mark that others see",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0 alone:mark", "I3"},
    {model, "merge_no_grace", "a merge does not wait for a grace period",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0 drop:grace", "I3"},
    {model, "merge_no_cancel", "a small change does not clear a merge's mark",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0 drop:cancel_merge", "I5"},
    {model, "move_one_step", "a frame is copied before the flush",
     "populate:p0 fill:p0,w -- migrate:p0 write:p0 late:flush~copy", "I9"},
    {model, "move_token_reuse", "a move bears a token that another one bears, too",
     "populate:p0 -- migrate:p0 migrate:p0 fill:p0 drop:hold same_token", "I9"},
    {model, "move_waits", "a filler that meets a moving entry waits",
     "populate:p0 -- migrate:p0 fill:p0 drop:cancel_move", "I5"},
    {model, "no_bbm", "a filler publishes over others' pending flushes",
     "populate:p0 fill:p0 -- unmap:p0 populate:p0 fill:p0 drop:read_pending@c", "I10"},
    {model, "list_read_early", "the list of views is read before the change",
     "view:none populate:p0 -- add_view:v1,ept fill:p0 unmap:p0 late:change~read_list", "I3"},
    {model, "attach_first", "a new view is filled before it is on the list",
     "view:none populate:p0 -- add_view:v1,ept fill:p0 unmap:p0 ahead:read_list@b", "I3"},
    {model, "unlist_first", "a dropped view leaves the list before its flush",
     "populate:p0 fill:p0 -- drop_view unmap:p0 late:flush~unlist", "I2"},
    {model, "sweep_early", "a dropped view's tables are enumerated before the grace period, not behind it",
     "populate:p0 -- drop_view fill:p0 swept:retire", "I3"},
    {model, "plain_change", "a change of the primary is a load and a plain store",
     "populate:p0 -- unmap:p0 protect:p0 plain:change", "I3"},
    {model, "plain_change_bare", "the same, with nothing locked before the views are walked",
     "populate:p0 -- fill:p0 unmap:p0 plain:change", "I3"},
    {engine, "no_invalidate", "nothing is invalidated",
     "populate:p0 fill:p0 -- unmap:p0 drop:invalidate", "I3"},
    {engine, "no_unpend", "the pending count is never lowered",
     "populate:p0 fill:p0 -- unmap:p0 drop:unpend", "a pending count"},
    {engine, "no_retire", "what was unlinked is not retired",
     "populate:p0 fill:p0 -- unmap:p0 drop:retire", "I3"},
    {engine, "no_carry", "removed dirty bits are forgotten",
     "populate:p0 fill:p0 write:p0 -- unmap:p0 drop:carry", "I4"},
    {engine, "move_no_flush", "a frame is copied without a flush",
     "populate:p0 fill:p0,w -- migrate:p0 write:p0 drop:flush", "I9"},
    {engine, "change_blind", "the primary is changed whatever stands there",
     "populate:p0 -- unmap:p0 protect:p0 blind:change", "I3"},
    {engine, "split_blind", "a table is put in a leaf's place whatever stands there",
     "populate:m0,2M -- unmap:p0 unmap:p1 blind:split", "I3"},
    {engine, "install_blind", "a moved leaf is installed whatever stands there",
     "populate:p0 -- migrate:p0 unmap:p0 blind:install", "I3"},
    {engine, "reserve_plain", "a reservation is a load and a plain store, seen later",
     "populate:p0 -- fill:p0 unmap:p0 plain:reserve", "I3"},
    {engine, "publish_plain", "a leaf is published by a load and a plain store, seen later",
     "populate:p0 -- fill:p0 unmap:p0 plain:publish", "I3"},
    {engine, "undo_blind", "a reservation is undone whatever stands there",
     "populate:p0 -- fill:p0 fill:p0 unmap:p0 blind:undo", "I3"},
    {engine, "link_primary_blind", "a table of the primary is linked whatever stands there",
     "-- populate:p0 populate:p1 blind:link_primary", "I3"},
    {engine, "unshare_blind", "a clone's copy of a table replaces whatever stands there",
     "populate:p0-1 clone -- break_copy:p0 unmap:p0 blind:link_primary", "I3"},
    {engine, "harvest_blind", "a harvest clears bits whatever stands there",
     "populate:p0 fill:p0,w write:p0 -- harvest:p0 unmap:p0 blind:harvest", "I3"},
    {engine, "mark_blind", "a merge marks whatever stands there",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:m0 blind:mark", "I3"},
    {engine, "cancel_merge_blind", "a merge's mark is cleared whatever stands there",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0 blind:cancel_merge", "I3"},
    {engine, "cancel_move_blind", "a move is undone whatever stands there",
     "populate:p0 -- migrate:p0 fill:p0 unmap:p0 blind:cancel_move", "I3"},
    {engine, "mutator_waits", "a mutator that meets a moving entry waits",
     "populate:p0 -- migrate:p0 protect:p0,r drop:cancel_move", "I5"},
    {engine, "break_no_flush", "a copy is taken without a flush when a page of the base is written",
     "populate:p0 clone fill:p0 -- break_copy:p0 drop:flush", "I2"},
    {engine, "break_token_reuse", "a break of a copy bears a token that another one bears, too",
     "populate:p0-1 clone break_copy:p1 -- break_copy:p0 break_copy:p0 fill:p0 drop:hold@a same_token", "I2"},
    {engine, "new_frame_clean", "a migrated page does not inherit that it is dirty",
     "populate:p0 fill:p0,w write:p0 -- migrate:p0 harvest:p0 drop:carry@a#2", "I4"},
    {engine, "attached_unseen", "a mutator does not see that hardware walks the primary",
     "walked populate:p0 -- unmap:p0 drop:read_pending@v0", "I3"},
    {engine, "split_no_flush", "a large leaf of a walked primary gives way to a table without a flush",
     "walked watch:p0,p1 populate:m0,2M -- unmap:p1 drop:flush@v0#1", "I10"},
    {engine, "resize_late", "a smaller size is visible only behind the unmapping of the tail",
     "-- populate:p0 resize:p0 late:resize~leave", "I2"},
    {engine, "populate_no_reread", "a populate does not read the size again",
     "-- populate:p0-1 resize:p0 old:read_size@a", "I2"},
    {engine, "freeze_unseen", "a mutator does not see that the object is frozen",
     "populate:p0 -- freeze:all protect:p0,rw drop:read_frozen@b", "I9"},
    {engine, "freeze_no_grace", "a freeze does not wait for changes under way",
     "populate:p0 fill:p0 protect:p0,r -- freeze:all protect:p0,rw drop:grace", "I9"},
    {engine, "merges_meet", "two merges of one object are under way at once",
     "populate:m0,2M split:m0 -- merge:m0,2M merge:m0,2M unmap:p0 alone:mark@a#1 alone:mark@b#1", "I3"},
    {engine, "merge_frees_early", "a merge frees the table without a second grace period",
     "populate:m0,2M split:m0 -- merge:m0,2M fill:p0 drop:grace@a#2", "I3"},
    {engine, "slots_late", "the number of slots is raised behind the view that needs it",
     "view:none populate:p0 -- add_view:v1,ept fill:p0 unmap:p0 late:list~list@a#1", "I3"},
    {engine, "no_unlist", "a dropped view stays on the list",
     "populate:p0 -- drop_view fill:p0 drop:unlist", "I3"},
    {engine, "new_leaf_no_flush", "a new leaf is published without a flush where walkers may hold that it is absent",
     "view:riscv_sv48 populate:p0 -- fill:p0 drop:flush", "I5"},
    {engine, "local_flush", "a flush reaches only the core that asks for it",
     "cores:2 populate:p0 fill:p0 -- unmap:p0 local_flush", "I3"},
    {persistence, "persist_nothing", "nothing is written back",
     "watch:p0,p1 -- populate:p0 drop:persist", "I6"},
    {persistence, "persist_no_frame", "a new frame is not written back before it is mapped",
     "watch:p0,p1 -- populate:p0 drop:persist#1", "I6"},
    {persistence, "persist_no_table", "a new table is not written back before it is linked",
     "watch:p0,p1 -- populate:p0 drop:persist#2", "I6"},
    {persistence, "persist_no_link", "the link to a new table is not written back",
     "watch:p0,p1 -- populate:p0 drop:persist#3", "I6"},
    {persistence, "persist_no_change", "an unmapped entry is not written back",
     "populate:p0 -- unmap:p0 drop:persist#1", "I6"},
    {persistence, "persist_no_fence", "an unmapped entry is written back, and nobody waits for that",
     "populate:p0 -- unmap:p0 unfenced:persist#1", "I6"},
    {persistence, "persist_no_copy", "a copy is not written back before it is installed",
     "populate:p0 -- migrate:p0 drop:persist#2", "I6"},
    {persistence, "persist_no_help", "a filler uses a leaf that is not written back yet",
     "root:pte -- populate:p0 fill:p0 drop:peek drop:read_primary", "I6"},
};

constexpr Untouched untouched[] = {
    {"lazy_pend", "a variant, and what the engine does: pending counts are raised where something is found to remove. "
                  "So nothing locked stands between a change and the walk of the views: plain_change_bare"},
    {"harvest_no_pend", "a variant, and what the engine does: harvest neither raises nor reads pending counts"},
    {"break_copy's back-off", "a decision between two accesses, on values that the actor has already. The "
                              "counterexample that led to it is at the end of concurrency.md"},
    {"the held list's flush", "needs more than 32 separate runs of dirty frames; hardware accesses at most 4 pages "
                              "here"},
    {"tables that stay", "where processes have tables of a tree attached. Exploration has walkers from the root only: "
                         "attached_unseen takes both uses of the count away at once"},
    {"a helper's hold of a token", "a plan cannot tell it from the hold of who began. clone_test has both of its "
                                   "steps"},
    {"the copy itself", "exploration knows which frame stands where and when it was copied, not what is in it"},
};

std::string row_of(const Ingredient& ingredient, const Counterexample& found)
{
  std::string invariant = ingredient.invariant;
  if (invariant[0] != 'I') invariant = "end";
  std::string steps = std::to_string(found.steps);
  if (found.violation == StepLimit::reached_text) steps = "no end";
  return std::string("| ") + ingredient.name + " | " + ingredient.without + " | " + invariant + " | `" +
         found.token + "` | " + steps + " |\n";
}

constexpr const char* head = R"(# What each ingredient of the protocol is needed for

Printed by `morsel-explore ingredients`; `ingredients_test` finds every row again and compares this page.

Each ingredient is taken away by a fault plan from the engine as it is shipped; every state of a scenario is searched,
the invariant named is violated, and the run is made small. `morsel-explore replay TOKEN` tells it step by step. The
words of the plans: [fault_plan.hpp](../engine/sim/fault_plan.hpp); the invariants: [concurrency.md](concurrency.md).
)";

constexpr const char* columns =
    "| ingredient | without it | missed by | smallest run found | steps |\n|---|---|---|---|---|\n";

std::string table_of(Ingredient::Source source, std::span<const Counterexample> found)
{
  std::string text = columns;
  for (std::size_t i = 0; i < std::size(rows); ++i)
    if (rows[i].source == source) text += row_of(rows[i], found[i]);
  return text;
}

std::string count_of(Ingredient::Source source)
{
  std::size_t count = 0;
  for (const Ingredient& i : rows) count += i.source == source;
  return std::to_string(count);
}

}  // namespace

std::span<const Ingredient> ingredients() { return rows; }
std::span<const Untouched> untouched_ingredients() { return untouched; }

Counterexample counterexample(const Ingredient& ingredient)
{
  const Scenario scenario = parse_scenario(ingredient.scenario);
  if (ingredient.source == persistence) {
    const CrashVerdict v = crash_everywhere(scenario);
    const std::size_t crash = v.token.find('c', v.token.rfind('@'));  // ...@b7c12i0.2
    return {v.violation, v.token, v.violation.empty() ? 0 : std::stoul(v.token.substr(crash + 1)) - 1};
  }
  const SearchResult result = search(scenario);
  if (result.violation.empty()) return {};
  const SmallRun small = minimise(scenario, result.schedule);
  return {small.violation, token_of(small.scenario, small.schedule), small.schedule.size()};
}

std::string ingredients_page(std::span<const Counterexample> found)
{
  std::string text = head;
  text += "\n## Of the protocol's model (" + count_of(model) + ")\n\n" + table_of(model, found);
  text += "\n## Of the engine besides (" + count_of(engine) + ")\n\n" + table_of(engine, found);
  text += "\n## Of persistence (" + count_of(persistence) + ")\n\nA crash at the access named by the token; steps: the "
          "accesses before it.\n\n" + table_of(persistence, found);
  text += "\n## Not taken away by a plan (" + std::to_string(std::size(untouched)) + ")\n\n";
  for (const Untouched& u : untouched) text += std::string("- ") + u.name + ": " + u.why + ".\n";
  return text;
}

}  // namespace morsel::sim
