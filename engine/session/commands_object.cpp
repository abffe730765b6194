// SPDX-License-Identifier: GPL-2.0-or-later
//
// object create|clone|list|show|destroy|populate|unmap|protect|split|merge|migrate|harvest|ranges
#include <fmt/format.h>

#include <algorithm>

#include "engine/abi/morsel_ioctl.h"
#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr Level leaf_2m = 1, leaf_1g = 2;

Level leaf_level(const Arguments& arguments, const std::string& otherwise)
{
  const auto word = arguments.get_or<std::string>("--leaf", otherwise);
  return word == "4K" ? Level{0} : word == "2M" ? leaf_2m : leaf_1g;
}

// The range asked for, inside the object and on page boundaries.
Range pages_of(const Arguments& arguments, const ObjectState& object, u64 granule)
{
  const Range asked = arguments.get<Range>("RANGE");
  if (asked == whole_object) return object.range();
  if (!is_aligned(asked.start, granule) || !is_aligned(asked.end, granule))
    throw Failure(Exit::usage, arguments.command + ": RANGE",
                  fmt::format("{} does not begin and end on a multiple of {}", range_text(asked), bytes_text(granule)),
                  fmt::format("The pages around it: {}.",
                              range_text({align_down(asked.start, granule), align_up(asked.end, granule)})));
  if (asked.end > object.bytes)
    throw Failure(Exit::usage, arguments.command + ": RANGE", fmt::format("{} leaves the object", range_text(asked)),
                  fmt::format("'{}' is {}.", object.name, range_text(object.range())));
  return asked;
}

// Of a file name's many possibilities those that need no quoting anywhere, as long as the kernel module's limit.
void check_name(const Arguments& arguments)
{
  constexpr std::size_t longest = MORSEL_NAME_BYTES - 1;
  constexpr std::string_view marks = "._+-";
  const std::string& name = arguments.text("NAME");
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const bool good = plain(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
                      return plain(c) || marks.find(c) != std::string_view::npos;
                    });
  if (good && name.size() <= longest) return;
  throw Failure(
      Exit::usage, arguments.command + ": NAME", fmt::format("'{}' is no name for an object", name),
      fmt::format("A name has up to {} letters, digits and '.', '_', '+', '-', and begins with a letter or digit.",
                  longest));
}

struct RunFacts {
  Json list = Json::array();
  u64 pages = 0;
  Json& add(Range run)
  {
    list.push_back(range_facts(run));
    pages += (run.end - run.start) / page_bytes;
    return list.back();
  }
};

RunFacts run_facts(const std::vector<Range>& runs)
{
  RunFacts facts;
  for (const Range r : runs) facts.add(r);
  return facts;
}

Json change_facts(std::string_view done, const ObjectState& object, Range range, u64 changed)
{
  return {{"object", object.name}, {"done", done}, {"range", range_facts(range)}, {"changed_pages", changed}};
}

}  // namespace

Outcome object_create(Session& session, const Arguments& arguments)
{
  check_name(arguments);
  const u64 bytes = arguments.number("SIZE");
  if (bytes == 0 || !is_aligned(bytes, page_bytes))
    throw Failure(Exit::usage, arguments.command + ": SIZE",
                  fmt::format("{} bytes are no positive multiple of 4 KiB", bytes),
                  "The sizes nearby: " + bytes_text(align_up(bytes + 1, page_bytes)) + ".");
  std::optional<Level> level;
  if (arguments.has("--level")) {
    level = arguments.get<Level>("--level");
    if (*level > 2)
      throw Failure(Exit::usage, arguments.command + ": --level",
                    fmt::format("an object has no {} root", level_name(*level)),
                    "Roots: pte (up to 2 MiB), pmd (up to 1 GiB), pud (up to 512 GiB).");
    const u64 span = AlignedTree::entry_bytes(static_cast<Level>(*level + 1));
    if (bytes > span)
      throw Failure(Exit::usage, arguments.command,
                    fmt::format("{} do not fit below a {} root, which covers {}", bytes_text(bytes), level_name(*level),
                                bytes_text(span)),
                    "Leave --level out: the lowest root that fits is taken.");
  }
  return {object_facts(session.target().create_object(arguments.text("NAME"), bytes, level))};
}

