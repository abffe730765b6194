// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <string>
#include <utility>

#include "testvm/guest/hardware/device_outcome.hpp"
#include "testvm/guest/hardware/device_rows.hpp"

namespace morsel::guest {
namespace {

using F = DeviceLab::Format;

constexpr u32 tables[] = {DeviceLab::level_0, DeviceLab::level_1, DeviceLab::level_2, DeviceLab::root};  // by level
constexpr u64 first_place = u64{3} << 30, last_place = u64{1} << 39;  // the lab itself lies below
constexpr u64 written_block = 512, written_value = 0x5eed;

class Maker {
 public:
  Maker(DeviceLab& lab, u64 seed) : lab_(lab), random_(seed)
  {
    lab.prepare_write(written_value);
    for (u32 page = DeviceLab::first_free; page < DeviceLab::pages; ++page) lab.page(page)[0] = page;
  }

  // A path of four words, one at each level, anywhere in its table (the root has one that counts); good or a little
  // wrong. It leads from place() to one of the pages with a number.
  void make()
  {
    for (Level level = 0; level < 4; ++level) entry(level) = 0;
    const Level leaf_level = static_cast<Level>(pick(8) < 5 ? 0 : 1 + pick(2));
    const u64 inside = entry_bytes<F>(leaf_level) - 1;
    page_ = DeviceLab::first_free + static_cast<u32>(pick(DeviceLab::pages - DeviceLab::first_free));
    place_ = ((pick(last_place - first_place) + first_place) & ~inside) | (lab_.address(page_).value & inside);
    for (Level level = 3; level > leaf_level; --level) entry(level) = spoiled(rights_taken(table(level)), level);
    u64 word = F::make_leaf({align_down(lab_.address(page_).value, inside + 1)}, leaf_level, {rights_rw, false, false});
    if (pick(3) == 0) word |= random_() & ignored_bits;
    entry(leaf_level) = spoiled(rights_taken(word), leaf_level);
  }
  Rights right() { return pick(2) ? right_read : right_write; }
  u64& entry(Level level) { return lab_.page(tables[level])[place_ >> (12 + 9 * level) & 511]; }
  std::array<u64, 4> entries() { return {entry(0), entry(1), entry(2), entry(3)}; }
  u64 table(Level level) const { return F::make_table(lab_.address(tables[level - 1]), level); }
  u64 place() const { return place_; }
  u32 page() const { return page_; }

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
  u64 place_ = first_place;
  u32 page_ = DeviceLab::first_free;
};

// One walk by both, and whatever they do not agree on.
class Comparison {
 public:
  Comparison(DeviceLab& lab, Maker& maker) : lab_(lab), maker_(maker)
  {
    maker.make();
    want_ = maker.right();
    before_ = maker.entries();
    const inspect::TreeSource source{F::id, lab.address(DeviceLab::root), 3};
    trace_ = inspect::trace_walk(lab.memory(), source, maker.place(), want_);
    engine_ = outcome_of(trace_, want_);
    // A write leaves the page its number.
    dma_ = lab.access(want_, maker.place() + (want_.write() ? written_block : 0), true);
    machine_ = outcome_of(dma_);
  }
  DeviceOutcome outcome() const { return machine_; }
  // Empty: they agree.
  std::string difference()
  {
    if (engine_ != machine_ || engine_ == DeviceOutcome::unknown) return "the outcome";
    if (maker_.entries() != before_) return "an entry was changed";
    if (engine_ == DeviceOutcome::allowed) return difference_of_allowed();
    return align_down(dma_.fault, page_bytes) == maker_.place() && dma_.access == want_.bits() ? ""
                                                                                               : "the fault's record";
  }
  void show(u64 number, const std::string& what) const
  {
    std::printf("table %" PRIu64 ", %s at %#" PRIx64
                ": %s; the engine says %s, the machine %s (result %u reason %u "
                "fault %#llx access %#x)\n",
                number, want_.write() ? "write" : "read", maker_.place(), what.c_str(),
                std::string(outcome_word(engine_)).c_str(), std::string(outcome_word(machine_)).c_str(), dma_.result,
                dma_.reason, dma_.fault, dma_.access);
    for (Level level = 4; level-- > 0;) std::printf("  level %u: %016" PRIx64 "\n", level, before_[level]);
  }

 private:
  std::string difference_of_allowed()
  {
    if (trace_.target != lab_.address(maker_.page())) return "where the engine's walk leads";
    if (want_.write()) {
      u64& word = lab_.page(maker_.page())[written_block / sizeof(u64)];
      return std::exchange(word, 0) == written_value ? "" : "where the machine's write goes";
    }
    maker_.entry(3) = maker_.table(3);  // the drive is to write by it what it has read
    return lab_.last_read() == maker_.page() ? "" : "where the machine's walk leads";
  }

  DeviceLab& lab_;
  Maker& maker_;
  Rights want_;
  std::array<u64, 4> before_;
  inspect::WalkTrace trace_;
  DeviceOutcome engine_, machine_;
  morsel_dma dma_;
};

}  // namespace

int compare_device_walks(u64 count, u64 seed)
{
  std::printf("again: morsel-hardware --vtd-oracle %" PRIu64 " --seed %" PRIu64 "\n", count, seed);
  DeviceLab lab;
  Maker maker(lab, seed);
  std::array<u64, device_outcomes + 1> seen{};
  u64 differing = 0;
  for (u64 number = 0; number < count; ++number) {
    Comparison comparison(lab, maker);
    ++seen[static_cast<u8>(comparison.outcome())];
    const std::string difference = comparison.difference();
    if (!difference.empty() && ++differing <= 10) comparison.show(number, difference);
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
