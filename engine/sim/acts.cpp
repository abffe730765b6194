// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/acts.hpp"

#include <charconv>

#include "engine/inspect/decode.hpp"
#include "engine/session/failure.hpp"
#include "engine/sim/explored_platform.hpp"

namespace morsel::sim {

namespace {

using Kind = Act::Kind;

// Out of memory, busy, frozen and the like are lawful ends. Who came to one has not done what it promises; all else is
// judged by the invariants.

template <class T>
Status status_of(const Expected<T>& result)
{
  return result ? Status{} : Status{result.error()};
}

Status do_fill(Stage& s, const Act& a) { return status_of(fill(s.p, s.object, a.view, a.range.start, a.rights)); }

Status do_write(Stage& s, const Act& a) { return s.p.hardware_write(a.view, a.range.start), Status{}; }

Status do_read(Stage& s, const Act& a) { return s.p.hardware_read(a.view, a.range.start), Status{}; }

Status do_unmap(Stage& s, const Act& a) { return status_of(unmap(s.p, s.object, a.range)); }

Status do_protect(Stage& s, const Act& a) { return status_of(protect(s.p, s.object, a.range, a.rights)); }

Status do_populate(Stage& s, const Act& a)
{
  return status_of(populate(s.p, s.object, a.range, a.rights, a.leaf_level));
}

Status do_invalidate(Stage& s, const Act& a) { return invalidate(s.p, s.object, s.world.view(a.view), a.range); }

Status do_add_view(Stage& s, const Act& a)
{
  const Status added = add_view(s.p, s.object, s.world.make_view(a.view), a.format, a.view);
  if (added) s.p.attach(a.view, true);
  return added;
}

Status do_drop_view(Stage& s, const Act& a)
{
  s.p.attach(a.view, false);
  drop_view(s.p, s.object, s.world.view(a.view));
  return {};
}

Status do_resize(Stage& s, const Act& a) { return resize(s.p, s.object, a.range.start); }

Status do_split(Stage& s, const Act& a) { return split(s.p, s.object, a.range, a.leaf_level); }

Status do_merge(Stage& s, const Act& a) { return status_of(merge(s.p, s.object, a.range, a.leaf_level)); }

Status do_migrate(Stage& s, const Act& a) { return status_of(migrate(s.p, s.object, a.range)); }

Status do_break_copy(Stage& s, const Act& a) { return status_of(break_copy(s.p, s.object, a.range.start)); }

Status do_freeze(Stage& s, const Act&) { return freeze(s.p, s.object); }

// What stands becomes a base, and the object goes on as a clone of it. Only to set the stage: views change hands.
Status do_clone(Stage& s, const Act&)
{
  ExploredWorld::Core& core = s.world.core;
  if (const Status frozen = freeze(s.p, core.object); !frozen) return frozen;
  core.base = core.object;
  core.base.views = {};
  const std::array<void*, max_views> views = core.object.views;
  const u64 slots = core.object.slots;
  const Counter attached = core.object.primary.attached;
  if (const Status cloned = clone(s.p, core.base, core.object); !cloned) return cloned;
  core.object.views = views;
  core.object.slots = slots;
  core.object.primary.attached = attached;
  return {};
}

// I4: what was written before it began is in its report. With several at once, each page is in one's report only.
Status do_harvest(Stage& s, const Act& a)
{
  struct Report {
    const std::vector<u64>& pages;
    u32 reported = 0;
    void accessed(Range) {}
    void dirty(Range range)
    {
      for (std::size_t i = 0; i < pages.size(); ++i)
        if (range.contains(pages[i])) reported |= 1u << i;
    }
  };
  s.p.look();
  const std::array<PhysAddr, max_hardware_pages> due = s.world.written_frames(a.range);
  for (const PhysAddr frame : due) s.p.observe(frame.value);
  Report report{s.world.scenario.pages};
  if (const Status harvested = harvest(s.p, s.object, a.range, report); !harvested) return harvested;
  s.p.look();
  if (s.world.acts_of(Kind::harvest) == 1) s.world.check_harvest(due, report.reported);
  return {};
}

// In the order of Act::Kind.
constexpr ActInfo act_table[] = {
    {Kind::fill, "fill", "pvr", Effect::none, do_fill},
    {Kind::write, "write", "pv", Effect::none, do_write},
    {Kind::unmap, "unmap", "p", Effect::removes, do_unmap},
    {Kind::protect, "protect", "pr", Effect::sets_rights, do_protect},
    {Kind::populate, "populate", "prl", Effect::changes, do_populate},
    {Kind::invalidate, "invalidate", "pv", Effect::none, do_invalidate},
    {Kind::add_view, "add_view", "vf", Effect::none, do_add_view},
    {Kind::drop_view, "drop_view", "v", Effect::none, do_drop_view},
    {Kind::resize, "resize", "p", Effect::removes, do_resize},
    {Kind::split, "split", "pl", Effect::none, do_split},
    {Kind::merge, "merge", "pl", Effect::changes, do_merge},
    {Kind::migrate, "migrate", "p", Effect::changes, do_migrate},
    {Kind::break_copy, "break_copy", "p", Effect::copies, do_break_copy},
    {Kind::freeze, "freeze", "p", Effect::sets_rights, do_freeze},
    {Kind::clone, "clone", "", Effect::changes, do_clone},
    {Kind::harvest, "harvest", "p", Effect::none, do_harvest},
    {Kind::read, "read", "pv", Effect::none, do_read},
};
static_assert(
    [] {
      for (std::size_t i = 0; i < std::size(act_table); ++i)
        if (static_cast<std::size_t>(act_table[i].kind) != i) return false;
      return true;
    }(),
    "the table is in the order of Act::Kind");

constexpr std::string_view leaf_sizes[] = {"4K", "2M", "1G"};

[[noreturn]] void wrong(std::string_view word, const std::string& found, const std::string& advice)
{
  throw session::Failure(session::Exit::usage, "act '" + std::string(word) + "'", found, advice);
}

std::optional<u64> number(std::string_view text)
{
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// p3, p0-7, m1, g0, all
std::optional<Range> parse_pages(std::string_view text)
{
  if (text == "all") return Range{0, ~u64{0}};
  constexpr std::string_view units = "pmg";
  const std::size_t unit = text.empty() ? units.npos : units.find(text[0]);
  if (unit == units.npos) return {};
  const u64 bytes = page_bytes << (9 * unit);
  const std::size_t dash = text.find('-');
  const auto first = number(text.substr(1, dash == text.npos ? dash : dash - 1));
  const auto last = dash == text.npos ? first : number(text.substr(dash + 1));
  if (!first || !last || *last < *first || *last > (u64{1} << 40)) return {};
  return Range{*first * bytes, (*last + 1) * bytes};
}

std::optional<Rights> parse_rights(std::string_view text)
{
  Rights rights;
  for (const char c : text) {
    if (c != 'r' && c != 'w' && c != 'x') return {};
    rights = rights | (c == 'r' ? right_read : c == 'w' ? right_write : right_exec);
  }
  if (rights.none()) return {};
  return rights;
}

// Which letter of ActInfo::arguments the word gave; 0: it is none of them.
char take_argument(Act& act, std::string_view word)
{
  if (const auto pages = parse_pages(word)) return act.range = *pages, 'p';
  if (const auto rights = parse_rights(word)) return act.rights = *rights, 'r';
  if (word.size() > 1 && word[0] == 'v') {
    const auto tree = number(word.substr(1));
    if (!tree || *tree > max_views) return 0;
    return act.view = static_cast<TreeId>(*tree), 'v';
  }
  for (Level level = 0; level < std::size(leaf_sizes); ++level)
    if (word == leaf_sizes[level]) return act.leaf_level = level, 'l';
  if (const FormatInfo* const format = find_format(word)) return act.format = format->id, 'f';
  return 0;
}

std::string short_rights(Rights rights)
{
  std::string text = inspect::rights_text(rights);
  std::erase(text, '-');
  return text;
}

// What the argument says, empty if it says what it says without words.
std::string argument_text(const Act& act, char argument)
{
  const Act plain;
  switch (argument) {
    case 'p': return to_text(act.range);
    case 'v': return act.view == plain.view ? "" : "v" + std::to_string(act.view);
    case 'l': return act.leaf_level == plain.leaf_level ? "" : std::string(leaf_sizes[act.leaf_level]);
    case 'f': return act.format == plain.format ? "" : std::string(find_format(act.format)->name);
    default:
      return act.rights == (act.kind == Kind::populate ? rights_rw : plain.rights) ? "" : short_rights(act.rights);
  }
}

}  // namespace

const ActInfo& info(Kind kind) { return act_table[static_cast<std::size_t>(kind)]; }

Range range_of(const Act& act) { return act.kind == Kind::resize ? Range{act.range.start, ~u64{0}} : act.range; }

Status perform(Stage& stage, const Act& act) { return info(act.kind).perform(stage, act); }

Act parse_act(std::string_view word)
{
  const std::size_t colon = word.find(':');
  const std::string_view name = word.substr(0, colon);
  std::string known;
  const ActInfo* act_info = nullptr;
  for (const ActInfo& row : act_table) {
    if (row.name == name) act_info = &row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  if (!act_info) wrong(word, "no such operation", "Operations: " + known);
  Act act;
  act.kind = act_info->kind;
  if (act.kind == Kind::populate) act.rights = rights_rw;
  std::string_view rest = colon == word.npos ? std::string_view{} : word.substr(colon + 1);
  bool has_pages = act_info->arguments.find('p') == act_info->arguments.npos;
  while (!rest.empty()) {
    const std::string_view argument = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), argument.size() + 1));
    const char taken = take_argument(act, argument);
    if (taken == 0)
      wrong(word, "'" + std::string(argument) + "' is no argument",
            "Pages p3, p0-7, m0 (2M), g0 (1G), all; a tree v1; rights rwx; a leaf size 4K, 2M, 1G; a format.");
    if (act_info->arguments.find(taken) == act_info->arguments.npos)
      wrong(word, std::string(name) + " takes no argument like '" + std::string(argument) + "'", "Leave it out.");
    has_pages = has_pages || taken == 'p';
  }
  if (!has_pages) wrong(word, "it does not say which pages", "For example: " + std::string(name) + ":p0");
  return act;
}

std::string to_text(Range range)
{
  if (range == Range{0, ~u64{0}}) return "all";
  std::size_t unit = 2;
  while (unit > 0 && ((range.start | range.end) & ((page_bytes << (9 * unit)) - 1)) != 0) --unit;
  const u64 bytes = page_bytes << (9 * unit);
  const u64 first = range.start / bytes, last = range.end / bytes - 1;
  return "pmg"[unit] + std::to_string(first) + (last == first ? "" : "-" + std::to_string(last));
}

std::string to_text(const Act& act)
{
  std::string text(info(act.kind).name);
  char separator = ':';
  for (const char argument : info(act.kind).arguments) {
    const std::string word = argument_text(act, argument);
    if (word.empty()) continue;
    text += separator + word;
    separator = ',';
  }
  return text;
}

}  // namespace morsel::sim
