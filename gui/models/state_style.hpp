// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a state of the diff looks: colour, sign, pattern. One table for chips, map strips and legend. Colour alone never
// carries a state: the signs differ, and so do the patterns. The colours were checked under simulated protanopia,
// deuteranopia and tritanopia, in both themes.
#pragma once
#include <QColor>
#include <QString>
#include <span>

#include "engine/inspect/diff.hpp"

namespace morsel::gui {

enum class Theme : u8 { light, dark };

enum class Pattern : u8 { none, plain, dotted_outline, hatch, diagonal, half_fill, thick_border, corner };

struct StateStyle {
  inspect::DiffState state;
  char16_t sign;  // one character of DejaVu Sans Mono; 0: none
  Pattern pattern;
  QRgb light, dark;  // fill
  bool light_text_white, dark_text_white;
  const char* meaning;  // for legend and tool tips
};

// In the order of DiffState, from harmless to worst.
std::span<const StateStyle> stateStyles();
const StateStyle& styleOf(inspect::DiffState state);

QColor stateFill(inspect::DiffState state, Theme theme);
QColor stateText(inspect::DiffState state, Theme theme);
QString stateSign(inspect::DiffState state);
QString stateName(inspect::DiffState state);

// WCAG 2 contrast ratio of two opaque colours, 1 to 21.
double contrastRatio(const QColor& a, const QColor& b);

}  // namespace morsel::gui
