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

void CrashBase::persist(SyncPoint at, const u64* words, u64 bytes)
{
  w_.access();
  if (w_.stopped || w_.faults.decide(at, primary_tree) == MORSEL_FAULT_DROP) return;
  w_.memory.persist(words == &w_.object.bytes ? w_.size_word : words, bytes);
}

void CrashBase::persist_frame(SyncPoint at, PhysAddr frame, Level level)
{
  w_.access();
  if (w_.stopped || w_.faults.decide(at, primary_tree) == MORSEL_FAULT_DROP) return;
  for (u64 page = 0; page < entry_bytes<PrimaryFormat>(level); page += page_bytes)
    w_.memory.persist(w_.memory.content(frame + page), line_bytes);
}

}  // namespace morsel::sim
