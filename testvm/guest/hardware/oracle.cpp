// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/oracle.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <random>

#include "testvm/guest/hardware/lab.hpp"
#include "testvm/guest/hardware/outcome.hpp"

namespace morsel::guest {
namespace {

constexpr u32 frame_page = lab_first_free;
constexpr u32 tables[] = {lab_level_0, lab_level_1, lab_level_2, lab_root};  // by level

class Maker {
 public:
  Maker(Lab& lab, u64 seed) : lab_(lab), random_(seed) {}

  // A path of four words, one at each level, good or a little wrong. Returns where it leads from.
  u64 make()
  {
    for (Level level = 0; level < 4; ++level) entry(level) = 0;
    const Level leaf_level = static_cast<Level>(pick(8) < 5 ? 0 : 1 + pick(2));
    for (Level level = 3; level > leaf_level; --level)
      entry(level) = spoiled(rights_taken(Npt::make_table(lab_.address(tables[level - 1]))), level);
    const u64 frame = leaf_level == 0 ? lab_.address(frame_page).value
                                      : align_down(lab_.address(0).value, entry_bytes<Npt>(leaf_level));
    const Rights rights = Rights::from_bits(static_cast<u8>(1 | pick(4) << 1));
    u64 word = Npt::make_leaf({frame}, leaf_level, {rights, pick(2) != 0, pick(2) != 0});
    if (pick(3) == 0) word |= random_() & software_bits;
    entry(leaf_level) = spoiled(word, leaf_level);
    return leaf_level == 2 ? tested_place + (lab_.address(frame_page).value & (entry_bytes<Npt>(2) - 1)) : tested_place;
  }
  Rights right()
  {
    constexpr Rights all[] = {right_read, right_write, right_exec};
    return all[pick(3)];
  }
  u64& entry(Level level) { return lab_.page(tables[level])[level == 2 ? 1 : 0]; }

 private:
  static constexpr u64 software_bits = bits(11, 9) | bits(62, 52);

  static bool is_large(u64 word, Level level) { return level > 0 && Npt::kind(word, level) == EntryKind::leaf; }

  u64 pick(u64 n) { return random_() % n; }
  u64 rights_taken(u64 word)
  {
    if (pick(10) == 0) word &= ~Npt::writable;
    if (pick(10) == 0) word |= Npt::no_execute;
    if (pick(3) == 0) word &= ~(Npt::accessed_bit | Npt::dirty_bit);
    return word;
  }
  // One word in six has something wrong. Where it leads stays what it was.
  u64 spoiled(u64 word, Level level)
  {
    switch (pick(36)) {
      case 0: return 0;
      case 1: return word & ~Npt::present;
      case 2: return software::make_reserved(random_() & 0xffff, software::Stale::no);
      case 3: return word & ~Npt::user;
      case 4:
        return level == 3              ? word | Npt::page_size
               : is_large(word, level) ? word | bit(13 + static_cast<unsigned>(pick(7)))
                                       : word;
      case 5: return (word & Npt::frame_4k) | (random_() & ~bits(51, 12) & ~Npt::page_size) | (word & Npt::page_size);
      default: return word;
    }
  }

  Lab& lab_;
  std::mt19937_64 random_;
};

void show(Maker& maker, u64 number, Rights want, WalkOutcome engine, WalkOutcome machine, const morsel_vcpu_run& run)
{
  std::printf("table %" PRIu64 ", right %u: the engine says %.*s, the machine %.*s (result %u access %#x exit %#llx)\n",
              number, want.bits(), static_cast<int>(outcome_word(engine).size()), outcome_word(engine).data(),
              static_cast<int>(outcome_word(machine).size()), outcome_word(machine).data(), run.result, run.access,
              run.exit_code);
  for (Level level = 3; level < 4; --level) std::printf("  level %u: %016" PRIx64 "\n", level, maker.entry(level));
}

}  // namespace

int compare_walks(u64 count, u64 seed)
{
  std::printf("again: morsel-hardware --oracle %" PRIu64 " --seed %" PRIu64 "\n", count, seed);
  Lab lab;
  Maker maker(lab, seed);
  std::array<u64, walk_outcomes + 1> seen{};
  u64 differing = 0;
  for (u64 number = 0; number < count; ++number) {
    const u64 place = maker.make();
    const Rights want = maker.right();
    // The engine first: hardware changes accessed and dirty bits.
    const auto engine =
        outcome_of(inspect::trace_walk(lab.memory(), {FormatId::npt, lab.address(lab_root), 3}, place, want));
    const morsel_vcpu_run run = lab.access(want, place);
    const auto machine = outcome_of(run);
    ++seen[static_cast<u8>(engine)];
    if (engine == machine && engine != WalkOutcome::unknown) continue;
    if (++differing <= 10) show(maker, number, want, engine, machine, run);
  }
  bool enough = true;
  for (u32 i = 0; i < walk_outcomes; ++i) {
    const u64 least = count / 50;
    std::printf("%s: %" PRIu64 "%s\n", std::string(outcome_word(static_cast<WalkOutcome>(i))).c_str(), seen[i],
                seen[i] < least ? " (too few)" : "");
    enough = enough && seen[i] >= least;
  }
  std::printf("%" PRIu64 " tables, %" PRIu64 " differ\n", count, differing);
  return differing == 0 && enough ? 0 : 1;
}

}  // namespace morsel::guest
