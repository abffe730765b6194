// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/scenario.hpp"

#include <algorithm>
#include <charconv>

#include "engine/session/failure.hpp"

namespace morsel::sim {

namespace {

constexpr std::string_view roots[] = {"pte", "pmd", "pud"};
constexpr std::string_view actions[] = {"drop", "fail"};
constexpr std::string_view twists[] = {"",      "plain", "blind",  "old",  "unmarked", "leaf",  "late",  "early",
                                       "alone", "hidden", "wide", "clean", "asked", "both", "swept", "ahead",
                                       "unfenced"};
constexpr std::string_view limits = "~@?#";  // begin what stands behind a rule's point
constexpr std::string_view whens[] = {"", "idle", "kept", "reserved", "stale", "dirty"};

[[noreturn]] void wrong(std::string_view word, const std::string& found, const std::string& advice)
{
  throw session::Failure(session::Exit::usage, "scenario, word '" + std::string(word) + "'", found, advice);
}

u64 parse_number(std::string_view word, std::string_view text)
{
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    wrong(word, "'" + std::string(text) + "' is no number", "Digits only.");
  return value;
}

u64 parse_size(std::string_view word, std::string_view text)
{
  constexpr std::string_view units = "KMGT";
  const std::size_t unit = text.empty() ? units.npos : units.find(text.back());
  if (unit == units.npos) wrong(word, "no size", "For example: size:4M");
  const u64 number = parse_number(word, text.substr(0, text.size() - 1));
  if (number > 1024) wrong(word, "too large", "At most 1024 of a unit.");
  return number << (10 * (unit + 1));
}

std::string size_text(u64 bytes)
{
  u32 unit = 0;
  bytes >>= 10;
  while (unit < 3 && bytes != 0 && bytes % 1024 == 0) bytes /= 1024, ++unit;
  return std::to_string(bytes) + "KMGT"[unit];
}

u64 default_size(Level root_level) { return u64{root_level == 0 ? 2u : 4u} << 20; }

void parse_watch(Scenario& s, std::string_view word, std::string_view text)
{
  s.pages.clear();
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string page(text.substr(at, comma - at));
    if (page.empty() || page == "all") wrong(word, "no page", "For example: watch:p0,p512");
    s.pages.push_back(parse_act("write:" + page).range.start);
    at = comma + 1;
  }
  if (s.pages.size() > max_hardware_pages)
    wrong(word, "too many pages", "At most " + std::to_string(max_hardware_pages) + ".");
}

SyncPoint parse_point(std::string_view word, std::string_view name)
{
  for (const PointInfo& p : all_points)
    if (p.name == name) return p.point;
  wrong(word, "no point is called '" + std::string(name) + "'", "For example: flush, invalidate, carry, read_pending.");
}

When parse_when(std::string_view word, std::string_view name)
{
  for (std::size_t i = 1; i < std::size(whens); ++i)
    if (whens[i] == name) return static_cast<When>(i);
  wrong(word, "'?" + std::string(name) + "' is no condition", "?idle, ?kept, ?reserved, ?stale, ?dirty");
}

// Behind a point: ~until of a late or early access, @v1 or @a, ?idle, #2.
void parse_limits(FaultRule& rule, std::string_view word, std::string_view rest)
{
  while (!rest.empty()) {
    const char kind = rest[0];
    const std::size_t end = std::min(rest.find_first_of(limits, 1), rest.size());
    const std::string_view text = rest.substr(1, end - 1);
    rest.remove_prefix(end);
    if (kind == '#') {
      rule.nth = parse_number(word, text);
      rule.times = 1;
    } else if (kind == '~') {
      rule.until = parse_point(word, text);
    } else if (kind == '?') {
      rule.when = parse_when(word, text);
    } else if (text.size() == 1 && text[0] >= 'a' && text[0] < static_cast<char>('a' + max_actors)) {
      rule.actor = static_cast<u32>(text[0] - 'a') + 1;
    } else {
      if (text.empty() || text[0] != 'v') wrong(word, "no tree and no actor", "drop:flush@v1; @v0 is the primary; @a");
      const u64 number = parse_number(word, text.substr(1));
      if (number > max_views) wrong(word, "no tree", "Views have numbers up to 16.");
      rule.tree = static_cast<TreeId>(number);
    }
  }
}

// drop:flush@v1#2
bool parse_fault(Scenario& s, std::string_view word, std::string_view name, std::string_view rest)
{
  const auto* const action = std::find(std::begin(actions), std::end(actions), name);
  const auto* const twist = std::find(std::begin(twists) + 1, std::end(twists), name);
  if (action == std::end(actions) && twist == std::end(twists)) return false;
  FaultRule rule;
  rule.times = ~u64{0};
  rule.action = MORSEL_FAULT_NONE;
  if (twist != std::end(twists))
    rule.twist = static_cast<Twist>(twist - std::begin(twists));
  else
    rule.action = name == "fail" ? MORSEL_FAULT_FAIL : MORSEL_FAULT_DROP;
  const std::size_t end = std::min(rest.find_first_of(limits), rest.size());
  rule.point = parse_point(word, rest.substr(0, end));
  parse_limits(rule, word, rest.substr(end));
  if (rule.action == MORSEL_FAULT_FAIL && rule.point != SyncPoint::alloc)
    wrong(word, "only allocations can fail", "fail:alloc, fail:alloc#3");
  if ((rule.twist == Twist::late || rule.twist == Twist::early) != (rest.find('~') != rest.npos))
    wrong(word, "a late or early access, and only that, has a second point", "late:flush~unpend");
  if (rule.twist == Twist::unfenced && rule.point != SyncPoint::persist)
    wrong(word, "only write-backs are fenced", "unfenced:persist, unfenced:persist#2");
  s.faults.push_back(rule);
  return true;
}

std::string fault_text(const FaultRule& rule)
{
  std::string text(rule.twist != Twist::none ? twists[static_cast<std::size_t>(rule.twist)]
                                             : actions[rule.action == MORSEL_FAULT_FAIL ? 1 : 0]);
  text += ":" + std::string(point_name(rule.point));
  if (rule.twist == Twist::late || rule.twist == Twist::early) text += "~" + std::string(point_name(rule.until));
  if (rule.tree) text += "@v" + std::to_string(*rule.tree);
  if (rule.actor) text += std::string("@") + static_cast<char>('a' + rule.actor - 1);
  if (rule.when != When::always) text += "?" + std::string(whens[static_cast<std::size_t>(rule.when)]);
  if (rule.counts()) text += "#" + std::to_string(rule.nth);
  return text;
}

// False: the word is no setting.
bool parse_setting(Scenario& s, std::string_view word)
{
  const std::size_t colon = word.find(':');
  const std::string_view name = word.substr(0, colon);
  const std::string_view rest = colon == word.npos ? std::string_view{} : word.substr(colon + 1);
  if (name == "root") {
    const auto* const root = std::find(std::begin(roots), std::end(roots), rest);
    if (root == std::end(roots)) wrong(word, "no level of a root", "root:pte, root:pmd, root:pud");
    s.root_level = static_cast<Level>(root - std::begin(roots));
  } else if (name == "size") {
    s.bytes = parse_size(word, rest);
  } else if (name == "view") {
    const FormatInfo* const format = find_format(rest);
    std::string known = "none";
    for (const FormatInfo& f : format_table) known += ", " + std::string(f.name);
    if (!format && rest != "none") wrong(word, "no such format", "Formats: " + known);
    if (format) s.views.push_back(format->id);
  } else if (name == "watch") {
    parse_watch(s, word, rest);
  } else if (word == "walked") {
    s.primary_walked = true;
  } else if (word == "same_token") {
    s.reuse_tokens = true;
  } else if (word == "no_grace") {
    s.no_grace_periods = true;
  } else if (word == "slow_release") {
    s.slow_release = true;
  } else if (name == "cores") {
    s.cores = static_cast<u32>(std::min(parse_number(word, rest), max_cores + 1));
    if (s.cores == 0 || s.cores > max_cores) wrong(word, "no number of cores", "cores:1 to cores:4");
  } else if (word == "local_flush") {
    s.local_flush = true;
  } else {
    return parse_fault(s, word, name, rest);
  }
  return true;
}

// Every tree that an act names must be there.
void check_trees(const Scenario& s)
{
  std::array<bool, max_views + 1> known{};
  known[primary_tree] = s.primary_walked;
  for (std::size_t i = 0; i < s.views.size() && i < max_views; ++i) known[i + 1] = true;
  for (const std::vector<Act>* acts : {&s.before, &s.actors})
    for (const Act& act : *acts)
      if (act.kind == Act::Kind::add_view) known[act.view] = act.view != primary_tree;
  for (const std::vector<Act>* acts : {&s.before, &s.actors})
    for (const Act& act : *acts) {
      if (info(act.kind).arguments.find('v') == std::string_view::npos) continue;
      const bool by_walker = act.kind == Act::Kind::write || act.kind == Act::Kind::read;
      if (!known[act.view] || (act.view == primary_tree && !by_walker))
        wrong(to_text(act), "there is no such tree",
              "Views are numbered as they stand: view:ept is v1; walkers of v0, the primary, need 'walked'.");
    }
}

}  // namespace

