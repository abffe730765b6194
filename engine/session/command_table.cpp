// SPDX-License-Identifier: GPL-2.0-or-later
//
// The command table. One row is one command: in morselctl, in the window's console, in docs/commands.md. A row reads
// as group, path, arguments, help, handler, renderer.
#include "engine/session/commands.hpp"

namespace morsel::session {

namespace {

using Kind = ArgumentKind;

Argument name() { return {"NAME", Kind::text, "the object's name"}; }

Argument view() { return {"VIEW", Kind::text, "a view's number, 'primary', or a format's name if one view has it"}; }

Argument range() { return {"RANGE", Kind::range, "bytes of the object: 0..2M, 0x1000+4K, 4K (one page), all"}; }

Argument offset(std::string_view help) { return {"OFFSET", Kind::number, help}; }

Argument access_kind(bool optional)
{
  return {"ACCESS", Kind::choice, optional ? "kind of access; read without" : "kind of access",
          optional, {},           {"read", "write", "exec"}};
}

Argument option(std::string_view name, Kind kind, std::string_view value, std::string_view help)
{
  return {name, kind, help, true, value};
}

Argument half()
{
  return {"--half", Kind::choice, "of a process: addresses of user mode only, or the kernel's", true, "WHICH",
          {"user", "kernel"}};
}

Argument flag(std::string_view name, std::string_view help) { return {name, Kind::flag, help, true}; }

// clang-format off
void add_object_commands(CommandTable& table)
{
  constexpr std::string_view group = "Objects";
  table.add({group, "object create",
             {name(), {"SIZE", Kind::number, "bytes, a multiple of 4K"},
              option("--level", Kind::level, "LEVEL",
                     "root table: pte (up to 2M), pmd (1G), pud (512G); without, the lowest that fits")},
             "Makes an object: an empty primary subtree of page tables.", object_create, render_object});
  table.add({group, "object clone",
             {{"BASE", Kind::text, "the object that is copied"}, {"NAME", Kind::text, "the clone's name"}},
             "Makes an object with the contents of another one, at the price of one table.\n"
             "The base is frozen: it does not change any more. A page is copied when the clone writes it.",
             object_clone, render_object});
  table.add({group, "object list", {},
             "Lists the objects with their views.", object_list, render_objects});
  table.add({group, "object show", {name()},
             "Shows one object and its views.", object_show, render_object});
  table.add({group, "object destroy", {name()},
             "Takes an object away, with all its views.", object_destroy, render_change});
  table.add({group, "object populate",
             {name(), range(),
              option("--rights", Kind::rights, "RIGHTS", "of the new leaves: r, rw, rx, rwx; rw without"),
              {"--leaf", Kind::choice, "size of the new leaves; 4K without", true, "SIZE", {"4K", "2M"}}},
             "Maps zeroed frames into the holes of a range of the primary.", object_populate, render_change});
  table.add({group, "object unmap", {name(), range()},
             "Takes the range out of the primary and of every view.", object_unmap, render_change});
  table.add({group, "object protect", {name(), range(), {"RIGHTS", Kind::rights, "the new rights: r, rw, rx, rwx"}},
             "Changes the rights of what the primary maps in a range; views forget it and fill again.",
             object_protect, render_change});
  table.add({group, "object split",
             {name(), range(), {"--leaf", Kind::choice, "size of the leaves; 4K without", true, "SIZE", {"4K", "2M"}}},
             "Turns large leaves of the primary into smaller ones; what is mapped stays the same.",
             object_split, render_reshape});
  table.add({group, "object merge",
             {name(), range(), {"--leaf", Kind::choice, "size of the leaves; 2M without", true, "SIZE", {"2M", "1G"}}},
             "Turns tables of the primary into large leaves, where frames lie side by side with the same rights.",
             object_merge, render_reshape});
  table.add({group, "object migrate", {name(), range()},
             "Moves pages to other frames; a page that somebody else holds or changes stays where it is.",
             object_migrate, render_change});
  table.add({group, "object harvest", {name(), range()},
             "Tells which pages were accessed and which written since the last harvest, in any tree, and forgets it.\n"
             "Where a format's hardware sets no dirty bit, a page counts as written once a view may write it.",
             object_harvest, render_harvest});
  table.add({group, "object ranges",
             {name(), {"RANGE", Kind::range, "only this part of the object", true},
              flag("--dirty", "runs of pages written since the last harvest")},
             "Lists the runs of mapped pages with their rights, or of dirty ones; changes nothing.",
             object_ranges, render_ranges});
}

void add_view_commands(CommandTable& table)
{
  constexpr std::string_view group = "Views";
  table.add({group, "view add", {name(), {"FORMAT", Kind::format, "page-table format: see 'formats'"}},
             "Adds an empty secondary view; accesses fill it.", view_add, render_view_change});
  table.add({group, "view drop", {name(), view()},
             "Drops a view; it can be added again at any time.", view_drop, render_view_change});
  table.add({group, "view list", {name()},
             "Lists the views of an object.", view_list, render_views});
  table.add({group, "access",
             {name(), view(), offset("byte offset, a multiple of 8"), access_kind(false),
              option("--value", Kind::number, "WORD", "word to write; 0 without"),
              flag("--no-populate", "no hole is populated and no page of a base copied: the access is denied"),
              flag("--no-touch", "the view is filled for the access, and memory is not accessed"),
              flag("--vcpu", "by a virtual CPU or not at all; the primary is attached to it")},
             "Accesses one 64-bit word through a tree, filling it on a miss, and says who walked.\n"
             "Exit status 1 if the primary forbids it.", access, render_access});
  table.add({group, "tlb", {name(), view()},
             "Shows what a view's walker has cached, pages and pointers to tables, beside what its tables say by now:\n"
             "a translation that they do not have any more is stale. Only the embedded machine shows that.",
             tlb, render_tlb});
}

void add_inspect_commands(CommandTable& table)
{
  constexpr std::string_view group = "Looking";
  table.add({group, "tree",
             {name(), option("--view", Kind::text, "VIEW", "only this view beside the primary ('primary': none)"),
              flag("--all", "all views beside the primary (as without --view)"),
              option("--range", Kind::range, "RANGE", "only this part of the object"), half(),
              option("--depth", Kind::number, "N", "unfold so many levels below the topmost; all without"),
              {"--fold", Kind::choice, "rows alike become one: never; if addresses are in step; also if many are not",
               true, "HOW", {"none", "step", "like"}}},
             "Shows the primary and its views side by side, with a sign for each view's state at each place.\n"
             "= same, · unfilled, ▒ reserved, ↻ stale, ◐ rights differ, ≠ frame differs, ◆ format differs.",
             tree, render_tree});
  table.add({group, "diff",
             {name(), {"VIEW", Kind::text, "compare this view only", true},
              option("--range", Kind::range, "RANGE", "only this part of the object"), half(),
              flag("--behind", "also name the runs where the view is merely behind"),
              option("--limit", Kind::number, "N", "name at most so many runs of a view; 200 without")},
             "Compares views with the primary page by page; names every run that is not clean, and why.\n"
             "Exit status 1 if there is one.", diff, render_diff});
  table.add({group, "verify", {{"NAME", Kind::text, "only this object", true}},
             "Looks at all views: which invariant is broken, where, since which record, after which injected fault.\n"
             "With a journal, or once a fault was injected, every command that changes something does so of itself.\n"
             "Exit status 1 if one is broken.", verify_views, render_verify});
  table.add({group, "walk",
             {name(), view(), offset("byte offset; with --guest a guest-virtual address"), access_kind(true),
              option("--guest", Kind::number, "ROOT",
                     "two-dimensional: guest-physical address (offset in the object) of the guest's root table"),
              option("--guest-format", Kind::format, "FORMAT", "format of the guest's tables; amd64 without")},
             "Shows every entry that a hardware walk touches, decoded.\n"
             "Exit status 1 if it ends without a translation.", walk, render_walk});
  table.add({group, "entry",
             {{"FORMAT", Kind::format, "page-table format"},
              {"LEVEL", Kind::level, "of the table that the entry stands in"},
              {"WORD", Kind::number, "the 64-bit entry"}},
             "Decodes one entry by hand: kind, address, rights, every field.", entry, render_entry});
  table.add({group, "formats",
             {{"FORMAT", Kind::format, "with its fields, bit by bit", true},
              flag("--markdown", "print docs/formats.md")},
             "Shows the page-table formats, their levels, and the fields of one.", formats, render_formats});
}

void add_root_commands(CommandTable& table)
{
  constexpr std::string_view group = "Dumps and foreign guests";
  table.add({group, "root add",
             {{"NAME", Kind::text, "the name that commands call it by, as they do an object"},
              {"ROOT", Kind::text, "address of the root table or the register that holds it (CR3, EPTP, nCR3, satp, "
                                   "TTBR); or cpu0, cpu1, …"},
              option("--format", Kind::format, "FORMAT", "of its tables; amd64 without"),
              flag("--beside", "NAME is known already: the root becomes a view of it, to be compared")},
             "Looks at an address space of a dump or a foreign guest: then tree, walk and diff take its name.\n"
             "Rights are the supervisor's; U says that user mode has them, too.",
             root_add, render_root});
  table.add({group, "root drop", {{"NAME", Kind::text, "its name"}},
             "Forgets an address space; nothing changes in the memory.", root_drop, render_root});
  table.add({group, "root find",
             {{"LIKE", Kind::text, "an address space of the same system: its kernel's half is looked for"},
              flag("--add", "adds them, as p0, p1, …")},
             "Searches the memory for all processes' roots: they have the kernel's half in common.\n"
             "One that was given back and not used again is found as well.",
             root_find, render_found});
}

void add_fault_commands(CommandTable& table)
{
  constexpr std::string_view group = "Faults";
  const std::vector<Argument> when{
      option("--nth", Kind::number, "N", "begins with the nth matching access from now; 1 without"),
      option("--times", Kind::number, "N", "fires so many times; 1 without"),
      option("--interval", Kind::number, "N", "from there on, at each Nth matching access"),
      option("--probability", Kind::number, "PERCENT", "of those, at so many of a hundred; 100 without"),
      option("--seed", Kind::number, "N", "what the chance is drawn from; 0 without"),
      option("--range", Kind::range, "RANGE", "only where the entry covers some of it"),
      option("--actor", Kind::number, "ACTOR", "only accesses of this actor: see 'actors'")};
  std::vector<Argument> of_add{
      {"POINT", Kind::point, "a shared access of the protocol, such as invalidate, flush, publish, alloc"},
      {"ACTION", Kind::choice,
       "it does not happen, loses, happens later, twice, with other bits; or the machine ends before it",
       false, {}, {"drop", "fail", "delay", "duplicate", "corrupt", "crash"}},
      option("--until", Kind::point, "POINT", "of delay: the access happens when its actor has passed this point"),
      option("--bits", Kind::number, "WORD", "of corrupt: the bits that are flipped"),
      option("--object", Kind::text, "NAME", "only in this object; any without"),
      option("--view", Kind::text, "VIEW",
             "only in this tree: a view's number or 'primary', with --object also a format's name; any without")};
  of_add.insert(of_add.end(), when.begin(), when.end());
  table.add({group, "inject add", std::move(of_add),
             "Injects a fault at a point of the protocol, deterministic and counted.\n"
             "A crash of the embedded machine is its end; that of a VM is a reset.", inject_add, render_rules});
  std::vector<Argument> of_preset{
      {"PRESET", Kind::text, "its name: see 'inject presets'"}, name(),
      {"VIEW", Kind::text, "a view's number, or a format's name if one view has it", true}};
  of_preset.insert(of_preset.end(), when.begin(), when.end());
  table.add({group, "inject preset", std::move(of_preset),
             "Injects a fault that has a name, with the bits that the view's format has for it.\n"
             "Says what hardware would do with it, and which invariant is expected to break.",
             inject_preset, render_rules});
  table.add({group, "inject presets", {},
             "Lists the faults that have a name.", inject_presets, render_presets});
  table.add({group, "inject list", {},
             "Lists the rules and how often each has fired.", inject_list, render_rules});
  table.add({group, "inject clear", {},
             "Takes all rules away.", inject_clear, render_rules});
}

void add_stepping_commands(CommandTable& table)
{
  constexpr std::string_view group = "Stepping";
  table.add({group, "stop", {},
             "Closes the gate: whoever reaches a point of the protocol waits there, before its access.\n"
             "A command that changes the machine then says where it waits, and goes on by 'step', 'until' and 'run'.",
             stop_actors, render_gate});
  table.add({group, "actors", {},
             "Lists who is in the middle of something, and the access that each waits at.", actors, render_gate});
  table.add({group, "step",
             {{"ACTOR", Kind::number, "its number; the only one that waits at a point without", true},
              {"N", Kind::number, "at most so many accesses; without, 1, and 100000 with --to", true},
              option("--to", Kind::point, "POINT", "on to the next access of this kind, which is not done"),
              option("--timeout", Kind::number, "MS", "wait at most so long for each; 5000 without")},
             "Lets one actor do the access that it waits at; all others stand still.\n"
             "Exit status 1 if it did not come --to the point.", step, render_gate});
  table.add({group, "until",
             {{"POINT", Kind::point, "a shared access of the protocol, such as invalidate, publish, flush"},
              option("--actor", Kind::number, "ACTOR", "only when this one comes there"),
              option("--object", Kind::text, "NAME", "only in this object"),
              option("--view", Kind::text, "VIEW", "only in this tree: a view's number or 'primary'"),
              option("--range", Kind::range, "RANGE", "only where the entry covers some of it"),
              option("--nth", Kind::number, "N", "at the nth time; 1 without"),
              option("--timeout", Kind::number, "MS", "wait at most so long; 60000 without")},
             "Lets all go on until one is about to do this, and closes the gate again.\n"
             "Exit status 1 if all have finished, programs that this session runs in the guest as well, and nobody\n"
             "came there; or if the gate was closed or opened before.", until, render_gate});
}

void add_history_commands(CommandTable& table)
{
  constexpr std::string_view group = "Journal and history";
  const Argument steps{"N", Kind::number, "so many records; 1 without", true};
  table.add({group, "journal on", {},
             "Records every point from now on, and keeps what the tables were. What was recorded before is replaced.",
             journal_on, render_journal_status});
  table.add({group, "journal off", {},
             "Ends the recording; what was recorded stays.", journal_off, render_journal_status});
  table.add({group, "journal status", {},
             "Tells what was recorded, and what of it is missing.", journal_status, render_journal_status});
  table.add({group, "journal save", {{"FILE", Kind::text, "the file's path"}},
             "Writes what was recorded into a file, with the tables as they were (docs/journal.md). The file appears "
             "when it is complete; a symbolic link is followed; what is no ordinary file is refused.",
             journal_save, render_journal_file});
  table.add({group, "journal load", {{"FILE", Kind::text, "the file's path"}},
             "Shows the end of a saved journal, as the past; 'goto now' returns to this machine.",
             journal_load, render_journal_file});
  table.add({group, "journal",
             {{"RANGE", Kind::text, "sequences: 800..900 (half-open), 812, 800+20; the newest without", true},
              option("--actor", Kind::number, "ID", "only of this actor"),
              option("--point", Kind::point, "POINT", "only at this point"),
              option("--object", Kind::text, "NAME", "only in this object"),
              option("--view", Kind::text, "VIEW", "only in this tree: a view's number or 'primary'"),
              flag("--faults", "only where a fault was injected"),
              flag("--changes", "only what changed a word"),
              option("--limit", Kind::number, "N", "at most so many records; 50 without")},
             "Lists recorded accesses: who, where, the word before and after, and injected faults.",
             journal_list, render_journal});
  table.add({group, "back", {steps},
             "Shows the tables as they were before the last record, or before the last N.",
             history_back, render_place});
  table.add({group, "forward", {steps},
             "Shows the tables as they were a record later, or N later.", history_forward, render_place});
  table.add({group, "goto", {{"PLACE", Kind::text, "a record's sequence; 0 or 'start': before the first; 'now'"}},
             "Shows the tables as they were when a record was done, or returns to the present.\n"
             "In the past tree, diff, walk, object and view list show what was then; no change is accepted.",
             history_goto, render_place});
  table.add({group, "branch", {},
             "Goes on from the place in the past that the session shows, as another branch: the embedded machine is\n"
             "made again as it was there, from what was done to it, and stopped. What came afterwards is forgotten.",
             history_branch, render_branch});
  table.add({group, "replay",
             {{"TOKEN", Kind::text, "a run of exploration, as 'morsel-explore' prints it"},
              {"--how", Kind::choice, "by the explorer's machine, or by tasks of this one; without: live in a VM", true,
               "HOW", {"explored", "live"}}},
             "Explored: does the run again exactly, and shows its end as the past, a record for each step; 'goto now'\n"
             "returns to this machine. Live: tasks behind the gate are stepped in the token's order and compared,\n"
             "faults are injected as it says, and 'verify' judges. The object is called 'replay' either way.\n"
             "Exit status 1 if an invariant is broken, or the machine goes another way.",
             replay, render_replay});
}

void add_machine_commands(CommandTable& table)
{
  constexpr std::string_view group = "The machine";
  table.add({group, "target", {},
             "Says which machine holds the objects.", target_info, render_target});
  table.add({group, "counters", {},
             "Shows what the target holds; all zero when the last object is gone, but for the totals.",
             counters, render_counters});
  table.add({group, "run",
             {{"PROGRAM", Kind::rest, "the program and its arguments; without, the gate is opened", true}},
             "Runs a program in the guest until it ends; its output and exit status are passed through.\n"
             "Without a program: opens the gate, and all go on.",
             run_program, render_run, Output::raw});
  table.add({group, "kernel-log", {},
             "Prints the guest's kernel log.", kernel_log, render_kernel_log});
}

void add_learning_commands(CommandTable& table)
{
  constexpr std::string_view group = "Learning";
  table.add({group, "tour",
             {option("--object", Kind::text, "NAME", "the object's name; without, 'tour' (an earlier one is replaced)"),
              flag("--keep", "leave the object with its stale entry in place, for the window and the other commands")},
             "Shows the life of an object in six stations and checks every fact that it prints.\n"
             "It ends with a stale entry made on purpose. Exit status 1 if an expectation is broken.",
             tour, render_tour});
  table.add({group, "help",
             {flag("--markdown", "print docs/commands.md"),
              {"COMMAND", Kind::rest, "a command, or its first word", true}},
             "Tells the commands and their arguments.", help, render_help});
}
// clang-format on

}  // namespace

CommandTable session_commands()
{
  CommandTable table;
  add_object_commands(table);
  add_view_commands(table);
  add_inspect_commands(table);
  add_stepping_commands(table);
  add_fault_commands(table);
  add_history_commands(table);
  add_root_commands(table);
  add_machine_commands(table);
  add_learning_commands(table);
  for (const std::string_view path :
       {"object create", "object clone", "object destroy", "object populate", "object unmap", "object protect",
        "object split", "object merge", "object migrate", "object harvest", "object ranges", "view add", "view drop",
        "access", "inject add", "inject preset", "run", "tour"})
    table.mark_changing(path);
  for (const std::string_view path :
       {"object list", "object show", "view list", "tlb", "tree", "diff", "verify", "walk", "entry", "formats",
        "inject list", "inject presets", "journal", "journal status", "counters", "target", "kernel-log", "help"})
    table.mark_looking(path);
  for (const std::string_view path :
       {"object list", "object show", "object ranges", "view list", "tlb", "tree", "diff", "verify", "walk", "actors",
        "inject list", "journal", "journal status", "counters"})
    table.add_argument(path, flag(watch_flag, "goes on, and shows what is new whenever something has happened"));
  return table;
}

}  // namespace morsel::session
