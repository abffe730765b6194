// SPDX-License-Identifier: GPL-2.0-or-later
//
// Threads that write through views of two clones, whose pages are copied when they are first written, while others
// change the clones and the base is cloned again and again (ThreadSanitizer runs this too). Every page is copied whole,
// no write is lost, and nothing that the base holds changes (I9).
#include <gtest/gtest.h>

#include <barrier>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "engine/morsel/tests/threaded_walker.hpp"

namespace morsel::sim {
namespace {

class CloneStress {
  static constexpr u64 large = u64{2} << 20, object_bytes = 2 * large;
  static constexpr u64 places = 64;  // half of them in small leaves of the base, half in a large one
  static constexpr u32 writers = 2;  // of each clone
  static constexpr int rounds = 40'000;
  static constexpr std::array formats{FormatId::ept, FormatId::arm64_stage2};

  struct Clone {
    Object object;
    std::array<View, formats.size()> views;
    std::array<std::array<u64, places>, writers> last{};  // each row its thread's
  };

 public:
  CloneStress()
  {
    WalkedPlatform p = door(0);
    EXPECT_TRUE(create(p, base_, object_bytes, 1));
    EXPECT_TRUE(populate(p, base_, {0, large}, rights_rw, 0));
    EXPECT_TRUE(populate(p, base_, {large, object_bytes}, rights_rw, 1));
    for (u64 place = 0; place < places; ++place)
      for (const u64 offset : {u64{0}, page_bytes - 8})
        p.access(base_.primary, page_at(place) + offset, pattern(place));
    EXPECT_TRUE(freeze(p, base_));
    for (Clone& c : clones_) {
      EXPECT_TRUE(clone(p, base_, c.object));
      for (std::size_t i = 0; i < formats.size(); ++i)
        EXPECT_TRUE(add_view(p, c.object, c.views[i], formats[i], static_cast<TreeId>(i + 1)));
    }
  }

  void run(u64 seed)
  {
    std::vector<std::thread> threads;
    std::barrier start(clones_.size() * (writers + 1) + 1);
    u32 number = 0;
    const auto spawn = [&](auto body) {
      threads.emplace_back([&, body, thread = ++number] {
        WalkedPlatform p = door(thread);
        std::mt19937_64 random(seed * 100 + thread);
        start.arrive_and_wait();
        for (int i = 0; i < rounds; ++i) body(p, random);
      });
    };
    for (Clone& c : clones_) {
      for (u32 n = 0; n < writers; ++n)
        spawn([&c, n](WalkedPlatform& p, std::mt19937_64& random) { write_somewhere(p, c, n, random); });
      spawn([&c](WalkedPlatform& p, std::mt19937_64& random) { change_something(p, c, random); });
    }
    spawn([this](WalkedPlatform& p, std::mt19937_64& random) {
      if (random() % 64 == 0) clone_once_more(p, random() % places);
    });
    for (std::thread& t : threads) t.join();
  }

  // Nobody runs any more.
  void check()
  {
    WalkedPlatform p = door(0);
    u64 copied = 0;
    for (Clone& c : clones_) {
      for (u64 place = 0; place < places; ++place) {
        expect_pattern(p, c.object, place);
        for (u32 n = 0; n < writers; ++n) {
          copied += c.last[n][place] != 0;
          EXPECT_EQ(p.access(c.object.primary, page_at(place) + 8 + 8 * n), c.last[n][place]) << "a write was lost";
        }
      }
      for (View& v : c.views) drop_view(p, c.object, v);
      destroy(p, c.object);
    }
    EXPECT_GT(copied, clones_.size() * writers * places / 2) << "pages that were written";
    for (u64 place = 0; place < places; ++place) {
      expect_pattern(p, base_, place);
      for (u32 n = 0; n < writers; ++n) EXPECT_EQ(p.access(base_.primary, page_at(place) + 8 + 8 * n), 0u) << "base";
    }
    EXPECT_EQ(base_.clones.value, 0u);
    destroy(p, base_);
    p.release_expired();
    EXPECT_EQ(world_.arena().used_pages(), 0u) << "leaked";
  }

 private:
  static constexpr u64 page_at(u64 place) { return (place / 2) * page_bytes + (place % 2) * large; }
  static constexpr u64 pattern(u64 place) { return 0x6d6f7273656c0000 + place; }

  WalkedPlatform door(u32 thread)
  {
    WalkedPlatform p(world_, walks_, thread);
    for (std::size_t i = 0; i < formats.size(); ++i) p.set_format(static_cast<TreeId>(i + 1), formats[i]);
    return p;
  }
  static void expect_pattern(WalkedPlatform& p, const Object& object, u64 place)
  {
    EXPECT_EQ(p.access(object.primary, page_at(place)), pattern(place)) << "place " << place;
    EXPECT_EQ(p.access(object.primary, page_at(place) + page_bytes - 8), pattern(place)) << "place " << place;
  }
  // Who may not write the page makes it its own, as a fault does: unless the clone's holder may not write it.
  static void write_somewhere(WalkedPlatform& p, Clone& c, u32 writer, std::mt19937_64& random)
  {
    const u64 place = random() % places, value = c.last[writer][place] + 1;
    View& v = c.views[random() % c.views.size()];
    if (!fill(p, c.object, v, page_at(place), right_read | right_write)) {
      const auto copy = break_copy(p, c.object, page_at(place));
      EXPECT_TRUE(copy || copy.error() == Error::busy || copy.error() == Error::access_denied)
          << error_name(copy.error());
      return;
    }
    if (p.access(v.tree, page_at(place) + 8 + 8 * writer, value)) c.last[writer][place] = value;
  }
  static void change_something(WalkedPlatform& p, Clone& c, std::mt19937_64& random)
  {
    const u64 start = page_at(random() % places);
    const Range some{start, std::min(object_bytes, start + (1 + random() % 8) * page_bytes)};
    switch (random() % 6) {
      case 0: EXPECT_TRUE(protect(p, c.object, some, right_read)); break;
      case 1: EXPECT_TRUE(split(p, c.object, some, 0)); break;
      case 2: EXPECT_TRUE(migrate(p, c.object, some)); break;
      default: EXPECT_TRUE(protect(p, c.object, some, rights_rw)); break;
    }
  }
  // A clone that lives for a moment, and copies one page.
  void clone_once_more(WalkedPlatform& p, u64 place)
  {
    Object other;
    ASSERT_TRUE(clone(p, base_, other));
    EXPECT_EQ(*break_copy(p, other, page_at(place)), BreakOutcome::copied);
    EXPECT_TRUE(p.access(other.primary, page_at(place) + 16, 1));
    expect_pattern(p, other, place);
    expect_pattern(p, base_, place);
    destroy(p, other);
  }

  ThreadedWorld world_{u64{256} << 20};
  Walks walks_;
  Object base_;
  std::array<Clone, 2> clones_;
};

TEST(Stress, ClonesCopyWholePagesAndLeaveTheirBaseAlone)
{
  for (u64 seed = 1; seed <= 3 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CloneStress stress;
    stress.run(seed);
    stress.check();
  }
}

}  // namespace
}  // namespace morsel::sim
