// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/oracle.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <string>
#include <type_traits>

#include "engine/format/ept.hpp"
#include "engine/format/npt.hpp"
#include "testvm/guest/hardware/lab.hpp"
#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/stage.hpp"

namespace morsel::guest {
namespace {

using Random = std::mt19937_64;
u64 pick(Random& random, u64 n) { return random() % n; }

bool is_large_leaf(EntryKind kind, Level level) { return level > 0 && kind == EntryKind::leaf; }

template <class F>
u64 junk_around_address(u64 word, Random& random)
{
  return (word & (F::frame_4k | F::page_size)) | (random() & ~(F::frame_4k | F::page_size));
}

// How words of a format go wrong: a right less in a table, and one word in six with something that must not be. Where
// it leads stays what it was.
template <class F>
struct Amd64Mistakes {
  static constexpr u64 software_bits = bits(11, 9) | bits(62, 52);

  static u64 rights_taken(u64 word, Random& random)
  {
    if (pick(random, 10) == 0) word &= ~F::writable;
    if (pick(random, 10) == 0) word |= F::no_execute;
    return word;
  }
  static u64 spoiled(u64 word, Level level, Random& random)
  {
    switch (pick(random, 36)) {
      case 0: return 0;
      case 1: return word & ~F::present;
      case 2: return software::make_reserved(random() & 0xffff, software::Stale::no);
      case 3: return word & ~F::user;
      case 4:
        return level == 3                                   ? word | F::page_size
               : is_large_leaf(F::kind(word, level), level) ? word | bit(13 + static_cast<unsigned>(pick(random, 7)))
                                                            : word;
      case 5: return junk_around_address<F>(word, random);
      default: return word;
    }
  }
};
template <class F>
struct EptMistakes {  // bit 12 of large leaves has a row of its own: Bochs takes no notice of it
  static constexpr u64 software_bits = bits(11, 10) | bits(62, 52);

  static u64 rights_taken(u64 word, Random& random)
  {
    if (pick(random, 10) == 0) word &= ~F::write;
    if (pick(random, 10) == 0) word &= ~F::execute;
    if (pick(random, 20) == 0) word &= ~(F::read | F::write);
    return word;
  }
  static u64 spoiled(u64 word, Level level, Random& random)
  {
    switch (pick(random, 36)) {
      case 0: return 0;
      case 1: return word & ~(F::read | F::write | F::execute);
      case 2: return software::make_reserved(random() & 0xffff, software::Stale::no);
      case 3: return word & ~F::read;
      case 4:
        return level == 3                                   ? word | F::page_size
               : is_large_leaf(F::kind(word, level), level) ? word | bit(13 + static_cast<unsigned>(pick(random, 8)))
                                                            : word ^ bit(3 + static_cast<unsigned>(pick(random, 4)));
      case 5: return junk_around_address<F>(word, random);
      default: return word;
    }
  }
};

template <class Stage>
class Maker {
 public:
  using F = typename Stage::Format;
  using Mistakes = std::conditional_t<has_present_bit<F>, Amd64Mistakes<F>, EptMistakes<F>>;

  Maker(Lab& lab, u64 seed) : lab_(lab), random_(seed)
  {
    lab.reset();
    for (u32 page = lab_first_free; page < lab_pages; ++page) {
      lab.page(page)[0] = lab.numbered(page);
      lab.page(page)[1] = ~u64{0};
    }
  }

  // A path of four words, one at each level, anywhere in its table; good or a little wrong. It leads from place() to
  // one of the pages with a number.
  void make()
  {
    for (Level level = 0; level < 4; ++level) entry(level) = 0;
    leaf_level_ = static_cast<Level>(pick(random_, 8) < 5 ? 0 : 1 + pick(random_, 2));
    page_ = lab_first_free + static_cast<u32>(pick(random_, lab_pages - lab_first_free));
    choose_place();
    for (Level level = 3; level > leaf_level_; --level)
      entry(level) =
          Mistakes::spoiled(taken(F::make_table({address(Stage::tables[level - 1])}, level)), level, random_);
    const u64 frame = align_down(address(page_), entry_bytes<F>(leaf_level_));
    const Rights rights = Rights::from_bits(static_cast<u8>(1 | pick(random_, 4) << 1));
    u64 word = F::make_leaf({frame}, leaf_level_, {rights, pick(random_, 2) != 0, pick(random_, 2) != 0});
    if (pick(random_, 3) == 0) word |= random_() & Mistakes::software_bits;
    entry(leaf_level_) = Mistakes::spoiled(word, leaf_level_, random_);
  }
  Rights right()
  {
    constexpr Rights all[] = {right_read, right_write, right_exec};
    return all[pick(random_, 3)];
  }
  u64& entry(Level level) { return lab_.page(Stage::tables[level])[place_ >> (12 + 9 * level) & 511]; }
  std::array<u64, 4> entries() { return {entry(0), entry(1), entry(2), entry(3)}; }
  u64 address(u32 page) const { return Stage::address(lab_, page); }
  u64 place() const { return place_; }
  u32 page() const { return page_; }
  Level leaf_level() const { return leaf_level_; }

 private:
  // Below the leaf the place is that of the page in it.
  void choose_place()
  {
    const u64 inside = entry_bytes<F>(leaf_level_) - 1;
    const u64 path = pick(random_, Stage::last_place - Stage::first_place) + Stage::first_place;
    place_ = (path & ~inside) | (address(page_) & inside);
  }
  u64 taken(u64 word)
  {
    word = Mistakes::rights_taken(word, random_);
    return pick(random_, 3) == 0 ? word & ~(F::accessed | F::dirty) : word;
  }

