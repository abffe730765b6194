// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/ingredients.hpp"

namespace morsel::sim {

namespace {

constexpr Ingredient rows[] = {
    {"no_recheck", "a filler uses the primary's entry that it read before the reservation",
     "populate:p0 -- fill:p0 unmap:p0 old:read_primary", "I3"},
    {"blind_reserve", "a reservation is stored whatever stands there",
     "populate:p0 fill:p0 invalidate:p0 -- fill:p0 fill:p0 unmap:p0 blind:reserve", "I3"},
    {"no_stale", "the reservation of a live leaf is not marked stale",
     "populate:p0,r fill:p0 -- fill:p0,w unmap:p0 unmarked:reserve", "I2"},
    {"token_per_fill", "all reservations bear one token",
     "populate:p0 fill:p0 invalidate:p0 -- fill:p0 fill:p0 unmap:p0 same_token", "I3"},
    {"plain_publish", "a leaf is published whatever stands there", "populate:p0 -- fill:p0 unmap:p0 blind:publish",
     "I3"},
    {"plain_link", "a table is linked whatever stands there", "populate:p0 -- fill:p0 fill:p0 blind:link", "I3"},
    {"undo_no_flush", "a stale reservation is undone without a flush",
     "populate:p0,r fill:p0 -- fill:p0,w unmap:p0 drop:flush@a", "I3"},
    {"large_no_flush", "a stale large reservation gives way to a table without a flush",
     "watch:p0,p1 populate:m0,r,2M fill:p0 -- protect:p1,rw fill:p1,w drop:flush@b", "I10"},
    {"publish_no_flush", "a stale reservation is published over without a flush",
     "populate:p0,r fill:p0 -- fill:p0,w protect:p0,rw migrate:p0 drop:flush@a", "I3"},
    {"no_section", "a filler is in no grace section", "populate:p0 fill:p0 -- fill:p0 unmap:m0 drop:enter@a", "I3"},
    {"invalidate_first", "a mutator changes behind its flush",
     "populate:p0 fill:p0 invalidate:p0 -- unmap:p0 fill:p0 late:change~flush", "I1"},
    {"no_invalidate", "nothing is invalidated", "populate:p0 fill:p0 -- unmap:p0 drop:invalidate", "I3"},
    {"no_pend", "others' pending flushes are ignored", "populate:p0 fill:p0 -- unmap:p0 unmap:p0 drop:read_pending",
     "I2"},
    {"pend_late", "the pending count is raised behind the invalidation",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 late:pend~invalidate", "I2"},
    {"pend_after_change", "a walked primary's pending count is raised behind the change",
     "walked populate:p0 -- unmap:p0 unmap:p0 late:pend~change", "I2"},
    {"unpend_early", "the pending count is lowered before the flush",
     "populate:p0 fill:p0 -- unmap:p0 unmap:p0 late:flush~unpend", "I2"},
    {"no_unpend", "the pending count is never lowered", "populate:p0 fill:p0 -- unmap:p0 drop:unpend",
     "a pending count"},
    {"no_bbm", "a filler publishes over others' pending flushes",
     "populate:p0 fill:p0 -- unmap:p0 populate:p0 fill:p0 drop:read_pending@c", "I10"},
    {"no_flush", "no flush", "populate:p0 fill:p0 -- unmap:p0 drop:flush", "I3"},
    {"leaf_flush", "a flush leaves cached pointers to tables alone", "populate:p0 fill:p0 -- unmap:m0 leaf:flush",
     "I3"},
    {"release_no_grace", "memory is released without a grace period",
     "populate:p0 fill:p0 -- fill:p0 unmap:m0 no_grace", "I3"},
    {"release_early", "a mutator flushes behind its section", "populate:p0 fill:p0 -- unmap:p0 late:flush~leave", "I3"},
    {"no_retire", "what was unlinked is not retired", "populate:p0 fill:p0 -- unmap:p0 drop:retire", "I3"},
    {"carry_early", "removed dirty bits are carried before the flush",
     "populate:p0 fill:p0,w -- invalidate:p0 harvest:p0 write:p0 late:flush~carry", "I4"},
    {"carry_outside", "removed dirty bits are carried behind the section",
     "populate:p0 fill:p0,w write:p0 -- unmap:p0 late:carry~leave", "I4"},
    {"no_carry", "removed dirty bits are forgotten", "populate:p0 fill:p0 write:p0 -- unmap:p0 drop:carry", "I4"},
    {"harvest_no_flush", "harvest does not flush", "populate:p0 fill:p0,w write:p0 -- harvest:p0 write:p0 drop:flush@a",
     "I4"},
    {"harvest_no_grace", "harvest reports without waiting for a grace period",
     "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 invalidate:p0 drop:grace", "I4"},
    {"merge_no_grace", "a merge does not wait for a grace period",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0 drop:grace", "I3"},
    {"merge_no_cancel", "a small change does not clear a merge's mark",
     "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0 drop:cancel_merge", "I5"},
    {"move_no_flush", "a frame is copied without a flush", "populate:p0 fill:p0,w -- migrate:p0 write:p0 drop:flush",
     "I9"},
    {"move_one_step", "a frame is copied before the flush",
     "populate:p0 fill:p0,w -- migrate:p0 write:p0 late:flush~copy", "I9"},
    {"move_token_reuse", "all moves bear one token", "populate:p0 -- migrate:p0 migrate:p0 fill:p0 same_token", "I9"},
    {"move_waits", "a filler that meets a moving entry waits", "populate:p0 -- migrate:p0 fill:p0 drop:cancel_move",
     "I5"},
    {"install_blind", "a moved leaf is installed whatever stands there",
     "populate:p0 -- migrate:p0 unmap:p0 blind:install", "I3"},
    {"split_blind", "a table is put in a leaf's place whatever stands there",
     "populate:m0,2M -- unmap:p0 unmap:p1 blind:split", "I3"},
    {"change_blind", "the primary is changed whatever stands there", "populate:p0 -- unmap:p0 protect:p0 blind:change",
     "I3"},
    {"list_read_early", "the list of views is read before the change",
     "view:none populate:p0 -- add_view:v1,ept fill:p0 unmap:p0 late:change~read_list", "I3"},
    {"unlist_first", "a dropped view leaves the list before its flush",
     "populate:p0 fill:p0 -- drop_view unmap:p0 late:flush~unlist", "I2"},
    {"plain_change", "a change of the primary is a load and a plain store, seen later",
     "populate:p0 -- fill:p0 unmap:p0 plain:change", "I3"},
    {"reserve_plain", "a reservation is a load and a plain store, seen later",
     "populate:p0 -- fill:p0 unmap:p0 plain:reserve", "I3"},
    {"publish_plain", "a leaf is published by a load and a plain store, seen later",
     "populate:p0 -- fill:p0 unmap:p0 plain:publish", "I3"},
};

}  // namespace

std::span<const Ingredient> ingredients() { return rows; }

std::string ingredients_markdown()
{
  std::string text = "| ingredient | without it | missed by | shown by |\n|---|---|---|---|\n";
  for (const Ingredient& i : ingredients()) {
    const std::string invariant = i.invariant[0] == 'I' ? i.invariant : "end";
    text += std::string("| ") + i.name + " | " + i.without + " | " + invariant + " | `" + i.scenario + "` |\n";
  }
  return text;
}

}  // namespace morsel::sim
