// SPDX-License-Identifier: GPL-2.0-or-later
//
// Tables made by hand in an arena: a root, a table below it, a leaf for page 3.
#include "engine/sim/caching_walker.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace morsel::sim {
namespace {

constexpr u64 MiB = u64{1} << 20, page = 3 * page_bytes;
constexpr LeafAttributes writable{.rights = rights_rw};

template <PageFormat F>
class Tables {
 public:
  Tables()
  {
    tree_.root = *memory_.allocate(0);
    tree_.root_level = 1;
    tree_.format = F::id;
    table_ = *memory_.allocate(0);
    frame_ = *memory_.allocate(0);
    other_ = *memory_.allocate(0);
    *root_entry() = F::make_table(table_, 1);
    *leaf() = F::make_leaf(frame_, 0, writable);
  }
  u64* root_entry() { return memory_.words(tree_.root); }
  u64* leaf() { return memory_.words(table_) + 3; }
  std::optional<CachingWalker::Translated> access(Rights right)
  {
    return walker.translate(memory_, tree_, page, right);
  }

  CachingWalker walker;
  Arena memory_{4 * MiB};
  Tree tree_;
  PhysAddr table_, frame_, other_;
};

TEST(CachingWalker, UsesWhatItHasCachedUntilAFlushOfThatPage)
{
  Tables<EptL4> t;
  ASSERT_TRUE(t.access(right_read));
  EXPECT_FALSE(t.access(right_write)->cached) << "not dirty yet: it walks again";
  *t.leaf() = 0;
  EXPECT_EQ(t.access(right_read)->frame, t.frame_);
  EXPECT_TRUE(t.access(right_write)->cached);
  t.walker.flush({page + page_bytes, page + 2 * page_bytes});
  EXPECT_TRUE(t.access(right_read)) << "that was another page";
  t.walker.flush({page, page + page_bytes});
  EXPECT_FALSE(t.access(right_read));
}

TEST(CachingWalker, WalksAgainForARightThatIsNotCached)
{
  Tables<EptL4> t;
  *t.leaf() = EptL4::make_leaf(t.frame_, 0, {.rights = right_read});
  ASSERT_TRUE(t.access(right_read));
  EXPECT_FALSE(t.access(right_write));
  *t.leaf() = EptL4::make_leaf(t.other_, 0, writable);
  EXPECT_EQ(t.access(right_read)->frame, t.frame_) << "by what is cached";
  EXPECT_EQ(t.access(right_write)->frame, t.other_);
  EXPECT_EQ(t.access(right_read)->frame, t.other_) << "it took the old one's place";
}

TEST(CachingWalker, SetsDirtyOnceForEachTimeThatItIsCached)
{
  Tables<EptL4> t;
  t.access(right_write);
  EXPECT_EQ(*t.leaf() & (EptL4::accessed_bit | EptL4::dirty_bit), EptL4::accessed_bit | EptL4::dirty_bit);
  *t.leaf() &= ~(EptL4::accessed_bit | EptL4::dirty_bit);
  t.access(right_write);
  EXPECT_EQ(*t.leaf() & EptL4::dirty_bit, 0u) << "this is why a harvest flushes";
  t.walker.flush({page, page + page_bytes});
  t.access(right_write);
  EXPECT_NE(*t.leaf() & EptL4::dirty_bit, 0u);
}

TEST(CachingWalker, FollowsAPointerToATableThatWasUnlinkedUntilAnyFlush)
{
  Tables<EptL4> t;
  ASSERT_TRUE(t.access(right_read));
  *t.root_entry() = 0;
  *t.leaf() = EptL4::make_leaf(t.other_, 0, writable);
  EXPECT_EQ(t.access(right_write)->frame, t.other_) << "from the table, which is nobody's any more";
  t.walker.flush({0, page_bytes});
  EXPECT_TRUE(t.access(right_read)->cached) << "of the page itself it was told nothing";
  t.walker.flush({page, page + page_bytes});
  EXPECT_FALSE(t.access(right_read));
}

TEST(CachingWalker, HoldsThatAPageIsAbsentWhereTheFormatAllowsThat)
{
  const auto after_a_fault = [](auto tables) {
    auto& t = *tables;
    const u64 leaf = std::exchange(*t.leaf(), 0);
    EXPECT_FALSE(t.access(right_read));
    *t.leaf() = leaf;
    return t.access(right_read).has_value();
  };
  EXPECT_TRUE(after_a_fault(std::make_unique<Tables<EptL4>>()));
  EXPECT_FALSE(after_a_fault(std::make_unique<Tables<VtdSecondStageL4>>()));
  EXPECT_TRUE(VtdSecondStageL4::caches_non_present);
}

TEST(CachingWalker, CachesALargeLeafPageByPage)
{
  Tables<EptL4> t;
  *t.root_entry() = EptL4::make_leaf(PhysAddr{1024 * MiB}, 1, writable);
  EXPECT_EQ(t.access(right_read)->frame, PhysAddr{1024 * MiB} + page);
  const session::WalkerCaches caches = t.walker.caches();
  ASSERT_EQ(caches.translations.size(), 1u);
  EXPECT_EQ(caches.translations[0].page, page);
  EXPECT_EQ(caches.translations[0].level, 1);
  EXPECT_TRUE(caches.tables.empty());
}

TEST(CachingWalker, ATranslationLosesItsPlaceToAnother)
{
  Tables<EptL4> t;
  t.access(right_read);
  const u64 again = page + 4 * MiB;  // 1024 pages on: the third entry of the root
  t.memory_.words(t.tree_.root)[2] = EptL4::make_table(t.table_, 1);
  EXPECT_TRUE(t.walker.translate(t.memory_, t.tree_, again, right_read));
  ASSERT_EQ(t.walker.caches().translations.size(), 1u);
  EXPECT_EQ(t.walker.caches().translations[0].page, again);
  EXPECT_EQ(t.walker.caches().tables.size(), 2u);
}

TEST(CachingWalker, APointerIntoNowhereLeadsNowhere)
{
  Tables<EptL4> t;
  *t.root_entry() = EptL4::make_table(PhysAddr{u64{1} << 40}, 1);
  EXPECT_FALSE(t.access(right_read));
}

}  // namespace
}  // namespace morsel::sim
