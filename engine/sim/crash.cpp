// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/crash.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "engine/session/failure.hpp"
#include "engine/sim/crash_world.hpp"

namespace morsel::sim {

namespace {

using Kind = Act::Kind;
constexpr TreeId view_number = 1;

// What an object means, page by page.
struct PageState {
  bool mapped = false;
  u8 rights = 0;
  u64 content = 0;
  auto operator<=>(const PageState&) const = default;
};
using Pages = std::map<u64, PageState>;

struct Snapshot {
  u64 bytes = 0;
  Pages pages;
};

Snapshot look(CrashWorld& w, const Scenario& scenario)
{
  CrashPlatform p(w);
  Snapshot s{w.object.bytes, {}};
  for (const u64 page : scenario.pages) {
    const Walked walked = walk<PrimaryFormat>(p, SyncPoint::find, w.object.primary, page);
    u64 word = walked.word;
    if (walked.kind == EntryKind::moving) word = leaf_of_moving(word, walked.entry.level);
    PageState& state = s.pages[page];
    if (walked.kind != EntryKind::leaf && walked.kind != EntryKind::moving) continue;
    const Level level = walked.entry.level;
    const PhysAddr frame = PrimaryFormat::address(word, level) + page_within<PrimaryFormat>(page, level);
    state = {true, granted(word, level).bits(), w.memory.load(w.memory.content(frame))};
  }
  return s;
}

bool perform(CrashWorld& w, const Act& act)
{
  CrashPlatform p(w);
  Object& o = w.object;
  switch (act.kind) {
    case Kind::fill: return static_cast<bool>(fill(p, o, w.view, act.range.start, act.rights));
    case Kind::populate: return static_cast<bool>(populate(p, o, act.range, act.rights, act.leaf_level));
    case Kind::unmap: return static_cast<bool>(unmap(p, o, act.range));
    case Kind::protect: return static_cast<bool>(protect(p, o, act.range, act.rights));
    case Kind::resize: return static_cast<bool>(resize(p, o, act.range.start));
    case Kind::split: return static_cast<bool>(split(p, o, act.range, act.leaf_level));
    case Kind::merge: return static_cast<bool>(merge(p, o, act.range, act.leaf_level));
    case Kind::migrate: return static_cast<bool>(migrate(p, o, act.range));
    case Kind::break_copy: return static_cast<bool>(break_copy(p, o, act.range.start));
    default:
      throw session::Failure(session::Exit::usage, "crashes of '" + to_text(act) + "'",
                             "it does not change the primary",
                             "Acts: populate, unmap, protect, resize, split, merge, migrate, break_copy; fill as the "
                             "second. Persistent objects are neither frozen nor cloned.");
  }
}

// What stands before the acts, and memories to work in, which are made once.
class CrashStage {
 public:
  explicit CrashStage(const Scenario& s) : scenario(s), pristine_(pages_for(s)), run(pages_for(s)), image(run), cut(run)
  {
    CrashWorld w(pristine_);
    CrashPlatform p(w);
    w.size_word = w.memory.words(*w.memory.allocate(0));
    if (!create(p, w.object, s.bytes, s.root_level) || !add_view(p, w.object, w.view, FormatId::ept, view_number))
      throw session::Failure(session::Exit::usage, "crashes of a scenario", "its object cannot be made", "");
    w.memory.store(w.size_word, s.bytes);
    w.memory.persist(w.size_word, page_bytes);
    w.memory.persist(w.memory.words(w.object.primary.root), page_bytes);
    for (const Act& act : s.before) (void)perform(w, act);
    for (const u64 page : s.pages) write_content(w, page);
    object_ = w.object;
    tree_ = w.view.tree;
    last_token_ = w.last_token;
  }

  // The world as it stands then, in `run`.
  std::unique_ptr<CrashWorld> begin()
  {
    run.become(pristine_);
    auto w = std::make_unique<CrashWorld>(run);
    w->object = object_;
    w->view.tree = tree_;
    w->object.views[view_number - 1] = &w->view;
    w->size_word = run.words(PersistentMemory::base);
    w->last_token = last_token_;
    return w;
  }

  const Scenario& scenario;

