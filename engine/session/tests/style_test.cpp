// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/style.hpp"

#include <gtest/gtest.h>

#include <set>

namespace morsel::session {
namespace {

using inspect::DiffState;

TEST(Style, GivesEveryStateASignOfItsOwn)
{
  std::set<std::string_view> signs;
  for (std::size_t n = 0; n < inspect::diff_state_count; ++n) {
    signs.insert(state_sign(static_cast<DiffState>(n)));
    EXPECT_EQ(shown_width(state_sign(static_cast<DiffState>(n))), 1u);
    EXPECT_EQ(find_state(inspect::diff_state_name(static_cast<DiffState>(n))), static_cast<DiffState>(n));
  }
  EXPECT_EQ(signs.size(), inspect::diff_state_count);
  EXPECT_EQ(state_sign(DiffState::stale), "↻");
  EXPECT_FALSE(find_state("rotten"));
}

TEST(Style, ColoursOnlyWhenAsked)
{
  EXPECT_EQ(Style{}.state(DiffState::stale, "x"), "x");
  EXPECT_EQ(Style{}.bad("x") + Style{}.good("y") + Style{}.bold("z") + Style{}.dim("w"), "xyzw");
  const std::string colored = Style{true}.state(DiffState::stale, "x");
  EXPECT_NE(colored.find('\x1b'), std::string::npos);
  EXPECT_EQ(shown_width(colored), 1u);
  EXPECT_EQ(Style{true}.state("stale", "x"), colored);
}

TEST(TextTable, AlignsByShownWidth)
{
  TextTable table({TextTable::Align::right});
  table.add({"1", "·", "a"});
  table.add({"22", Style{true}.bold("wide"), "b"});
  table.add({"3"});
  const std::string text = table.text("> ");
  EXPECT_EQ(text, ">  1  ·     a\n> 22  \x1b[1mwide\x1b[0m  b\n>  3\n");
}

}  // namespace
}  // namespace morsel::session
