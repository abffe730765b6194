// SPDX-License-Identifier: GPL-2.0-or-later
//
// Light and dark: the colours of everything that is no state, and the application's palette and fonts. Qt 6.4 cannot
// tell which theme the desktop wants; we judge by the lightness of the palette it gave us.
#pragma once
#include <QColor>
#include <QFont>
#include <QIcon>
#include <QPalette>

#include "gui/models/state_style.hpp"

namespace morsel::gui {

struct ThemeColors {
  QColor window, base, alternate, header;
  QColor text, muted, line;
  QColor accent, accent_soft, accent_text;
  QColor good, bad;
};

const ThemeColors& colorsOf(Theme theme);
Theme desktopTheme();
// Sets the style, palette and style sheet of the application.
void applyTheme(Theme theme);
Theme currentTheme();
inline const ThemeColors& colors() { return colorsOf(currentTheme()); }

QFont textFont();
QFont monoFont();
QFont smallFont();

// A shipped picture, in the colour of the theme's text.
QIcon themedIcon(const QString& name);

}  // namespace morsel::gui