 private:
  static u64 pages_for(const Scenario& s)
  {
    const auto is_large = [](const Act& a) { return a.leaf_level > 0; };
    const bool large = std::any_of(s.before.begin(), s.before.end(), is_large) ||
                       std::any_of(s.actors.begin(), s.actors.end(), is_large);
    return large ? 2048 : 64;
  }
  // Tells pages apart.
  static void write_content(CrashWorld& w, u64 page)
  {
    CrashPlatform p(w);
    const auto leaf = lookup_in<PrimaryFormat>(p, SyncPoint::find, w.object.primary, page);
    if (!leaf) return;
    u64* const content = w.memory.content(leaf->frame);
    *content = page + 1;
    w.memory.persist(content, sizeof(u64));
  }

  PersistentMemory pristine_;
  Object object_;
  Tree tree_;
  u64 last_token_ = 0;

 public:
  PersistentMemory run, image, cut;
};

// What the object means after these acts, one after the other.
Snapshot after(CrashStage& stage, const std::vector<std::size_t>& acts)
{
  const auto w = stage.begin();
  for (const std::size_t i : acts) (void)perform(*w, stage.scenario.actors[i]);
  return look(*w, stage.scenario);
}

// The states that a page may be in after recovery.
class Allowed {
 public:
  explicit Allowed(CrashStage& stage)
      : none_(after(stage, {})), first_(after(stage, {0})), two_(stage.scenario.actors.size() > 1)
  {
    if (!two_) return;
    second_ = after(stage, {1});
    both_ = {after(stage, {0, 1}), after(stage, {1, 0})};
  }
  std::vector<const Snapshot*> of(bool first_returned, bool second_begun, bool second_returned) const
  {
    std::vector<const Snapshot*> s;
    if (!first_returned && !second_returned) s.push_back(&none_);
    if (!second_returned) s.push_back(&first_);
    if (second_begun && !first_returned) s.push_back(&second_);
    if (second_begun) s.insert(s.end(), {&both_[0], &both_[1]});
    return s;
  }

 private:
  Snapshot none_, first_, second_;
  std::array<Snapshot, 2> both_;
  bool two_;
};

// One run up to its crash, and the judgement of what that leaves.
class CrashRun {
 public:
  CrashRun(CrashStage& stage, const Allowed& allowed, u32 second_at, u32 crash_at)
      : stage_(stage), scenario_(stage.scenario), allowed_(allowed), second_at_(second_at), world_(stage.begin())
  {
    for (const FaultRule& rule : scenario_.faults) world_->faults.add(rule);
    world_->stop_at = crash_at;
    if (second_at != 0) world_->between = [this] { maybe_second(); };
    try {
      (void)perform(*world_, scenario_.actors[0]);
      first_returned_ = true;
    } catch (const CrashWorld::Stopped&) {
    }
    world_->between = {};
  }

  bool crashed() const { return !first_returned_; }
  bool second_ran() const { return second_begun_; }
  u32 accesses() const { return world_->accesses; }

  // What was cut off, and what recovery makes of the memory that the script gives.
  std::vector<std::string> story(std::vector<u32> script) const
  {
    std::vector<std::string> lines;
    const std::string first = "a " + to_text(scenario_.actors[0]), at = std::to_string(second_at_);
    if (second_begun_) lines.push_back("b " + to_text(scenario_.actors[1]) + " runs before access " + at + " of a");
    lines.push_back(first_returned_ ? first + " returns, and the machine stops"
                                    : "the machine stops before access " + std::to_string(world_->stop_at) + ", in " +
                                          (second_begun_ && !second_returned_ ? "b" : first));
    const auto image = recovered(stage_.image, stage_.run, script, 0);
    if (!status_) {
      lines.push_back(std::string("recovery fails: ") + error_name(status_.error()));
      return lines;
    }
    for (const auto& [page, state] : look(*image, scenario_).pages)
      lines.push_back("after recovery " + describe(page, state));
    return lines;
  }

  // Recovers the memory that the script gives; empty: as it should be.
  std::string judge(std::vector<u32>& script, std::vector<u32>& options) const
  {
    const auto image = recovered(stage_.image, stage_.run, script, 0);
    const u32 accesses = image->accesses;
    std::string found = verdict_of(*image);
    if (found.empty()) found = use_to_the_end(*image);
    options = image->memory.options;
    for (u32 stop = 1; found.empty() && stop <= accesses; ++stop) found = judge_cut_recovery(script, stop);
    return found;
  }

 private:
  void maybe_second()
  {
    if (second_begun_ || world_->accesses + 1 != second_at_) return;
    second_begun_ = true;
    const Act& act = scenario_.actors[1];
    const bool done = perform(*world_, act);
    second_returned_ = true;
    if (act.kind == Kind::fill && done) used_ = look(*world_, scenario_);
  }

