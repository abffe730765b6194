// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/threaded_platform.hpp"

#include <thread>

namespace morsel::sim {

void ThreadedWorld::retire(Retired retired)
{
  if (retired.tables.empty() && retired.frames.empty()) return;
  const std::lock_guard lock(mutex_);
  waiting_.push_back({epoch_.fetch_add(1) + 1, std::move(retired)});
}

// Sections that began before the new epoch may have seen the old state of things.
void ThreadedWorld::wait_for_grace_period() const
{
  const u64 now = epoch_.fetch_add(1) + 1;
  for (const Section& s : sections_)
    for (u64 began = s.began.load(); began != 0 && began < now; began = s.began.load()) std::this_thread::yield();
}

// A section that began with an epoch below the stamp may have seen what was retired under it. One that stores its
// epoch only after this scan has passed loads afterwards, and so after the unlinking.
std::vector<ThreadedWorld::Retired> ThreadedWorld::take_expired()
{
  std::vector<Retired> expired;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || waiting_.empty()) return expired;
  u64 oldest = ~u64{0};
  for (const Section& s : sections_)
    if (const u64 began = s.began.load(); began != 0 && began < oldest) oldest = began;
  while (!waiting_.empty() && waiting_.front().stamp <= oldest) {
    expired.push_back(std::move(waiting_.front().retired));
    waiting_.pop_front();
  }
  return expired;
}

void ThreadedPlatform::release_expired()
{
  for (const Retired& r : world_.take_expired()) {
    for (const RetiredTable& t : r.tables) release(*this, t);
    for (const auto& [frame, level] : r.frames) free_frame(frame, level);
  }
}

void ThreadedPlatform::note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
{
  retired.tables.push_back({tree, formats_[tree], level, table});
}

}  // namespace morsel::sim
