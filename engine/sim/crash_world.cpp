// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/crash_world.hpp"

namespace morsel::sim {

// The last one out releases what was retired: every section that could reach it is over.
void CrashBase::leave()
{
  if (--w_.inside != 0 || w_.stopped) return;
  const RetiredList over = std::exchange(w_.retired, {});
  CrashPlatform p(w_);
  for (const RetiredTable& t : over.tables) release(p, t);
  for (const RetiredFrame& f : over.frames) free_frame(f.frame, f.level);
}

void CrashBase::retire(SyncPoint, Retired& retired)
{
  auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(w_.retired.tables, retired.tables);
  append(w_.retired.frames, retired.frames);
  retired = {};
}

void CrashBase::copy_frame(SyncPoint, PhysAddr from, PhysAddr to, Level level)
{
  w_.access();
  for (u64 page = 0; page < entry_bytes<PrimaryFormat>(level); page += page_bytes)
    *w_.memory.content(to + page) = w_.memory.load(w_.memory.content(from + page));
}

// A write-back and its fence are one access: what a crash between them leaves, a crash before both leaves, too, because
// any line may have been evicted. A plan may take the fence away without the write-back (Twist::unfenced).
template <class WriteBack>
void CrashBase::persist_by(SyncPoint at, WriteBack&& write_back)
{
  w_.access();
  if (w_.stopped) return;
  const FaultRule* const rule = w_.faults.find({.point = at, .tree = primary_tree});
  if (rule && rule->action == MORSEL_FAULT_DROP) return;
  write_back();
  if (!rule || rule->twist != Twist::unfenced) w_.memory.fence();
}

void CrashBase::persist(SyncPoint at, const u64* words, u64 bytes)
{
  persist_by(at, [&] { w_.memory.write_back(words == &w_.object.bytes ? w_.size_word : words, bytes); });
}

void CrashBase::persist_frame(SyncPoint at, PhysAddr frame, Level level)
{
  persist_by(at, [&] {
    for (u64 page = 0; page < entry_bytes<PrimaryFormat>(level); page += page_bytes)
      w_.memory.write_back(w_.memory.content(frame + page), line_bytes);
  });
}

}  // namespace morsel::sim
