// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <string>

#include "testvm/guest/hardware/device_outcome.hpp"
#include "testvm/guest/hardware/device_rows.hpp"

namespace morsel::guest {
namespace {

using F = DeviceLab::Format;

constexpr u32 frame_page = DeviceLab::first_free;

class Maker {
 public:
  Maker(DeviceLab& lab, u64 seed) : lab_(lab), random_(seed) {}

  // A path of four words, one at each level, good or a little wrong. Returns where it leads from.
  u64 make()
  {
    for (Level level = 0; level < 4; ++level) lab_.entry(level) = 0;
    const Level leaf_level = static_cast<Level>(pick(8) < 5 ? 0 : 1 + pick(2));
    for (Level level = 3; level > leaf_level; --level) {
      constexpr u32 next[] = {0, DeviceLab::level_0, DeviceLab::level_1, DeviceLab::level_2};
      lab_.entry(level) = spoiled(rights_taken(F::make_table(lab_.address(next[level]), level)), level);
    }
    const u64 frame = align_down(lab_.address(leaf_level == 0 ? frame_page : 0).value, entry_bytes<F>(leaf_level));
    u64 word = F::make_leaf({frame}, leaf_level, {rights_rw, false, false});
    if (pick(3) == 0) word |= random_() & ignored_bits;
    lab_.entry(leaf_level) = spoiled(rights_taken(word), leaf_level);
    return DeviceLab::tested_place + (lab_.address(frame_page).value & (entry_bytes<F>(leaf_level) - 1));
  }
  Rights right() { return pick(2) ? right_read : right_write; }

 private:
  // X, EMT and IPAT, A, D, 10 and those above the address; not PS, which makes a leaf.
  static constexpr u64 ignored_bits = bits(6, 2) | bits(10, 8) | bits(61, 52) | bit(63);

  static bool is_large(u64 word, Level level) { return level > 0 && F::kind(word, level) == EntryKind::leaf; }

  u64 pick(u64 n) { return random_() % n; }
  u64 rights_taken(u64 word)
  {
    if (pick(8) == 0) word &= ~F::write;
    if (pick(8) == 0) word &= ~F::read;
    return word;
  }
  // One word in six has something wrong. Where it leads stays what it was.
  u64 spoiled(u64 word, Level level)
  {
    switch (pick(36)) {
      case 0: return 0;
      case 1: return word & ~(F::read | F::write);
      case 2: return software::make_reserved(random_() & 0xffff, software::Stale::no);
      case 3: return word | bit(62);
      case 4:
        return level == 3              ? word | F::page_size
               : is_large(word, level) ? word | bit(13 + static_cast<unsigned>(pick(7)))
                                       : word | bit(62);
      case 5: return is_large(word, level) || level == 0 ? word : word | bit(11);
      default: return word;
    }
  }

  DeviceLab& lab_;
  std::mt19937_64 random_;
};

void show(DeviceLab& lab, u64 number, Rights want, DeviceOutcome engine, const morsel_dma& dma)
{
  std::printf("table %" PRIu64 ", %s: the engine says %s, the machine %s (result %u reason %u)\n", number,
              want.write() ? "write" : "read", std::string(outcome_word(engine)).c_str(),
              std::string(outcome_word(outcome_of(dma))).c_str(), dma.result, dma.reason);
  for (Level level = 4; level-- > 0;) std::printf("  level %u: %016" PRIx64 "\n", level, lab.entry(level));
}

}  // namespace

int compare_device_walks(u64 count, u64 seed)
{
  std::printf("again: morsel-hardware --vtd-oracle %" PRIu64 " --seed %" PRIu64 "\n", count, seed);
  DeviceLab lab;
  Maker maker(lab, seed);
  std::array<u64, device_outcomes + 1> seen{};
  u64 differing = 0;
  for (u64 number = 0; number < count; ++number) {
    const u64 place = maker.make();
    const Rights want = maker.right();
    const inspect::TreeSource source{F::id, lab.address(DeviceLab::root), 3};
    const auto engine = outcome_of(inspect::trace_walk(lab.memory(), source, place, want), want);
    const morsel_dma dma = lab.access(want, place, true);
    const auto machine = outcome_of(dma);
    ++seen[static_cast<u8>(machine)];
    if (engine == machine && engine != DeviceOutcome::unknown) continue;
    if (++differing <= 10) show(lab, number, want, engine, dma);
  }
  bool enough = true;
  std::printf("vtd_second_stage: ");
  for (u32 i = 0; i < device_outcomes; ++i) {
    const u64 least = count / 50;
    std::printf("%" PRIu64 " %s%s, ", seen[i], std::string(outcome_word(static_cast<DeviceOutcome>(i))).c_str(),
                seen[i] < least ? " (too few)" : "");
    enough = enough && seen[i] >= least;
  }
  std::printf("%" PRIu64 " differ\n", differing);
  return differing == 0 && enough ? 0 : 1;
}

}  // namespace morsel::guest
