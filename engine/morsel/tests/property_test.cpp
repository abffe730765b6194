// SPDX-License-Identifier: GPL-2.0-or-later
//
// Sequences of operations by chance, against a plain map (operation_sequence.hpp). RapidCheck draws the sequences and
// shrinks one that fails; it prints how to run it again (RC_PARAMS).
#include "engine/morsel/tests/operation_sequence.hpp"

namespace morsel::testing_support {
namespace {

rc::Gen<FormatId> any_format()
{
  return rc::gen::map(rc::gen::inRange<std::size_t>(0, format_table.size()),
                      [](std::size_t i) { return format_table[i].id; });
}

struct Drawn {
  Level root_level = *rc::gen::inRange<Level>(1, 3);
  std::vector<FormatId> formats = *rc::gen::container<std::vector<FormatId>>(most_views, any_format());
  std::vector<Op> operations = *rc::gen::arbitrary<std::vector<Op>>();
};

TEST(OperationSequences, MirrorAPlainMapInEveryFormat)
{
  u64 without_memory = 0;
  EXPECT_TRUE(rc::check([&without_memory] {
    const Drawn drawn;
    Sequence sequence(drawn.root_level, drawn.formats);
    for (const Op& op : drawn.operations) sequence.run(op);
    without_memory += sequence.failures();
  }));
  EXPECT_GT(without_memory, 100u) << "operations in which an allocation failed";
}

TEST(OperationSequences, FindALostDirtyBitAndShrinkToTheOperationsThatLoseIt)
{
  std::vector<Op> failed;
  const auto result = rc::detail::checkTestable([&failed] {
    const Drawn drawn;
    Sequence sequence(drawn.root_level, drawn.formats);
    sequence.faults().add({.point = SyncPoint::carry, .action = MORSEL_FAULT_DROP, .times = ~u64{0}});
    try {
      for (const Op& op : drawn.operations) sequence.run(op);
    } catch (...) {
      failed = drawn.operations;
      throw;
    }
  });
  EXPECT_TRUE(result.is<rc::detail::FailureResult>());
  ASSERT_EQ(failed.size(), 3u);
  EXPECT_EQ(failed[1].kind, Op::Kind::write);
  EXPECT_EQ(failed[2].kind, Op::Kind::harvest);
}

}  // namespace
}  // namespace morsel::testing_support
