// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "engine/base/bits.hpp"
#include "engine/base/expected.hpp"
#include "engine/base/types.hpp"

namespace morsel {
namespace {

TEST(Error, HasANameOfItsOwn)
{
  std::set<std::string> names;
  for (u32 e = 0; e <= static_cast<u32>(Error::frozen); ++e) {
    const std::string name = error_name(static_cast<Error>(e));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_NE(name, "unknown error") << e;
  }
  EXPECT_STREQ(error_name(static_cast<Error>(200)), "unknown error");
}

TEST(PhysAddr, IsOrderedAndMovesByBytes)
{
  const PhysAddr a{4096}, b{8192};
  EXPECT_LT(a, b);
  EXPECT_EQ(a + 4096, b);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace morsel
