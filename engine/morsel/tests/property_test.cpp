// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random sequences of operations against a plain map from page to (frame, rights). After every operation each view is
// held against it page by page by the slow walker (I1), and at the end nothing is left. A failure prints the seed;
// MORSEL_SEED=<n> replays it.
#include <cstdlib>
#include <map>
#include <random>

#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

constexpr u64 object_bytes = 8 * MiB;
constexpr u64 views_at_once = 5;

struct Page {
  u64 frame;
  Rights rights;
};

class Sequence {
 public:
  Sequence(u64 seed, Level root_level) : random_(seed), f_(object_bytes, root_level)
  {
    for (u64 i = 0; i < views_at_once; ++i)  // other formats for each seed
      views_.push_back(&f_.add(format_table[(views_at_once * seed + i) % format_table.size()].id));
  }

  void run(int steps)
  {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      step();
      check();
    }
  }

 private:
  u64 below(u64 limit) { return std::uniform_int_distribution<u64>(0, limit - 1)(random_); }
  Range random_range(u64 granule)
  {
    const u64 units = object_bytes / granule;
    const u64 first = below(units);
    const u64 count = 1 + below(std::min<u64>(units - first, below(3) ? 8 : units));
    return {first * granule, (first + count) * granule};
  }
  Rights random_rights() { return right_read | Rights::from_bits(static_cast<u8>(below(8) & 6)); }

  void step()
  {
    switch (below(12)) {
      case 0: return populate(4 * KiB, 0);
      case 1: return populate(2 * MiB, 1);
      case 2: return unmap();
      case 3: return protect();
      case 4: {
        auto p = f_.platform();
        ASSERT_TRUE(invalidate(p, f_.o.object, *views_[below(views_.size())], random_range(4 * KiB)));
        return;
      }
      case 5: return split_leaves();
      case 6: return merge_tables();
      case 7: return migrate_pages();
      default: fill();
    }
  }

  void populate(u64 granule, Level level)
  {
    const Range r = random_range(granule);
    const Rights rights = random_rights();
    const Expected<u64> n = f_.populate(r, rights, level);
    ASSERT_TRUE(n) << error_name(n.error());
    u64 added = 0;
    for (u64 o = r.start; o < r.end; o += 4 * KiB)
      if (!map_.count(o)) {
        const auto t = f_.primary(o);
        ASSERT_TRUE(t);
        map_[o] = {t->address, rights};
        ++added;
      }
    ASSERT_EQ(*n, added);
  }
  void unmap()
  {
    const Range r = random_range(4 * KiB);
    const Expected<u64> n = f_.unmap(r);
    ASSERT_TRUE(n) << error_name(n.error());
    u64 removed = 0;
    for (u64 o = r.start; o < r.end; o += 4 * KiB) removed += map_.erase(o);
    ASSERT_EQ(*n, removed);
  }
  void protect()
  {
    const Range r = random_range(4 * KiB);
    const Rights rights = random_rights();
    ASSERT_TRUE(f_.protect(r, rights));
    for (auto it = map_.lower_bound(r.start); it != map_.end() && it->first < r.end; ++it) it->second.rights = rights;
  }
  void split_leaves()
  {
    auto p = f_.platform();
    ASSERT_TRUE(split(p, f_.o.object, random_range(4 * KiB), 0));
  }
  void merge_tables()
  {
    auto p = f_.platform();
    ASSERT_TRUE(merge(p, f_.o.object, random_range(2 * MiB), 1));
  }
  void migrate_pages()
  {
    const Range r = random_range(4 * KiB);
    auto p = f_.platform();
    const Expected<u64> n = migrate(p, f_.o.object, r);
    ASSERT_TRUE(n) << error_name(n.error());
    u64 moved = 0;
    for (auto it = map_.lower_bound(r.start); it != map_.end() && it->first < r.end; ++it, ++moved) {
      const auto t = f_.primary(it->first);
      ASSERT_TRUE(t);
      ASSERT_NE(t->address, it->second.frame) << "a moved page has another frame";
      it->second.frame = t->address;
    }
    ASSERT_EQ(*n, moved);
  }
  void fill()
  {
    View& v = *views_[below(views_.size())];
    for (int i = 0; i < 20; ++i) {
      const u64 offset = below(object_bytes / (4 * KiB)) * 4 * KiB;
      const Rights want = Rights::from_bits(static_cast<u8>(1u << below(3)));
      const Expected<FillOutcome> r = f_.fill(v, offset, want);
      const auto page = map_.find(offset);
      if (page == map_.end()) {
        ASSERT_FALSE(r);
        ASSERT_EQ(r.error(), Error::needs_populate);
      } else {
        const Rights given = find_format(v.tree.format)->reduce(page->second.rights);
        ASSERT_EQ(static_cast<bool>(r), given.includes(want)) << error_name(r.error());
      }
    }
  }

  // I1 for every page: the primary is the map, and each view's translation lies within it.
  void check()
  {
    for (u64 o = 0; o < object_bytes; o += 4 * KiB) {
      const auto page = map_.find(o);
      const auto p = f_.primary(o);
      ASSERT_EQ(p.has_value(), page != map_.end()) << "offset " << o;
      if (p) {
        ASSERT_EQ(p->address, page->second.frame) << "offset " << o;
        ASSERT_EQ(p->write, page->second.rights.write()) << "offset " << o;
        ASSERT_EQ(p->exec, page->second.rights.exec()) << "offset " << o;
      }
      for (View* v : views_) {
        const auto t = f_.translation(v->tree, o);
        if (!t) continue;
        ASSERT_TRUE(p) << "stale: view " << v->tree.id << " offset " << o;
        ASSERT_EQ(t->address, p->address) << "view " << v->tree.id << " offset " << o;
        ASSERT_TRUE((!t->write || p->write) && (!t->exec || p->exec)) << "widened: view " << v->tree.id << " at " << o;
      }
    }
  }

  std::mt19937_64 random_;
  EngineFixture f_;
  std::vector<View*> views_;
  std::map<u64, Page> map_;
};

TEST(OperationSequences, MirrorAPlainMapInEveryFormat)
{
  std::vector<u64> seeds;
  if (const char* given = std::getenv("MORSEL_SEED"))
    seeds = {std::strtoull(given, nullptr, 0)};
  else
    for (u64 seed = 1; seed <= 12; ++seed) seeds.push_back(seed);
  for (const u64 seed : seeds)
    for (const Level root_level : {Level{1}, Level{2}}) {
      SCOPED_TRACE(testing::Message() << "replay with MORSEL_SEED=" << seed);
      Sequence(seed, root_level).run(60);
      if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace morsel::testing_support
