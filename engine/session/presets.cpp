// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/presets.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace morsel::session {

namespace {

constexpr PhysAddr sample_frame{u64{1} << 30};

u64 sample_leaf(FormatId format, Rights rights)
{
  return AllFormats::dispatch(format, u64{0}, [&]<class F>() {
    return F::make_leaf(sample_frame, 0, {rights, true, false});
  });
}

// The highest bit that, once flipped, makes `word` into something that hardware refuses; of those that `from` has.
u64 refused_bit(FormatId format, u64 word, u64 from)
{
  const FormatInfo& f = *find_format(format);
  for (int bit = 63; bit >= 0; --bit)
    if (const u64 mask = u64{1} << bit; (from & mask) && f.kind(word ^ mask, 0) == EntryKind::malformed) return mask;
  return 0;
}

// One that is zero in a good leaf, and has to be.
u64 reserved_bits(FormatId format)
{
  const u64 leaf = sample_leaf(format, rights_rw);
  return refused_bit(format, leaf, ~leaf);
}

// A right that the others need: write without read. Where others than EPT forbid it, no misconfiguration comes of it.
u64 misconfiguring_bits(FormatId format)
{
  if (!find_format(format)->name.starts_with("ept")) return 0;
  const u64 leaf = sample_leaf(format, rights_rw);
  const u64 read = leaf & sample_leaf(format, right_read) & ~sample_leaf(format, {});
  return refused_bit(format, leaf, read);
}

u64 writing_bits(FormatId format) { return sample_leaf(format, right_read) ^ sample_leaf(format, rights_rw); }

// The lowest bit of the address: the frame beside it.
u64 frame_bits(FormatId format)
{
  const FormatInfo& f = *find_format(format);
  const u64 leaf = sample_leaf(format, rights_rw);
  for (int bit = 0; bit < 64; ++bit) {
    const u64 other = leaf ^ (u64{1} << bit);
    if (f.kind(other, 0) == EntryKind::leaf && f.address(other, 0) != f.address(leaf, 0)) return leaf ^ other;
  }
  return 0;
}

u64 shifted_range(FormatId) { return u64{1} << 40; }

using Where = Preset::Where;

constexpr std::array<Preset, 9> table{{
    {"lost-invalidation", Where::view, SyncPoint::invalidate, MORSEL_FAULT_DROP, nullptr,
     "The view's entry stays where it is when the primary changes.",
     "It goes on using the old frame and the old rights, also when the frame belongs to somebody else by then.",
     "I1, I2, I3"},
    {"dropped-flush", Where::view, SyncPoint::flush, MORSEL_FAULT_DROP, nullptr,
     "The entry goes, but nobody is told to forget it.",
     "A TLB or IOTLB that holds the translation uses it until it happens to be evicted: in the embedded machine "
     "'access' shows it, and 'tlb'. (A vCPU's forgets between two accesses of a session; the journal shows it.)",
     "I2, I3"},
    {"wrong-range", Where::view, SyncPoint::flush, MORSEL_FAULT_CORRUPT, shifted_range,
     "The flush is about another range than the one that changed.",
     "As with a dropped flush. What it did flush is walked again, where hardware flushes by range: INVLPG, an IOTLB.",
     "I2, I3"},
    {"reserved-bit", Where::view, SyncPoint::publish, MORSEL_FAULT_CORRUPT, reserved_bits,
     "The leaf that a fill publishes has a bit set that has to be zero.",
     "The walk ends in a fault that says so (an EPT misconfiguration, an IOMMU's or Arm's translation fault), and no "
     "fill mends it. A leaf of AMD64 or NPT has no such bit below the CPU's physical addresses.",
     "I1"},
    {"ept-misconfiguration", Where::view, SyncPoint::publish, MORSEL_FAULT_CORRUPT, misconfiguring_bits,
     "The leaf that a fill publishes may be written and not read.",
     "A VM exit for EPT misconfiguration, not for a violation: the hypervisor has to mend the entry.", "I1"},
    {"rights-widened", Where::view, SyncPoint::publish, MORSEL_FAULT_CORRUPT, writing_bits,
     "The leaf that a fill publishes has the right to write flipped: a page that is read-only in the primary may be "
     "written through the view.",
     "Writes go through that the owner of the memory has forbidden.", "I1"},
    {"wrong-frame", Where::view, SyncPoint::publish, MORSEL_FAULT_CORRUPT, frame_bits,
     "The leaf that a fill publishes names the frame beside the right one.",
     "Reads and writes go to somebody else's memory, without any sign of it.", "I1, I3, I9"},
    {"torn-copy", Where::primary, SyncPoint::copy, MORSEL_FAULT_CORRUPT, nullptr,
     "A page that is moved or copied on write arrives by half.",
     "The CPU reads zeroes, or old contents, in the second half of the new frame.", "I9"},
    {"lost-dirty-bit", Where::primary, SyncPoint::carry, MORSEL_FAULT_DROP, nullptr,
     "A dirty bit that was taken out of an entry is forgotten.",
     "None: software loses it. The page is neither reported as written nor written back.", "I4"},
}};

}  // namespace

std::span<const Preset> presets() { return table; }

const Preset* find_preset(std::string_view name)
{
  const auto found = std::find_if(table.begin(), table.end(), [name](const Preset& p) { return p.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace morsel::session
