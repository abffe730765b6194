// SPDX-License-Identifier: GPL-2.0-or-later
//
// The command table. One row is one command: in morselctl, in the window's console, in docs/commands.md.
#include "engine/session/commands.hpp"

namespace morsel::session {

namespace {

using Kind = ArgumentKind;

const Argument name{"NAME", Kind::text, "the object's name"};
const Argument view{"VIEW", Kind::text, "a view's number, 'primary', or the name of a format that one view has"};
const Argument range{"RANGE", Kind::range, "bytes of the object: 0..2M, 0x1000+4K, 4K (one page), all"};
const Argument range_option{"--range", Kind::range, "only this part of the object", true, "RANGE"};

void add_object_commands(CommandTable& table)
{
  constexpr std::string_view group = "Objects";
  table.add({group, "object create",
             {name,
              {"SIZE", Kind::number, "bytes, a multiple of 4K"},
              {"--level", Kind::level, "root table: pte (up to 2M), pmd (1G), pud (512G); the lowest that fits", true, "LEVEL"}},
             "Makes an object: an empty primary subtree of page tables.", object_create, render_object});
  table.add({group, "object list", {}, "Lists the objects with their views.", object_list, render_objects});
  table.add({group, "object show", {name}, "Shows one object and its views.", object_show, render_object});
  table.add({group, "object destroy", {name}, "Takes an object away, with all its views.", object_destroy, render_change});
  table.add({group, "object populate",
             {name, range,
              {"--rights", Kind::rights, "of the new leaves: r, rw, rx, rwx; rw without", true, "RIGHTS"},
              {"--leaf", Kind::choice, "size of the new leaves; 4K without", true, "SIZE", {"4K", "2M"}}},
             "Maps zeroed frames into the holes of a range of the primary.", object_populate, render_change});
  table.add({group, "object unmap", {name, range},
             "Takes the range out of the primary and of every view.\nPages of a 2-MiB leaf that stay are split off first.",
             object_unmap, render_change});
  table.add({group, "object protect", {name, range, {"RIGHTS", Kind::rights, "the new rights: r, rw, rx, rwx"}},
             "Changes the rights of what the primary maps in a range; views forget it and fill again.", object_protect,
             render_change});
}

void add_view_commands(CommandTable& table)
{
  constexpr std::string_view group = "Views";
  table.add({group, "view add", {name, {"FORMAT", Kind::format, "page-table format: see 'formats'"}},
             "Adds an empty secondary view; accesses fill it.", view_add, render_view_change});
  table.add({group, "view drop", {name, view}, "Drops a view; it can be added again at any time.", view_drop,
             render_view_change});
  table.add({group, "view list", {name}, "Lists the views of an object.", view_list, render_views});
  table.add({group, "access",
             {name, view,
              {"OFFSET", Kind::number, "byte offset, a multiple of 8"},
              {"ACCESS", Kind::choice, "kind of access", false, {}, {"read", "write", "exec"}},
              {"--value", Kind::number, "word to write; 0 without", true, "WORD"},
              {"--no-populate", Kind::flag, "a hole in the primary is not populated: the access is denied"}},
             "Accesses one 64-bit word through a tree, filling it on a miss, and says who walked.\n"
             "Exit status 1 if the primary forbids it.",
             access, render_access});
}

void add_inspect_commands(CommandTable& table)
{
  constexpr std::string_view group = "Looking";
  table.add({group, "tree",
             {name,
              {"--view", Kind::text, "only this view beside the primary ('primary': none)", true, "VIEW"},
              {"--all", Kind::flag, "all views beside the primary (as without --view)"},
              range_option,
              {"--depth", Kind::number, "levels below the topmost that are unfolded", true, "N"},
              {"--fold", Kind::choice,
               "rows alike become one: never; if addresses advance in step; also scattered ones if they are many", true,
               "HOW", {"none", "step", "like"}}},
             "Shows the primary and its views side by side, one row per place, with a sign for each view's state:\n"
             "= same, · unfilled, ▒ reserved, ↻ stale, ◐ rights differ, ≠ frame differs, ◆ format differs.",
             tree, render_tree});
  table.add({group, "diff",
             {name, {view.name, view.kind, "compare this view only", true}, range_option,
              {"--behind", Kind::flag, "also name runs where the view is merely behind"},
              {"--limit", Kind::number, "name at most so many runs of a view; 200 without", true, "N"}},
             "Compares views with the primary page by page; names every run that is not clean, and why.\n"
             "Exit status 1 if there is one.",
             diff, render_diff});
  table.add({group, "walk",
             {name, view,
              {"OFFSET", Kind::number, "byte offset; with --guest a guest-virtual address"},
              {"ACCESS", Kind::choice, "kind of access; read without", true, {}, {"read", "write", "exec"}},
              {"--guest", Kind::number, "two-dimensional: guest-physical address (offset in the object) of the guest's root table",
               true, "ROOT"},
              {"--guest-format", Kind::format, "format of the guest's tables; amd64 without", true, "FORMAT"}},
             "Shows every entry that a hardware walk touches, decoded.\nExit status 1 if it ends without a translation.", walk,
             render_walk});
  table.add({group, "entry",
             {{"FORMAT", Kind::format, "page-table format"},
              {"LEVEL", Kind::level, "of the table the entry stands in"},
              {"WORD", Kind::number, "the 64-bit entry"}},
             "Decodes one entry by hand: kind, address, rights, every field.", entry, render_entry});
  table.add({group, "formats", {{"FORMAT", Kind::format, "with its fields, bit by bit", true}},
             "Shows the page-table formats, their levels, and the fields of one.", formats, render_formats});
}

void add_fault_commands(CommandTable& table)
{
  constexpr std::string_view group = "Faults";
  table.add({group, "inject add",
             {{"POINT", Kind::point, "a shared access of the protocol, such as invalidate, flush, publish, alloc"},
              {"ACTION", Kind::choice, "drop: it does not happen; fail: an allocation or a compare-and-swap fails", false, {},
               {"drop", "fail"}},
              {"--view", Kind::text, "only in this tree: a view's number or 'primary'; any without", true, "VIEW"},
              {"--nth", Kind::number, "begins with the nth matching access from now; 1 without", true, "N"},
              {"--times", Kind::number, "fires so many times; 1 without", true, "N"}},
             "Injects a fault at a point of the protocol, deterministic and counted.", inject_add, render_rules});
  table.add({group, "inject list", {}, "Lists the rules and how often each has fired.", inject_list, render_rules});
  table.add({group, "inject clear", {}, "Takes all rules away.", inject_clear, render_rules});
}

void add_machine_commands(CommandTable& table)
{
  constexpr std::string_view group = "The machine";
  table.add({group, "target", {}, "Says which machine holds the objects.", target_info, render_target});
  table.add({group, "counters", {}, "Shows what the target holds; all zero when the last object is gone, but for the totals.",
             counters, render_counters});
  table.add({group, "run", {{"PROGRAM", Kind::rest, "the program and its arguments"}},
             "Runs a program in the guest until it ends; its output and exit status are passed through.", run_program,
             render_run});
  table.add({group, "kernel-log", {}, "Prints the guest's kernel log.", kernel_log, render_kernel_log});
}

}  // namespace

CommandTable session_commands()
{
  CommandTable table;
  add_object_commands(table);
  add_view_commands(table);
  add_inspect_commands(table);
  add_fault_commands(table);
  add_machine_commands(table);
  constexpr std::string_view group = "Learning";
  table.add({group, "tour",
             {{"--object", Kind::text, "name of the object; 'tour' without (an earlier one of that name is replaced)", true, "NAME"},
              {"--keep", Kind::flag, "leave the object with its stale entry in place, for the window and the other commands"}},
             "Shows the life of an object in six stations, checks every fact that it prints, and ends with a stale entry\n"
             "made on purpose. Exit status 1 if an expectation is broken.",
             tour, render_tour});
  table.add({group, "help",
             {{"--markdown", Kind::flag, "print docs/commands.md"},
              {"COMMAND", Kind::rest, "a command, or its first word", true}},
             "Tells the commands and their arguments.", help, render_help});
  return table;
}

}  // namespace morsel::session