Scenario parse_scenario(std::string_view text)
{
  Scenario s;
  s.views.clear();
  s.bytes = 0;
  bool has_view = false, at_once = false;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    has_view = has_view || word.substr(0, 5) == "view:";
    if (word == "--")
      at_once = true;
    else if (!parse_setting(s, word))
      (at_once ? s.actors : s.before).push_back(parse_act(word));
  }
  if (!has_view) s.views = {FormatId::ept};
  if (s.bytes == 0) s.bytes = default_size(s.root_level);
  if (s.actors.empty())
    throw session::Failure(session::Exit::usage, "scenario", "nobody does anything",
                           "Behind -- stand the acts that run at once: populate:p0 -- fill:p0 unmap:p0");
  if (s.actors.size() > max_actors)
    throw session::Failure(session::Exit::usage, "scenario", std::to_string(s.actors.size()) + " actors",
                           "At most " + std::to_string(max_actors) + ".");
  check_trees(s);
  return s;
}

std::string to_text(const Scenario& s)
{
  std::string text;
  auto add = [&text](const std::string& word) { text += (text.empty() ? "" : " ") + word; };
  if (s.root_level != 1) add("root:" + std::string(roots[s.root_level]));
  if (s.bytes != default_size(s.root_level)) add("size:" + size_text(s.bytes));
  if (s.views != std::vector{FormatId::ept})
    for (const FormatId id : s.views) add("view:" + std::string(find_format(id)->name));
  if (s.views.empty()) add("view:none");
  if (s.primary_walked) add("walked");
  if (s.pages != std::vector<u64>{0}) {
    std::string pages;
    for (const u64 page : s.pages) pages += (pages.empty() ? "p" : ",p") + std::to_string(page >> page_lg2);
    add("watch:" + pages);
  }
  for (const Act& act : s.before) add(to_text(act));
  add("--");
  for (const Act& act : s.actors) add(to_text(act));
  for (const FaultRule& rule : s.faults) add(fault_text(rule));
  if (s.reuse_tokens) add("same_token");
  if (s.no_grace_periods) add("no_grace");
  if (s.slow_release) add("slow_release");
  if (s.cores != 1) add("cores:" + std::to_string(s.cores));
  if (s.local_flush) add("local_flush");
  return text;
}

}  // namespace morsel::sim
