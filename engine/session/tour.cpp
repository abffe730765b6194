// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/tour.hpp"

#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

using inspect::DiffState;

namespace {

constexpr u64 object_bytes = u64{64} << 20;
constexpr u64 mib = u64{1} << 20;

// What the process writes: 14 pages in three places.
constexpr Range written[] = {
    {0, 8 * page_bytes}, {2 * mib, 2 * mib + 4 * page_bytes}, {33 * mib, 33 * mib + 2 * page_bytes}};
// What is read through the view, and what is unmapped of it afterwards.
constexpr Range read_through_view[] = {{0, 4 * page_bytes}, {2 * mib, 2 * mib + 2 * page_bytes}};
constexpr Range unmapped[] = {{page_bytes, 3 * page_bytes}, {2 * mib, 2 * mib + page_bytes}};
constexpr Range unmapped_behind_its_back{0, page_bytes};

template <std::size_t N>
constexpr u64 pages_in(const Range (&ranges)[N])
{
  u64 bytes = 0;
  for (const Range& r : ranges) bytes += r.bytes();
  return bytes / page_bytes;
}

constexpr u64 value_at(u64 offset) { return 0x6d6f727365000000 + offset / page_bytes; }

// Pages that the leaves of a tree map.
u64 mapped_pages(const inspect::Snapshot& tree)
{
  const FormatInfo& format = tree.format_info();
  u64 pages = 0;
  for (u32 table = 0; table < tree.table_count(); ++table)
    for (const u64 word : tree.words(table))
      if (format.kind(word, tree.table_level(table)) == EntryKind::leaf)
        pages += AlignedTree::entry_bytes(tree.table_level(table)) / page_bytes;
  return pages;
}

class Tour {
 public:
  Tour(Target& target, const TourOptions& options) : target_(target), options_(options), name_(options.object) {}

  Json run()
  {
    const bool had_rules = !target_.injected().empty();
    if (name_ == tour_object)
      for (const ObjectState& o : target_.objects())
        if (o.name == name_) target_.destroy_object(name_);
    create();
    try {
      write();
      add_view();
      read();
      unmap();
      break_it();
    } catch (...) {
      leave(had_rules);
      throw;
    }
    leave(had_rules);
    return {{"object", name_},
            {"target", target_.info().machine},
            {"kept", options_.keep},
            {"stations", std::move(stations_)},
            {"holds", holds_}};
  }

 private:
  void station(const std::string& title, const std::string& told)
  {
    stations_.push_back({{"title", title}, {"told", told}, {"tree", nullptr}, {"checks", Json::array()}});
  }

  void check(const std::string& what, const Json& expected, const Json& found)
  {
    const bool holds = expected == found;
    holds_ = holds_ && holds;
    stations_.back()["checks"].push_back({{"what", what}, {"expected", expected}, {"found", found}, {"holds", holds}});
  }

  AlignedTree look()
  {
    AlignedTree trees = AlignedTree::capture(target_.memory(), target_.object(name_));
    stations_.back()["tree"] = tree_facts(trees, {});
    return trees;
  }

  void create()
  {
    station("An object",
            fmt::format("'{}' of {}: one root table, which maps nothing yet.", name_, bytes_text(object_bytes)));
    const ObjectState object = target_.create_object(name_, object_bytes, {});
    const AlignedTree trees = look();
    check("bytes of the object", object_bytes, object.bytes);
    check("tables of the primary", 1u, trees.snapshot(0).table_count());
    check("pages that the primary maps", 0u, mapped_pages(trees.snapshot(0)));
  }

