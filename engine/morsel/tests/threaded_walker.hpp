// SPDX-License-Identifier: GPL-2.0-or-later
//
// Hardware that walks, for stress tests: a thread's walk from the root to memory is one piece, as a flush sees it. A
// flush returns when every walk that began before it is over; what is copied elsewhere does not change meanwhile.
#pragma once
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>

#include "engine/sim/threaded_platform.hpp"

namespace morsel::sim {

// Held by each walk, and waited for by whoever flushes.
class Walks {
 public:
  [[nodiscard]] std::shared_lock<std::shared_mutex> walk() { return std::shared_lock(mutex_); }
  [[nodiscard]] std::unique_lock<std::shared_mutex> keep_still() { return std::unique_lock(mutex_); }

 private:
  std::shared_mutex mutex_;
};

class WalkedPlatform : public ThreadedPlatform {
 public:
  WalkedPlatform(ThreadedWorld& world, Walks& walks, u32 thread) : ThreadedPlatform(world, thread), walks_(walks) {}

  void flush(SyncPoint at, const FlushRequest& request)
  {
    const auto still = walks_.keep_still();
    ThreadedPlatform::flush(at, request);
  }
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
  {
    const auto still = walks_.keep_still();
    ThreadedPlatform::copy_frame(at, from, to, level);
  }

  // One access of the word at `offset`, a multiple of 8: sets accessed and dirty bits as the format has them. Nothing:
  // the walk faults.
  std::optional<u64> access(const Tree& tree, u64 offset, std::optional<u64> written = std::nullopt)
  {
    const auto walking = walks_.walk();
    enter();
    const std::optional<u64> found = walk(tree, offset, written);
    leave();
    return found;
  }

 private:
  std::optional<u64> walk(const Tree& tree, u64 offset, std::optional<u64> written)
  {
    const FormatInfo& format = *find_format(tree.format);
    const u64 bits = format.accessed_bit | (written ? format.dirty_bit : 0);
    for (;;) {
      const Expected<Leaf> leaf = lookup(*this, SyncPoint::load, tree, offset);
      if (!leaf || !leaf->rights.includes(written ? right_write : right_read)) return std::nullopt;
      if (!compare_exchange(SyncPoint::load, leaf->entry, leaf->word, leaf->word | bits)) continue;
      if (++accesses_ % 32 == 0) std::this_thread::yield();  // so that others meet a walk in the middle
      const std::atomic_ref word(*(words(leaf->frame) + (offset & (page_bytes - 1)) / sizeof(u64)));
      if (written) word.store(*written);
      return word.load();
    }
  }

  Walks& walks_;
  u64 accesses_ = 0;
};

}  // namespace morsel::sim
