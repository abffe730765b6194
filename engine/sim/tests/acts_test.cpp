// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/acts.hpp"

#include <gtest/gtest.h>

#include "engine/session/failure.hpp"

namespace morsel::sim {
namespace {

TEST(Acts, PrintWhatTheyParse)
{
  for (const char* text :
       {"fill:p0", "fill:p3,v2,w", "write:p0,v0", "unmap:p0-1", "unmap:m0", "unmap:g0-2", "unmap:all", "protect:p1",
        "protect:p1,rwx", "populate:p0-1", "populate:m0,r,2M", "invalidate:m1,v2", "add_view:v2", "add_view:v3,ept",
        "drop_view", "drop_view:v2", "resize:p1"})
    EXPECT_EQ(to_text(parse_act(text)), text);
}

TEST(Acts, TakeTheirArgumentsInAnyOrder)
{
  const Act act = parse_act("populate:2M,rx,m1");
  EXPECT_EQ(act.range, (Range{u64{2} << 20, u64{4} << 20}));
  EXPECT_EQ(act.rights, right_read | right_exec);
  EXPECT_EQ(act.leaf_level, 1);
}

TEST(Acts, SayWhatIsWrongWithAWord)
{
  auto complaint = [](const char* word) -> std::string {
    try {
      (void)parse_act(word);
    } catch (const session::Failure& failure) {
      return failure.what();
    }
    return "";
  };
  EXPECT_NE(complaint("onmap:p0").find("no such operation\n  Operations: fill"), std::string::npos);
  EXPECT_NE(complaint("unmap").find("which pages"), std::string::npos);
  EXPECT_NE(complaint("unmap:p0,w").find("unmap takes no argument like 'w'"), std::string::npos);
  EXPECT_NE(complaint("fill:p0,quick").find("'quick' is no argument"), std::string::npos);
  EXPECT_NE(complaint("fill:p1-0").find("'p1-0' is no argument"), std::string::npos);
  EXPECT_NE(complaint("fill:p0,v99").find("'v99' is no argument"), std::string::npos);
}

}  // namespace
}  // namespace morsel::sim