  // A machine that begins in `to` with what a crash leaves of `from`, and recovers until `stop_at`.
  std::unique_ptr<CrashWorld> recovered(PersistentMemory& to, const PersistentMemory& from, std::vector<u32>& script,
                                        u32 stop_at) const
  {
    to.become_crashed(from, &script);
    auto w = std::make_unique<CrashWorld>(to);
    w->size_word = to.words(PersistentMemory::base);
    (void)to.adopt(PersistentMemory::base, 0);
    w->object.bytes = to.load(w->size_word);
    w->object.primary = {world_->object.primary.root, {}, {}, primary_tree, PrimaryFormat::id, scenario_.root_level};
    w->stop_at = stop_at;
    CrashPlatform p(*w);
    try {
      status_ = recover(p, w->object);
    } catch (const CrashWorld::Stopped&) {
    }
    return w;
  }

  std::string judge_cut_recovery(std::vector<u32> script, u32 stop) const
  {
    (void)recovered(stage_.cut, stage_.run, script, stop);
    std::vector<u32> again;
    do {
      const auto image = recovered(stage_.image, stage_.cut, again, 0);
      const std::string found = verdict_of(*image);
      if (!found.empty()) return found + " (recovery was cut off at its access " + std::to_string(stop) + ")";
    } while (PersistentMemory::advance(again, stage_.image.options));
    return {};
  }

  std::string verdict_of(CrashWorld& image) const
  {
    if (!status_) return std::string("I6 recovery: ") + error_name(status_.error());
    const Snapshot found = look(image, scenario_);
    const auto snapshots = allowed_.of(first_returned_, second_begun_, second_returned_);
    for (const u64 page : scenario_.pages) {
      const PageState& state = found.pages.at(page);
      const auto is_state = [&](const Snapshot* s) { return s->pages.at(page) == state; };
      if (used_ && scenario_.actors[1].range.contains(page) && used_->pages.at(page) != state)
        return "I6 a page that a view gave out is lost: " + describe(page, state);
      if (std::none_of(snapshots.begin(), snapshots.end(), is_state))
        return "I6 a page is as no operation left it: " + describe(page, state);
    }
    if (std::none_of(snapshots.begin(), snapshots.end(), [&](const Snapshot* s) { return s->bytes == found.bytes; }))
      return "I6 the size is as no operation left it: " + std::to_string(found.bytes);
    return {};
  }
  // An object that recovery made whole is one to work with: its pages are populated and go to a view, and nothing is
  // left in use when it has ended, however it came through the crash.
  std::string use_to_the_end(CrashWorld& image) const
  {
    CrashPlatform p(image);
    Object& o = image.object;
    if (const Status s = use_pages(p, image); !s) return std::string("I6 after recovery: ") + error_name(s.error());
    for (const u64 page : scenario_.pages)
      if (look(image, scenario_).pages.at(page).mapped) return "I6 after recovery unmap leaves " + name_of(page);
    destroy(p, o);
    const u64 left = image.memory.used_pages() - 1;  // that of the size
    return left ? "I6 after recovery " + std::to_string(left) + " pages stay in use" : std::string();
  }

  Status use_pages(CrashPlatform& p, CrashWorld& image) const
  {
    Object& o = image.object;
    if (const Status s = add_view(p, o, image.view, FormatId::ept, view_number); !s) return s;
    for (const u64 page : scenario_.pages) {
      if (page >= o.bytes) continue;
      if (const auto made = populate(p, o, {page, page + page_bytes}, rights_rw, 0); !made) return made.error();
      if (const auto filled = fill(p, o, image.view, page, right_read); !filled) return filled.error();
    }
    if (o.bytes != 0)
      if (const auto unmapped = unmap(p, o, {0, o.bytes}); !unmapped) return unmapped.error();
    drop_view(p, o, image.view);
    return {};
  }

  static std::string name_of(u64 page) { return to_text(Range{page, page + page_bytes}); }
  static std::string describe(u64 page, const PageState& s)
  {
    if (!s.mapped) return name_of(page) + " is a hole";
    return name_of(page) + " has rights " + std::to_string(s.rights) + " and content " + std::to_string(s.content);
  }

