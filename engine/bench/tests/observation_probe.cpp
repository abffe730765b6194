// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's hot paths, compiled once for each platform that MORSEL_PROBE names; observation_test.py compares the
// code. `Bare` knows nothing of points. `Observable<...>` hands every access, by its point, to an observer: to Nobody,
// who looks at none of it, or to a Counter, who shows that the comparison can tell.
#include "engine/bench/bench_platform.hpp"

namespace morsel::bench {

using Bare = BenchPlatform<Access::live>;

struct Nobody {
  void saw(SyncPoint, const EntryRef&, u64, u64) {}
};
struct Counter {
  void saw(SyncPoint at, const EntryRef& e, u64 before, u64 after)
  {
    if (before != after) ++changes[static_cast<u8>(at)][e.tree == primary_tree];
  }
  std::array<std::array<u32, 2>, all_points.size()> changes{};
};

template <class Observer>
class Observable : public Bare {
 public:
  using Bare::Bare;
  u64 load(SyncPoint at, const EntryRef& e)
  {
    const u64 word = Bare::load(at, e);
    observer_.saw(at, e, word, word);
    return word;
  }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    const u64 before = Bare::exchange(at, e, desired);
    observer_.saw(at, e, before, desired);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    const bool done = Bare::compare_exchange(at, e, expected, desired);
    observer_.saw(at, e, expected, done ? desired : expected);
    return done;
  }
  u32 read(SyncPoint at, TreeId tree, const morsel::Counter& counter)
  {
    const u32 value = Bare::read(at, tree, counter);
    observer_.saw(at, {nullptr, 0, tree, 0}, value, value);
    return value;
  }

 private:
  [[no_unique_address]] Observer observer_;
};

using Probed = MORSEL_PROBE;
static_assert(Platform<Probed>);

extern "C" {

u64 probe_walk(Probed& p, const Tree& tree, u64 offset)
{
  const auto leaf = lookup_in<PrimaryFormat>(p, SyncPoint::find, tree, offset);
  return leaf ? leaf->frame.value : 0;
}

int probe_fill(Probed& p, Object& object, View& view, u64 offset)
{
  return static_cast<int>(Filler<EptL4, Probed>(p, object, view, offset, right_read).run().error());
}

int probe_populate(Probed& p, Object& object, u64 start, u64 end)
{
  return static_cast<int>(populate(p, object, {start, end}, rights_rw, 0).error());
}

int probe_unmap(Probed& p, Object& object, u64 start, u64 end)
{
  return static_cast<int>(unmap(p, object, {start, end}).error());
}

}  // extern "C"

}  // namespace morsel::bench
