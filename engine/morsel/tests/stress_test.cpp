// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fillers, mutators and a thread that adds and drops views, all at once on real atomics (ThreadSanitizer runs this
// too). When they have stopped, every view lies within the primary (I1), no flush is pending, and nothing is leaked
// (I3).
#include <gtest/gtest.h>

#include <barrier>
#include <random>
#include <thread>

#include "engine/sim/threaded_platform.hpp"

namespace morsel::sim {
namespace {

constexpr u64 MiB = u64{1} << 20;
constexpr u64 object_bytes = 4 * MiB;
constexpr std::array formats{FormatId::ept, FormatId::npt, FormatId::amd64};
constexpr int rounds = 20'000;

class Stress {
 public:
  Stress() : world_(u64{1024} * MiB)
  {
    ThreadedPlatform p = door(0);
    EXPECT_TRUE(create(p, object_, object_bytes, 1));
    for (std::size_t i = 0; i < formats.size(); ++i)
      EXPECT_TRUE(add_view(p, object_, views_[i], formats[i], static_cast<TreeId>(i + 1)));
  }

  void run(u64 seed)
  {
    std::vector<std::thread> threads;
    std::barrier start(7);
    auto spawn = [&](u32 number, auto body) {
      threads.emplace_back([&, number, body] {
        ThreadedPlatform p = door(number);
        std::mt19937_64 random(seed * 100 + number);
        start.arrive_and_wait();
        for (int i = 0; i < rounds; ++i) body(p, random);
      });
    };
    for (u32 n = 1; n <= 3; ++n)
      spawn(n, [this](ThreadedPlatform& p, std::mt19937_64& random) { fill_something(p, random); });
    for (u32 n = 4; n <= 5; ++n)
      spawn(n, [this](ThreadedPlatform& p, std::mt19937_64& random) { change_something(p, random); });
    spawn(6, [this](ThreadedPlatform& p, std::mt19937_64& random) {
      if (random() % 64 == 0) replace_extra_view(p);
    });
    spawn(7, [this](ThreadedPlatform& p, std::mt19937_64& random) {
      if (random() % 32 == 0) wait_for_others(p, random);
    });
    for (std::thread& t : threads) t.join();
  }

  // Nobody runs any more.
  void check()
  {
    ThreadedPlatform p = door(0);
    for (const View& v : views_) {
      EXPECT_EQ(v.tree.pending.value, 0u);
      for (u64 o = 0; o < object_bytes; o += page_bytes) {
        const Expected<Leaf> leaf = lookup(p, SyncPoint::load, v.tree, o);
        if (!leaf) continue;
        const Expected<Leaf> truth = lookup(p, SyncPoint::load, object_.primary, o);
        ASSERT_TRUE(truth) << "stale: view " << v.tree.id << " offset " << o;
        ASSERT_EQ(leaf->frame, truth->frame) << "view " << v.tree.id << " offset " << o;
        ASSERT_TRUE(truth->rights.includes(leaf->rights)) << "view " << v.tree.id << " offset " << o;
      }
    }
    EXPECT_EQ(object_.primary.pending.value, 0u);
    for (View& v : views_) drop_view(p, object_, v);
    if (extra_) drop_view(p, object_, *extra_);
    destroy(p, object_);
    p.release_expired();
    EXPECT_EQ(world_.arena().used_pages(), 0u) << "leaked";
  }

 private:
  ThreadedPlatform door(u32 thread)
  {
    ThreadedPlatform p(world_, thread);
    for (std::size_t i = 0; i < formats.size(); ++i) p.set_format(static_cast<TreeId>(i + 1), formats[i]);
    p.set_format(extra_number, FormatId::ept_l5);
    return p;
  }
  static Range some_range(std::mt19937_64& random)
  {
    const u64 pages = object_bytes / page_bytes;
    const u64 first = random() % 40 + (random() % 2) * 500;  // few places, so that they meet; across a table's edge
    return {first * page_bytes, std::min(pages, first + 1 + random() % 16) * page_bytes};
  }
  void fill_something(ThreadedPlatform& p, std::mt19937_64& random)
  {
    View& v = views_[random() % views_.size()];
    const Rights want = random() % 2 ? right_read : right_write;
    const auto r = fill(p, object_, v, some_range(random).start, want);
    if (!r && r.error() != Error::needs_populate && r.error() != Error::access_denied && r.error() != Error::no_memory)
      ADD_FAILURE() << error_name(r.error());
  }
  void change_something(ThreadedPlatform& p, std::mt19937_64& random)
  {
    const Range r = some_range(random);
    switch (random() % 10) {
      case 0: return expect_done(unmap(p, object_, {0, object_bytes}));
      case 1: return expect_done(populate(p, object_, {0, 2 * MiB}, rights_rw, 1));
      case 2: return expect_done(unmap(p, object_, r));
      case 3: return expect_done(protect(p, object_, r, right_read));
      case 4: return expect_done(protect(p, object_, r, rights_rw));
      case 5: return expect_done(migrate(p, object_, r));
      case 6: return expect_done(split(p, object_, r, 0));
      default: return expect_done(populate(p, object_, r, rights_rw, 0));
    }
  }
  // The operations that end with somebody else's.
  void wait_for_others(ThreadedPlatform& p, std::mt19937_64& random)
  {
    if (random() % 2) return expect_done(merge(p, object_, {0, object_bytes}, 1));
    struct Ignored {
      void accessed(Range) {}
      void dirty(Range) {}
    } report;
    EXPECT_TRUE(harvest(p, object_, {0, object_bytes}, report));
  }
  // While a thread is suspended in a section, what waits for it may use up the memory.
  template <class T>
  static void expect_done(const Expected<T>& result)
  {
    if (!result && result.error() != Error::no_memory) ADD_FAILURE() << error_name(result.error());
  }
  // A view that comes and goes while the mutators read the list. Its memory is kept: a mutator may still hold it.
  void replace_extra_view(ThreadedPlatform& p)
  {
    if (extra_) {
      drop_view(p, object_, *extra_);
      extra_ = nullptr;
      return;
    }
    extras_.push_back(std::make_unique<View>());
    const Status added = add_view(p, object_, *extras_.back(), FormatId::ept_l5, extra_number);
    EXPECT_TRUE(added || added.error() == Error::no_memory);
    if (!added) return;
    extra_ = extras_.back().get();
    (void)fill(p, object_, *extra_, 0, right_read);
  }

  static constexpr TreeId extra_number = 9;
  ThreadedWorld world_;
  Object object_;
  std::array<View, formats.size()> views_;
  std::vector<std::unique_ptr<View>> extras_;
  View* extra_ = nullptr;
};

TEST(Stress, FillersAndMutatorsKeepEveryViewWithinThePrimary)
{
  for (u64 seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Stress stress;
    stress.run(seed);
    stress.check();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace morsel::sim