  CrashStage& stage_;
  const Scenario& scenario_;
  const Allowed& allowed_;
  const u32 second_at_;
  std::unique_ptr<CrashWorld> world_;
  bool first_returned_ = false, second_begun_ = false, second_returned_ = false;
  std::optional<Snapshot> used_;  // what a fill had given out when it returned
  mutable Status status_;
};

std::string token_of(const Scenario& scenario, const CrashPoint& at)
{
  std::string text = to_text(scenario);
  std::replace(text.begin(), text.end(), ' ', '+');
  text += "@b" + std::to_string(at.second_at) + "c" + std::to_string(at.crash_at) + "i";
  for (std::size_t i = 0; i < at.script.size(); ++i) text += (i ? "." : "") + std::to_string(at.script[i]);
  return text;
}

// Every memory that this crash can leave.
void judge_all(const Scenario& scenario, const CrashRun& run, CrashPoint at, CrashVerdict& verdict)
{
  ++verdict.crashes;
  u64 images = 0;
  for (std::vector<u32> options; verdict.violation.empty();) {
    verdict.violation = run.judge(at.script, options);
    ++verdict.images;
    if (++images > max_images) verdict.violation = "more than " + std::to_string(max_images) + " memories of one crash";
    if (!verdict.violation.empty()) verdict.token = token_of(scenario, at);
    if (!PersistentMemory::advance(at.script, options)) return;
  }
}

void check_acts(const Scenario& scenario)
{
  const std::size_t acts = scenario.actors.size();
  const bool waits = acts == 2 && (scenario.actors[1].kind == Kind::merge);
  if (acts < 1 || acts > 2 || waits || scenario.actors[0].kind == Kind::fill)
    throw session::Failure(session::Exit::usage, "crashes of a scenario", std::to_string(acts) + " acts behind --",
                           "One or two; the first changes the primary, the second does not wait for others.");
}

}  // namespace

CrashVerdict crash_everywhere(const Scenario& scenario)
{
  check_acts(scenario);
  CrashStage stage(scenario);
  const Allowed allowed(stage);
  CrashVerdict verdict;
  for (u32 second_at = scenario.actors.size() > 1 ? 1 : 0; verdict.violation.empty(); ++second_at) {
    u32 crash_at = 1;
    for (; verdict.violation.empty(); ++crash_at) {
      const CrashRun run(stage, allowed, second_at, crash_at);
      judge_all(scenario, run, {second_at, crash_at, {}}, verdict);
      if (!run.crashed()) {  // it came to its end: what has returned must stay
        if (second_at == 0 || !run.second_ran()) return verdict;
        break;
      }
    }
  }
  return verdict;
}

bool is_crash_token(std::string_view token)
{
  const std::size_t at = token.rfind('@');
  return at != token.npos && token.substr(at + 1, 1) == "b";
}

CrashVerdict replay_crash(const std::string& token)
{
  const auto wrong = [&](const std::string& found) {
    return session::Failure(session::Exit::usage, "token of a crash", found,
                            "It is a scenario with + between its words, and @b0c12i0.2.1 behind it.");
  };
  const std::size_t at = token.rfind('@');
  if (at == token.npos) throw wrong("it has no @");
  std::string words = token.substr(0, at);
  std::replace(words.begin(), words.end(), '+', ' ');
  const Scenario scenario = parse_scenario(words);
  check_acts(scenario);

  CrashPoint point;
  const char* text = token.c_str() + at + 1;
  const char* const end = token.c_str() + token.size();
  const auto number = [&](char letter) {
    u32 value = 0;
    if (text == end || *text != letter) throw wrong(std::string("'") + letter + "' is missing");
    const auto [next, error] = std::from_chars(text + 1, end, value);
    if (error != std::errc()) throw wrong(std::string("no number behind '") + letter + "'");
    text = next;
    return value;
  };
  point.second_at = number('b');
  point.crash_at = number('c');
  if (text + 1 == end && *text == 'i') text = end;  // no line was uncertain
  char letter = 'i';
  while (text != end) {
    point.script.push_back(number(letter));
    letter = '.';
  }

  CrashStage stage(scenario);
  const Allowed allowed(stage);
  const CrashRun run(stage, allowed, point.second_at, point.crash_at);
  CrashVerdict verdict{.violation = {}, .token = token, .crashes = 1, .images = 1, .story = {}};
  std::vector<u32> options;
  verdict.story = run.story(point.script);
  verdict.violation = run.judge(point.script, options);
  return verdict;
}

}  // namespace morsel::sim
