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

// Written apart from the table of the window: by hand, from the colours that were checked for the colour-blind.
struct Designed {
  DiffState state;
  const char *light, *dark, *sign;
  Pattern pattern;
  QColor light_text, dark_text;
};
const Designed design[] = {
    {DiffState::same, "#E3E8ED", "#39434D", "=", Pattern::plain, Qt::black, Qt::white},
    {DiffState::unfilled, "#FFFFFF", "#1B1F24", "·", Pattern::dotted_outline, Qt::black, Qt::white},
    {DiffState::reserved, "#848F9A", "#AAB6C0", "▒", Pattern::hatch, Qt::black, Qt::black},
    {DiffState::stale, "#E5A905", "#FFE946", "↻", Pattern::diagonal, Qt::black, Qt::black},
    {DiffState::rights, "#0A62DA", "#1A78FF", "◐", Pattern::half_fill, Qt::white, Qt::black},
    {DiffState::frame, "#A52E05", "#F76403", "≠", Pattern::thick_border, Qt::white, Qt::black},
    {DiffState::format, "#59186D", "#A0678F", "◆", Pattern::corner, Qt::white, Qt::black},
};

TEST(StateStyle, EveryStateLooksAsDesigned)
{
  for (const Designed& d : design) {
    SCOPED_TRACE(stateName(d.state).toStdString());
    EXPECT_EQ(stateFill(d.state, Theme::light), QColor(d.light));
    EXPECT_EQ(stateFill(d.state, Theme::dark), QColor(d.dark));
    EXPECT_EQ(stateSign(d.state), QString::fromUtf8(d.sign));
    EXPECT_EQ(styleOf(d.state).pattern, d.pattern);
    EXPECT_EQ(stateText(d.state, Theme::light), d.light_text);
    EXPECT_EQ(stateText(d.state, Theme::dark), d.dark_text);
  }
}

TEST(StateStyle, TheDesignKnowsEveryStateButHole)
{
  std::set<DiffState> designed{DiffState::hole};
  for (const Designed& d : design) designed.insert(d.state);
  EXPECT_EQ(designed.size(), inspect::diff_state_count);
  EXPECT_TRUE(stateSign(DiffState::hole).isEmpty());
}

TEST(StateStyle, ContrastOfBlackAndWhiteIsTwentyOne)
{
  EXPECT_NEAR(contrastRatio(Qt::black, Qt::white), 21.0, 0.01);
  EXPECT_NEAR(contrastRatio(Qt::red, Qt::red), 1.0, 0.01);
}

}  // namespace
}  // namespace morsel::gui