Outcome object_list(Session& session, const Arguments&)
{
  Json list = Json::array();
  for (const ObjectState& o : session.scene().objects) list.push_back(object_facts(o));
  return {{{"objects", std::move(list)}}};
}

Outcome object_show(Session& session, const Arguments& arguments)
{
  return {object_facts(find_object(session.scene(), arguments.command, arguments.text("NAME")))};
}

Outcome object_destroy(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  session.target().destroy_object(object.name);
  return {change_facts("destroyed", object, object.range(), 0)};
}

Outcome object_populate(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Level leaf = leaf_level(arguments, "4K");
  const Range range = pages_of(arguments, object, AlignedTree::entry_bytes(leaf));
  const Rights rights = arguments.get_or("--rights", rights_rw);
  return {change_facts("populated", object, range, session.target().populate(object.name, range, rights, leaf))};
}

Outcome object_unmap(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Range range = pages_of(arguments, object, page_bytes);
  return {change_facts("unmapped", object, range, session.target().unmap(object.name, range))};
}

Outcome object_protect(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Range range = pages_of(arguments, object, page_bytes);
  const Rights rights = arguments.get<Rights>("RIGHTS");
  return {change_facts("protected", object, range, session.target().protect(object.name, range, rights))};
}

Outcome object_split(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Range range = pages_of(arguments, object, page_bytes);
  const Level leaf = leaf_level(arguments, "4K");
  session.target().split(object.name, range, leaf);
  return {{{"object", object.name},
           {"done", "split"},
           {"range", range_facts(range)},
           {"leaf_bytes", AlignedTree::entry_bytes(leaf)}}};
}

Outcome object_merge(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Level leaf = leaf_level(arguments, "2M");
  const u64 leaf_bytes = AlignedTree::entry_bytes(leaf);
  ObjectState whole_leaves = object;  // behind the last of them there is nothing to merge
  whole_leaves.bytes = align_down(object.bytes, leaf_bytes);
  if (whole_leaves.bytes == 0)
    throw Failure(Exit::usage, arguments.command,
                  fmt::format("no leaf of {} fits into the object", bytes_text(leaf_bytes)),
                  fmt::format("'{}' is {}.", object.name, range_text(object.range())));
  const Range range = pages_of(arguments, whole_leaves, leaf_bytes);
  return {{{"object", object.name},
           {"done", "merged"},
           {"range", range_facts(range)},
           {"leaf_bytes", leaf_bytes},
           {"leaves", session.target().merge(object.name, range, leaf)}}};
}

Outcome object_migrate(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Range range = pages_of(arguments, object, page_bytes);
  return {change_facts("migrated", object, range, session.target().migrate(object.name, range))};
}

Outcome object_harvest(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const Range range = pages_of(arguments, object, page_bytes);
  const HarvestReply reply = session.target().harvest(object.name, range);
  RunFacts accessed = run_facts(reply.accessed), dirty = run_facts(reply.dirty);
  return {{{"object", object.name},
           {"range", range_facts(range)},
           {"accessed_pages", accessed.pages},
           {"accessed", std::move(accessed.list)},
           {"dirty_pages", dirty.pages},
           {"dirty", std::move(dirty.list)}}};
}

Outcome object_ranges(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const bool dirty = arguments.has("--dirty");
  const Range range = arguments.has("RANGE") ? pages_of(arguments, object, page_bytes) : object.range();
  RunFacts runs;
  if (dirty)
    runs = run_facts(session.target().dirty(object.name, range));
  else
    for (const MappedRun& run : session.target().populated(object.name, range))
      runs.add(run.range)["rights"] = inspect::rights_text(run.rights);
  return {{{"object", object.name},
           {"what", dirty ? "dirty" : "populated"},
           {"range", range_facts(range)},
           {"pages", runs.pages},
           {"runs", std::move(runs.list)}}};
}

