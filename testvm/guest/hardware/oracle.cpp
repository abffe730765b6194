// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/oracle.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <string>

#include "engine/format/ept.hpp"
#include "engine/format/npt.hpp"
#include "testvm/guest/hardware/lab.hpp"
#include "testvm/guest/hardware/outcome.hpp"

namespace morsel::guest {
namespace {

constexpr u32 frame_page = lab_first_free;

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

// The tables of a view, walked by hardware's second stage.
template <class F, class HowWrong>
struct SecondStage {
  using Format = F;
  using Mistakes = HowWrong;
  static constexpr std::string_view name = F::name;
  static constexpr u32 tables[] = {lab_level_0, lab_level_1, lab_level_2, lab_root};  // by level
  static constexpr u32 index[] = {0, 0, 1, 0};
  static constexpr u64 start = tested_place;
  static u64 base(const Lab& lab) { return lab.address(0).value; }
  static inspect::PhysicalMemory memory(const Lab& lab) { return lab.memory(); }
  static morsel_vcpu_run access(Lab& lab, Rights want, u64 place) { return lab.access(want, place); }
};

// The guest's own tables, as those of a process.
struct OwnStage {
  using Format = Amd64L4;
  using Mistakes = Amd64Mistakes<Amd64L4>;
  static constexpr std::string_view name = "amd64";
  static constexpr u32 tables[] = {lab_guest_pt, lab_guest_pd, lab_guest_pdpt, lab_guest_pml4};
  static constexpr u32 index[] = {0, 0, 0, 3};
  static constexpr u64 start = small_pages;
  static u64 base(const Lab&) { return lab_place; }
  static inspect::PhysicalMemory memory(const Lab& lab) { return lab.guest_memory(); }
  static morsel_vcpu_run access(Lab& lab, Rights want, u64 place)
  {
    return lab.access_in_guest(want, lab.page(lab_guest_pml4)[3], place);
  }
};

template <class Stage>
class Maker {
 public:
  using F = typename Stage::Format;
  using Mistakes = typename Stage::Mistakes;

  Maker(Lab& lab, u64 seed) : lab_(lab), random_(seed) {}

  // A path of four words, one at each level, good or a little wrong. Returns where it leads from.
  u64 make()
  {
    for (Level level = 0; level < 4; ++level) entry(level) = 0;
    const Level leaf_level = static_cast<Level>(pick(random_, 8) < 5 ? 0 : 1 + pick(random_, 2));
    for (Level level = 3; level > leaf_level; --level)
      entry(level) =
          Mistakes::spoiled(taken(F::make_table({address(Stage::tables[level - 1])}, level)), level, random_);
    const u64 frame = align_down(address(leaf_level == 0 ? frame_page : 0), entry_bytes<F>(leaf_level));
    const Rights rights = Rights::from_bits(static_cast<u8>(1 | pick(random_, 4) << 1));
    u64 word = F::make_leaf({frame}, leaf_level, {rights, pick(random_, 2) != 0, pick(random_, 2) != 0});
    if (pick(random_, 3) == 0) word |= random_() & Mistakes::software_bits;
    entry(leaf_level) = Mistakes::spoiled(word, leaf_level, random_);
    return Stage::start + (address(frame_page) & (entry_bytes<F>(leaf_level) - 1));
  }
  Rights right()
  {
    constexpr Rights all[] = {right_read, right_write, right_exec};
    return all[pick(random_, 3)];
  }
  u64& entry(Level level) { return lab_.page(Stage::tables[level])[Stage::index[level]]; }
  u64 address(u32 page) const { return Stage::base(lab_) + u64{page} * page_bytes; }

 private:
  u64 taken(u64 word)
  {
    word = Mistakes::rights_taken(word, random_);
    return pick(random_, 3) == 0 ? word & ~(F::accessed_bit | F::dirty_bit) : word;
  }

  Lab& lab_;
  Random random_;
};

template <class Stage>
void show(Maker<Stage>& maker, u64 number, Rights want, WalkOutcome engine, WalkOutcome machine,
          const morsel_vcpu_run& run)
{
  std::printf("table %" PRIu64 ", right %u: the engine says %s, the machine %s (result %u access %#x exit %#llx)\n",
              number, want.bits(), std::string(outcome_word(engine)).c_str(),
              std::string(outcome_word(machine)).c_str(), run.result, run.access, run.exit_code);
  for (Level level = 4; level-- > 0;) std::printf("  level %u: %016" PRIx64 "\n", level, maker.entry(level));
}

template <class Stage>
bool agree(Lab& lab, u64 count, u64 seed)
{
  lab.reset();
  Maker<Stage> maker(lab, seed);
  std::array<u64, walk_outcomes + 1> seen{};
  u64 differing = 0;
  for (u64 number = 0; number < count; ++number) {
    const u64 place = maker.make();
    const Rights want = maker.right();
    // The engine first: hardware changes accessed and dirty bits.
    const inspect::TreeSource source{Stage::Format::id, {maker.address(Stage::tables[3])}, 3};
    const auto engine =
        outcome_of<typename Stage::Format>(inspect::trace_walk(Stage::memory(lab), source, place, want));
    const morsel_vcpu_run run = Stage::access(lab, want, place);
    const auto machine = outcome_of(run);
    ++seen[static_cast<u8>(engine)];
    if (engine == machine && engine != WalkOutcome::unknown) continue;
    if (++differing <= 10) show(maker, number, want, engine, machine, run);
  }
  bool enough = true;
  std::printf("%s: ", std::string(Stage::name).c_str());
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
  const bool second = is_npt ? agree<SecondStage<Npt, Amd64Mistakes<Npt>>>(lab, count, seed)
                             : agree<SecondStage<EptL4, EptMistakes<EptL4>>>(lab, count, seed);
  const bool own = agree<OwnStage>(lab, count, seed);
  return second && own ? 0 : 1;
}

}  // namespace morsel::guest