  void write()
  {
    const bool guest = target_.info().kind == "vm";
    station("A process writes",
            fmt::format("{} and writes one word in each of {} pages, in three places. Each first touch "
                        "populates the primary.",
                        guest ? "A process in the guest maps the object" : "The machine's CPU walks the primary",
                        pages_in(written)));
    const u64 done = guest ? write_by_process() : write_by_accesses();
    const AlignedTree trees = look();
    check("pages written", pages_in(written), done);
    check("pages that the primary maps", pages_in(written), mapped_pages(trees.snapshot(0)));
    check("pages mapped where they were written", pages_in(written), mapped_where(trees, written, 0));
  }

  u64 write_by_accesses()
  {
    u64 done = 0;
    for (const Range& r : written)
      for (u64 offset = r.start; offset < r.end; offset += page_bytes)
        done += target_.access({name_, primary_tree, offset, right_write, value_at(offset), true}).outcome ==
                AccessOutcome::populated;
    return done;
  }

  u64 write_by_process()
  {
    std::vector<std::string> argv{"morsel-touch", "/morsel/" + name_};
    u64 pages = 0;
    for (const Range& r : written)
      for (u64 offset = r.start; offset < r.end; offset += page_bytes) {
        argv.push_back(fmt::format("write:{:#x}={:#x}", offset, value_at(offset)));
        ++pages;
      }
    const ProgramResult result = target_.run_program(argv);
    if (result.exit_status == 0) return pages;
    throw Failure(Exit::check_failed, "run morsel-touch in the guest",
                  result.signal ? fmt::format("it was ended by signal {}", *result.signal)
                                : fmt::format("it ended with exit status {}", result.exit_status.value_or(-1)),
                  result.errors);
  }

  void add_view()
  {
    station("A view",
            "An EPT view is added: the tables that a virtual machine's hardware would walk. It is empty; nothing "
            "is copied ahead of time.");
    view_ = target_.add_view(name_, FormatId::ept).number;
    const AlignedTree trees = look();
    check("pages that the view maps", 0u, mapped_pages(trees.snapshot(1)));
    check("pages unfilled", pages_in(written), trees.diff(1).pages(DiffState::unfilled));
    check("diff clean", true, trees.clean());
  }

  void read()
  {
    station("Lazy fill",
            fmt::format("{} of the pages are read through the view. Each miss fills one entry from the primary; "
                        "only what was read appears.",
                        pages_in(read_through_view)));
    u64 filled = 0, right_values = 0;
    std::string walker;
    for (const Range& r : read_through_view)
      for (u64 offset = r.start; offset < r.end; offset += page_bytes) {
        const AccessReply reply = target_.access({name_, view_, offset, right_read, 0, true});
        filled += reply.outcome == AccessOutcome::filled;
        right_values += reply.value == value_at(offset);
        walker = reply.walker;
      }
    stations_.back()["told"] = stations_.back()["told"].get<std::string>() + " Walked by " + walker + ".";
    const AlignedTree trees = look();
    check("accesses that filled the view", pages_in(read_through_view), filled);
    check("words read as the process wrote them", pages_in(read_through_view), right_values);
    check("pages that the view maps", pages_in(read_through_view), mapped_pages(trees.snapshot(1)));
    check("pages mapped where they were read", pages_in(read_through_view), mapped_where(trees, read_through_view, 1));
    check("pages the same in both", pages_in(read_through_view), trees.diff(1).pages(DiffState::same));
    check("diff clean", true, trees.clean());
  }

  void unmap()
  {
    station("Unmap",
            fmt::format("{} pages are unmapped in the primary. The change takes them out of the view too, before it "
                        "returns.",
                        pages_in(unmapped)));
    u64 changed = 0;
    for (const Range& r : unmapped) changed += target_.unmap(name_, r);
    const AlignedTree trees = look();
    check("pages changed", pages_in(unmapped), changed);
    check("unmapped pages left in the primary", 0u, mapped_where(trees, unmapped, 0));
    check("unmapped pages left in the view", 0u, mapped_where(trees, unmapped, 1));
    check("pages that the primary maps", pages_in(written) - pages_in(unmapped), mapped_pages(trees.snapshot(0)));
    check("pages stale", 0u, trees.diff(1).pages(DiffState::stale));
    check("diff clean", true, trees.clean());
  }

