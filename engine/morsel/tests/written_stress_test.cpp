// SPDX-License-Identifier: GPL-2.0-or-later
//
// Threads that write through nine views while others harvest, migrate, protect, split and merge (ThreadSanitizer runs
// this too). No write may be forgotten (I4), nor land in a frame that nobody reads any more (I9).
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <random>
#include <thread>
#include <vector>

#include "engine/morsel/tests/threaded_walker.hpp"

namespace morsel::sim {
namespace {

class WrittenStress {
  static constexpr u64 large = u64{2} << 20, object_bytes = 2 * large;
  static constexpr u64 places = 40;  // few, so that threads meet; half of them in small leaves, half in a large one
  static constexpr u32 writers = 3;
  static constexpr int rounds = 40'000;
  static constexpr std::array formats{FormatId::amd64,
                                      FormatId::npt,
                                      FormatId::ept,
                                      FormatId::ept_no_ad,
                                      FormatId::vtd_second_stage,
                                      FormatId::amd_iommu_v1,
                                      FormatId::arm64_stage2,
                                      FormatId::riscv_sv48,
                                      FormatId::riscv_sv48x4};

 public:
  WrittenStress()
  {
    WalkedPlatform p = door(0);
    EXPECT_TRUE(create(p, object_, object_bytes, 1));
    EXPECT_TRUE(populate(p, object_, {0, large}, rights_rw, 0));
    EXPECT_TRUE(populate(p, object_, {large, object_bytes}, rights_rw, 1));
    for (std::size_t i = 0; i < formats.size(); ++i)
      EXPECT_TRUE(add_view(p, object_, views_[i], formats[i], static_cast<TreeId>(i + 1)));
  }

  void run(u64 seed)
  {
    std::vector<std::thread> threads;
    std::barrier start(writers + 3);
    const auto spawn = [&](u32 number, auto body) {
      threads.emplace_back([&, number, body] {
        WalkedPlatform p = door(number);
        std::mt19937_64 random(seed * 100 + number);
        start.arrive_and_wait();
        for (int i = 0; i < rounds; ++i) body(p, random);
      });
    };
    for (u32 n = 1; n <= writers; ++n)
      spawn(n, [this, n](WalkedPlatform& p, std::mt19937_64& random) { write_somewhere(p, random, n); });
    for (u32 n = writers + 1; n <= writers + 2; ++n)
      spawn(n, [this](WalkedPlatform& p, std::mt19937_64& random) { change_something(p, random); });
    spawn(writers + 3, [this](WalkedPlatform& p, std::mt19937_64& random) {
      if (random() % 16 == 0) harvest_all(p);
      if (random() % 64 == 0) {
        EXPECT_TRUE(merge(p, object_, {0, object_bytes}, 1));
      }
    });
    for (std::thread& t : threads) t.join();
  }

  // Nobody runs any more.
  void check()
  {
    WalkedPlatform p = door(0);
    harvest_all(p);
    u64 written = 0;
    for (u64 place = 0; place < places; ++place) {
      written += last_write_[place] != 0;
      EXPECT_GE(reported_[place], last_write_[place].load()) << "I4: a write of place " << place << " was forgotten";
      for (u32 n = 1; n <= writers; ++n)
        EXPECT_EQ(p.access(object_.primary, page_at(place) + 8 * n), last_value_[n][place]) << "I9: a write was lost";
    }
    EXPECT_EQ(written, places);
    for (View& v : views_) {
      EXPECT_EQ(v.tree.pending.value, 0u);
      drop_view(p, object_, v);
    }
    destroy(p, object_);
    p.release_expired();
    EXPECT_EQ(world_.arena().used_pages(), 0u) << "leaked";
  }

 private:
  static constexpr u64 page_at(u64 place) { return (place / 2) * page_bytes + (place % 2) * large; }
  WalkedPlatform door(u32 thread)
  {
    WalkedPlatform p(world_, walks_, thread);
    for (std::size_t i = 0; i < formats.size(); ++i) p.set_format(static_cast<TreeId>(i + 1), formats[i]);
    return p;
  }
  // The time is taken before the write: a report that ends later may hold it.
  void write_somewhere(WalkedPlatform& p, std::mt19937_64& random, u32 thread)
  {
    const u64 place = random() % places;
    View& v = views_[random() % views_.size()];
    const auto filled = fill(p, object_, v, page_at(place), right_read | right_write);
    if (!filled) {
      EXPECT_EQ(filled.error(), Error::access_denied) << error_name(filled.error());
      return;
    }
    const u64 now = ++clock_, value = last_value_[thread][place] + 1;
    if (!p.access(v.tree, page_at(place) + 8 * thread, value)) return;  // it was taken away again
    last_value_[thread][place] = value;
    u64 last = last_write_[place];
    while (last < now && !last_write_[place].compare_exchange_weak(last, now)) {
    }
  }
  void change_something(WalkedPlatform& p, std::mt19937_64& random)
  {
    const u64 start = page_at(random() % places);
    const Range some{start, std::min(object_bytes, start + (1 + random() % 8) * page_bytes)};
    switch (random() % 6) {
      case 0: EXPECT_TRUE(protect(p, object_, some, right_read)); break;
      case 1: EXPECT_TRUE(split(p, object_, {large, object_bytes}, 0)); break;
      case 2: EXPECT_TRUE(migrate(p, object_, some)); break;
      default: EXPECT_TRUE(protect(p, object_, some, rights_rw)); break;
    }
  }
  void harvest_all(WalkedPlatform& p)
  {
    struct Report {
      std::vector<Range> runs;
      void accessed(Range) {}
      void dirty(Range r) { runs.push_back(r); }
    } report;
    EXPECT_TRUE(harvest(p, object_, {0, object_bytes}, report));
    const u64 now = ++clock_;
    for (u64 place = 0; place < places; ++place)
      for (const Range& r : report.runs)
        if (r.contains(page_at(place))) reported_[place] = now;
  }

  ThreadedWorld world_{u64{256} << 20};
  Walks walks_;
  Object object_;
  std::array<View, formats.size()> views_;
  std::atomic<u64> clock_{0};
  std::array<std::atomic<u64>, places> last_write_{};
  std::array<std::array<u64, places>, writers + 1> last_value_{};  // each row its thread's
  std::array<u64, places> reported_{};                             // the end of the last report with the page
};

TEST(Stress, NoWriteIsForgottenOrLostWhileOthersHarvestAndMigrate)
{
  for (u64 seed = 1; seed <= 3 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    WrittenStress stress;
    stress.run(seed);
    stress.check();
  }
}

}  // namespace
}  // namespace morsel::sim
