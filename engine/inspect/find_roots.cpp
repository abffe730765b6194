// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/find_roots.hpp"

#include <algorithm>
#include <array>

namespace morsel::inspect {

namespace {

constexpr u64 half = 256;

class Search {
 public:
  Search(const PhysicalMemory& memory, const TreeSource& like)
      : memory_(memory), like_(like), format_(*find_format(like.format))
  {
    const MemoryWord* const words = memory.words(like.root, 2 * half);
    if (!words || sign_boundary(format_) == 0) return;
    for (u64 n = 0; n < half; ++n) kernel_[n] = target(words[half + n]);
    known_ = std::any_of(kernel_.begin(), kernel_.end(), [](u64 t) { return t != 0; });
  }

  std::vector<FoundRoot> run() const
  {
    std::vector<FoundRoot> found;
    if (!known_) return found;
    for (const MemorySegment& s : memory_.segments())
      for (u64 at = 0; at < s.bytes; at += page_bytes)
        if (const MemoryWord* const words = reinterpret_cast<const MemoryWord*>(s.host + at); is_root(words))
          found.push_back({PhysAddr{s.start + at}, user_entries(words)});
    return found;
  }

 private:
  // Where the entry points, without what hardware and the system change in it.
  u64 target(u64 word) const
  {
    return is_present(like_.format, word) ? format_.address_bits(word, like_.root_level) | 1 : 0;
  }

  bool is_root(const MemoryWord* words) const
  {
    for (u64 n = 0; n < half; ++n)
      if (target(words[half + n]) != kernel_[n]) return false;
    for (u64 n = 0; n < half; ++n) {
      const EntryKind kind = kind_of(format_, Maker::foreign, words[n], like_.root_level);
      const bool possible = kind == EntryKind::hole ||
                            (kind == EntryKind::table && memory_.words(format_.address(words[n], like_.root_level), 1));
      if (!possible) return false;
    }
    return true;
  }

  u64 user_entries(const MemoryWord* words) const
  {
    u64 count = 0;
    for (u64 n = 0; n < half; ++n) count += is_present(like_.format, words[n]);
    return count;
  }

  const PhysicalMemory& memory_;
  const TreeSource& like_;
  const FormatInfo& format_;
  std::array<u64, half> kernel_{};
  bool known_ = false;
};

}  // namespace

std::vector<FoundRoot> find_roots(const PhysicalMemory& memory, const TreeSource& like)
{
  return Search(memory, like).run();
}

}  // namespace morsel::inspect
