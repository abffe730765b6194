// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/text.hpp"

#include <gtest/gtest.h>

namespace morsel::gui {
namespace {

TEST(GroupedHex, WritesGroupsOfFourDigits)
{
  EXPECT_EQ(groupedHex(0x800000007f3c5867).toStdString(), "8000 0000 7f3c 5867");
  EXPECT_EQ(groupedHex(0x1000, 8).toStdString(), "0000 1000");
}

TEST(GroupedHex, NeverCutsDigitsOff) { EXPECT_EQ(groupedHex(0x123456789, 8).toStdString(), "0001 2345 6789"); }

TEST(SizeText, TakesTheLargestUnitThatLeavesAnInteger)
{
  EXPECT_EQ(sizeText(4096).toStdString(), "4 KiB");
  EXPECT_EQ(sizeText(2064384).toStdString(), "2016 KiB");
  EXPECT_EQ(sizeText(u64{1} << 30).toStdString(), "1 GiB");
  EXPECT_EQ(sizeText(0).toStdString(), "0 B");
}

TEST(ParseOffset, ReadsWhatPeopleWrite)
{
  EXPECT_EQ(parseOffset("0x1f000"), 0x1f000u);
  EXPECT_EQ(parseOffset(" 0x0001 F000 "), 0x1f000u);
  EXPECT_EQ(parseOffset("1f000h"), 0x1f000u);
  EXPECT_EQ(parseOffset("126976"), 126976u);
  EXPECT_EQ(parseOffset("124K"), 126976u);
  EXPECT_EQ(parseOffset("2m"), u64{2} << 20);
  EXPECT_EQ(parseOffset("1G"), u64{1} << 30);
}

TEST(ParseOffset, RefusesWhatIsNoOffset)
{
  for (const char* text : {"", "0x", "x", "12Q", "-1", "1.5M", "0xgg", "0x10000000000000000", "18446744073709551615K"})
    EXPECT_EQ(parseOffset(text), std::nullopt) << text;
}

}  // namespace
}  // namespace morsel::gui