Outcome object_clone(Session& session, const Arguments& arguments)
{
  check_name(arguments);
  const ObjectState base = find_object(session.target(), arguments.command, arguments.text("BASE"));
  return {object_facts(session.target().clone_object(base.name, arguments.text("NAME")))};
}

std::string render_object(const Json& o, const Style& style)
{
  std::string out =
      o["foreign"] == true
          ? fmt::format("{}  {} root {} ({})\n", style.bold(o["name"].get<std::string>()),
                        o["root_level"].get<std::string>(), o["root"].get<std::string>(),
                        o["format"].get<std::string>())
          : fmt::format("{}  {}, {} root {} ({}), {}, {}{}\n", style.bold(o["name"].get<std::string>()),
                        bytes_text(o["bytes"].get<u64>()), o["root_level"].get<std::string>(),
                        o["root"].get<std::string>(), o["format"].get<std::string>(),
                        plural(o["tables"].get<u64>(), "table"), plural(o["frames"].get<u64>(), "frame"),
                        o["attached"] == 0u ? "" : fmt::format(", attached {}×", o["attached"].get<u64>()));
  if (o["frozen"] == true) out += fmt::format("  frozen, the base of {}\n", plural(o["clones"].get<u64>(), "clone"));
  if (!o["base"].is_null()) out += fmt::format("  clone of {}\n", o["base"].get<std::string>());
  for (const Json& v : o["views"])
    out += fmt::format("  view {}  {}, {} root {}{}\n", v["view"].get<u64>(), v["format"].get<std::string>(),
                       v["root_level"].get<std::string>(), v["root"].get<std::string>(),
                       v["attached"] == 0u ? "" : fmt::format(", attached {}×", v["attached"].get<u64>()));
  return out;
}

std::string render_objects(const Json& facts, const Style& style)
{
  if (facts["objects"].empty()) return "no objects\n";
  std::string out;
  for (const Json& o : facts["objects"]) out += render_object(o, style);
  return out;
}

std::string render_change(const Json& facts, const Style& style)
{
  const std::string done = facts["done"].get<std::string>(), name = style.bold(facts["object"].get<std::string>());
  if (done == "destroyed") return fmt::format("{}: destroyed\n", name);
  return fmt::format("{}: {} {}, {} changed\n", name, done, range_text(read_range(facts["range"])),
                     plural(facts["changed_pages"].get<u64>(), "page"));
}

std::string render_reshape(const Json& facts, const Style& style)
{
  const std::string leaf = bytes_text(facts["leaf_bytes"].get<u64>());
  const std::string what = fmt::format("{}: {} {}", style.bold(facts["object"].get<std::string>()),
                                       facts["done"].get<std::string>(), range_text(read_range(facts["range"])));
  if (!facts.contains("leaves")) return fmt::format("{} to leaves of {}\n", what, leaf);
  return fmt::format("{}, {} leaves of {} made\n", what, facts["leaves"].get<u64>(), leaf);
}

namespace {

std::string render_runs(const Json& runs)
{
  std::string out;
  for (const Json& run : runs) {
    const Range range = read_range(run);
    out += fmt::format("  {} ({}){}\n", range_text(range), plural((range.end - range.start) / page_bytes, "page"),
                       run.contains("rights") ? " " + run["rights"].get<std::string>() : "");
  }
  return out;
}

}  // namespace

std::string render_harvest(const Json& facts, const Style& style)
{
  return fmt::format("{}: {} accessed since the last harvest\n{}{} dirty\n{}",
                     style.bold(facts["object"].get<std::string>()), plural(facts["accessed_pages"].get<u64>(), "page"),
                     render_runs(facts["accessed"]), plural(facts["dirty_pages"].get<u64>(), "page"),
                     render_runs(facts["dirty"]));
}

std::string render_ranges(const Json& facts, const Style& style)
{
  return fmt::format("{}: {} {}\n{}", style.bold(facts["object"].get<std::string>()),
                     plural(facts["pages"].get<u64>(), "page"), facts["what"].get<std::string>(),
                     render_runs(facts["runs"]));
}

}  // namespace morsel::session