  void break_it()
  {
    station("A lost invalidation",
            "Now the next 'invalidate' of the view is dropped on purpose, and one more page is "
            "unmapped. The view keeps an entry that the primary no longer has: it is stale.");
    InjectRule rule;
    rule.point = SyncPoint::invalidate;
    rule.action = MORSEL_FAULT_DROP;
    rule.tree = view_;
    const u32 number = target_.inject(rule);
    const u64 changed = target_.unmap(name_, unmapped_behind_its_back);
    const AlignedTree trees = look();
    stations_.back()["diff"] = diff_facts(trees, 10, false);
    u64 fired = 0;
    for (const InjectRule& r : target_.injected())
      if (r.number == number) fired = r.fired;
    check("pages changed", 1u, changed);
    check("invalidations dropped", 1u, fired);
    check("pages stale", 1u, trees.diff(1).pages(DiffState::stale));
    const inspect::DiffRun* first = trees.diff(1).next_difference(0);
    check("the stale range", range_text(unmapped_behind_its_back),
          first ? range_text(first->range) : std::string("none"));
    check("diff clean", false, trees.clean());
  }

  template <std::size_t N>
  static u64 mapped_where(const AlignedTree& trees, const Range (&ranges)[N], std::size_t column)
  {
    u64 pages = 0;
    for (const Range& r : ranges)
      for (u64 offset = r.start; offset < r.end; offset += page_bytes)
        pages += trees.cell({0, offset}, column).kind == EntryKind::leaf;
    return pages;
  }

  void leave(bool had_rules)
  {
    if (!had_rules) target_.clear_injected();
    if (!options_.keep) target_.destroy_object(name_);
  }

  Target& target_;
  const TourOptions& options_;
  std::string name_;
  TreeId view_ = primary_tree;
  Json stations_ = Json::array();
  bool holds_ = true;
};

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

}  // namespace

Outcome run_tour(Target& target, const TourOptions& options)
{
  Outcome outcome{Tour(target, options).run()};
  outcome.status = outcome.facts["holds"] == true ? 0 : static_cast<int>(Exit::check_failed);
  return outcome;
}

Outcome tour(Session& session, const Arguments& arguments)
{
  return run_tour(session.target(), {arguments.get_or<std::string>("--object", tour_object), arguments.has("--keep")});
}

std::string render_tour(const Json& facts, const Style& style)
{
  std::string out;
  int number = 0, checks = 0;
  for (const Json& s : facts["stations"]) {
    out += fmt::format("{}\n{}\n\n", style.bold(fmt::format("{}. {}", ++number, s["title"].get<std::string>())),
                       s["told"].get<std::string>());
    out += render_tree(s["tree"], style);
    if (s.contains("diff")) out += "\n" + render_diff(s["diff"], style);
    out += "\n";
    for (const Json& c : s["checks"]) {
      ++checks;
      const bool holds = c["holds"].get<bool>();
      out += fmt::format("  {} {}: {}{}\n", holds ? style.good("✓") : style.bad("✗"), c["what"].get<std::string>(),
                         shown(c["found"]), holds ? "" : style.bad(" — expected " + shown(c["expected"])));
    }
    out += "\n";
  }
  const bool holds = facts["holds"].get<bool>();
  out += holds ? style.good(fmt::format("All {} facts of the tour hold", checks)) : style.bad("The tour is broken");
  out += fmt::format(" on {}.\n", facts["target"].get<std::string>());
  if (facts["kept"] == true)
    out += fmt::format("The object '{}' stays: look at it with 'tree {}' and 'diff {}'.\n",
                       facts["object"].get<std::string>(), facts["object"].get<std::string>(),
                       facts["object"].get<std::string>());
  return out;
}

}  // namespace morsel::session
