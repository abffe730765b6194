// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/state_style.hpp"

#include <gtest/gtest.h>

#include <set>

namespace morsel::gui {
namespace {

using inspect::DiffState;

constexpr double wcag_aa = 4.5;

TEST(StateStyle, TextIsReadableOnEveryFillInBothThemes)
{
  for (const StateStyle& s : stateStyles())
    for (Theme theme : {Theme::light, Theme::dark})
      EXPECT_GE(contrastRatio(stateFill(s.state, theme), stateText(s.state, theme)), wcag_aa)
          << stateName(s.state).toStdString() << (theme == Theme::dark ? " dark" : " light");
}

TEST(StateStyle, EveryStateButHoleHasItsOwnSignPatternAndColour)
{
  std::set<char16_t> signs;
  std::set<Pattern> patterns;
  std::set<QRgb> light, dark;
  for (const StateStyle& s : stateStyles()) {
    if (s.state == DiffState::hole) continue;
    EXPECT_NE(s.sign, 0);
    EXPECT_TRUE(signs.insert(s.sign).second) << stateName(s.state).toStdString();
    EXPECT_TRUE(patterns.insert(s.pattern).second) << stateName(s.state).toStdString();
    EXPECT_TRUE(light.insert(s.light).second) << stateName(s.state).toStdString();
    EXPECT_TRUE(dark.insert(s.dark).second) << stateName(s.state).toStdString();
  }
}

TEST(StateStyle, StaleIsTheColourOfTheDesign)
{
  EXPECT_EQ(stateFill(DiffState::stale, Theme::light), QColor("#e5a905"));
  EXPECT_EQ(stateFill(DiffState::stale, Theme::dark), QColor("#ffe946"));
  EXPECT_EQ(stateSign(DiffState::stale), QString::fromUtf8("↻"));
}

TEST(StateStyle, ContrastOfBlackAndWhiteIsTwentyOne)
{
  EXPECT_NEAR(contrastRatio(Qt::black, Qt::white), 21.0, 0.01);
  EXPECT_NEAR(contrastRatio(Qt::red, Qt::red), 1.0, 0.01);
}

}  // namespace
}  // namespace morsel::gui
