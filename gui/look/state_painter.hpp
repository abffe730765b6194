// SPDX-License-Identifier: GPL-2.0-or-later
//
// Draws a state's chip: fill, pattern and sign. Patterns are drawn as lines, not as brushes, so that they come out in
// SVG and in print as well.
#pragma once
#include <QRect>

#include "gui/models/state_style.hpp"

class QPainter;

namespace morsel::gui {

inline constexpr int chip_width = 24;
inline constexpr int chip_height = 16;

void paintChip(QPainter& painter, const QRect& rect, inspect::DiffState state, Theme theme);

// Where tests look for a chip's fill: inside the border, clear of pattern and sign.
QPoint chipFillPoint(const QRect& rect);

}  // namespace morsel::gui