  Lab& lab_;
  Random random_;
  u64 place_ = Stage::first_place;
  u32 page_ = lab_first_free;
  Level leaf_level_ = 0;
};

// One walk by both, and whatever they do not agree on.
template <class Stage>
class Comparison {
 public:
  using F = typename Stage::Format;

  Comparison(Lab& lab, Maker<Stage>& maker, u64 number) : lab_(lab), maker_(maker), number_(number)
  {
    maker.make();
    want_ = maker.right();
    before_ = maker.entries();
    // The engine first: hardware changes accessed and dirty bits.
    const inspect::TreeSource source{F::id, {maker.address(Stage::tables[3])}, 3};
    trace_ = inspect::trace_walk(Stage::memory(lab), source, maker.place(), want_);
    engine_ = outcome_of<F>(trace_);
    // A write is of the second word, and leaves the page its number.
    place_ = maker.place() + (want_.write() ? sizeof(u64) : 0);
    run_ = Stage::access(lab, want_, canonical(place_), number);
    machine_ = outcome_of(run_);
  }
  WalkOutcome outcome() const { return engine_; }
  // Empty: they agree.
  std::string difference()
  {
    if (engine_ != machine_ || engine_ == WalkOutcome::unknown) return "the outcome";
    return engine_ == WalkOutcome::allowed ? difference_of_allowed() : difference_of_refused();
  }
  void show(const std::string& what) const
  {
    std::printf("table %" PRIu64 ", right %u at %#" PRIx64
                ": %s; the engine says %s, the machine %s (result %u "
                "access %#x violation %#llx value %#llx exit %#llx)\n",
                number_, want_.bits(), place_, what.c_str(), std::string(outcome_word(engine_)).c_str(),
                std::string(outcome_word(machine_)).c_str(), run_.result, run_.access, run_.violation, run_.value,
                run_.exit_code);
    for (Level level = 4; level-- > 0;) std::printf("  level %u: %016" PRIx64 "\n", level, before_[level]);
  }

 private:
  static u64 canonical(u64 address) { return address >> 47 & 1 ? address | bits(63, 48) : address; }

  std::string difference_of_allowed()
  {
    if (trace_.target.value != maker_.address(maker_.page())) return "where the engine's walk leads";
    if (want_.read() && run_.value != lab_.numbered(maker_.page())) return "where the machine's walk leads";
    if (want_.write() && lab_.page(maker_.page())[1] != number_) return "where the machine's write goes";
    for (Level level = maker_.leaf_level(); level < seen_levels; ++level) {
      const u64 marks = F::accessed_bit | (level == maker_.leaf_level() && want_.write() ? F::dirty_bit : 0);
      if (maker_.entry(level) != (before_[level] | marks)) return "what is set at level " + std::to_string(level);
    }
    return "";
  }
  // Of a misconfiguration no right is told.
  std::string difference_of_refused() const
  {
    const u32 told = run_.access & rights_all.bits();
    const bool tells = engine_ != WalkOutcome::malformed || has_present_bit<F>;
    if (tells ? told != want_.bits() : told != 0) return "the right that is told";
    return align_down(run_.violation, page_bytes) != align_down(canonical(place_), page_bytes) ? "the address" : "";
  }

  Lab& lab_;
  Maker<Stage>& maker_;
  u64 number_;
  Rights want_;
  std::array<u64, 4> before_;
  inspect::WalkTrace trace_;
  WalkOutcome engine_, machine_;
  u64 place_;
  morsel_vcpu_run run_;
};

template <class Stage>
bool agree(Lab& lab, u64 count, u64 seed)
{
  Maker<Stage> maker(lab, seed);
  std::array<u64, walk_outcomes + 1> seen{};
  u64 differing = 0;
  for (u64 number = 0; number < count; ++number) {
    Comparison<Stage> comparison(lab, maker, number);
    ++seen[static_cast<u8>(comparison.outcome())];
    const std::string difference = comparison.difference();
    if (!difference.empty() && ++differing <= 10) comparison.show(difference);
  }
  bool enough = true;
  std::printf("%s: ", std::string(Stage::Format::name).c_str());
  for (u32 i = 0; i < walk_outcomes; ++i) {
    const u64 least = count / 50;
    std::printf("%" PRIu64 " %s%s, ", seen[i], std::string(outcome_word(static_cast<WalkOutcome>(i))).c_str(),
                seen[i] < least ? " (too few)" : "");
    enough = enough && seen[i] >= least;
  }
  std::printf("%" PRIu64 " differ\n", differing);
  return differing == 0 && enough;
}

}  // namespace

int compare_walks(FormatId second_stage, u64 count, u64 seed)
{
  std::printf("again: morsel-hardware --oracle %" PRIu64 " --seed %" PRIu64 "\n", count, seed);
  const bool is_npt = second_stage == FormatId::npt;
  Lab lab(is_npt ? lab_format<Npt> : lab_format<EptL4>);
  bool all = is_npt ? agree<SecondStage<Npt>>(lab, count, seed) : agree<SecondStage<EptL4>>(lab, count, seed);
  // Other tables than the second stage's, whose format is almost the same.
  all = agree<OwnStage>(lab, count, seed + 1) && all;
  if (is_npt) return all ? 0 : 1;
  Lab unmarked(lab_format<EptNoAd>);
  return agree<SecondStage<EptNoAd>>(unmarked, count / 5, seed + 2) && all ? 0 : 1;
}

}  // namespace morsel::guest
