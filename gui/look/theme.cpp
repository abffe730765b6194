// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/look/theme.hpp"

#include <QApplication>
#include <QFile>
#include <QPainter>
#include <QPixmap>
#include <QStyleFactory>
#include <QSvgRenderer>

// Resources of a static library are linked only when asked for, from outside any namespace.
static void initResources() { Q_INIT_RESOURCE(morselscope); }

namespace morsel::gui {
namespace {

const ThemeColors light_colors{.window = QColor(0xf3, 0xf5, 0xf7),
                               .base = QColor(0xff, 0xff, 0xff),
                               .alternate = QColor(0xf8, 0xf9, 0xfb),
                               .header = QColor(0xe9, 0xed, 0xf1),
                               .text = QColor(0x1b, 0x1f, 0x24),
                               .muted = QColor(0x6a, 0x74, 0x7f),
                               .line = QColor(0xd3, 0xd9, 0xdf),
                               .accent = QColor(0x0b, 0x5c, 0xad),
                               .accent_soft = QColor(0xdc, 0xeb, 0xfa),
                               .accent_text = QColor(0xff, 0xff, 0xff),
                               .good = QColor(0x1a, 0x7f, 0x37),
                               .bad = QColor(0xb4, 0x23, 0x18)};

const ThemeColors dark_colors{.window = QColor(0x21, 0x26, 0x2c),
                              .base = QColor(0x1b, 0x1f, 0x24),
                              .alternate = QColor(0x1f, 0x24, 0x29),
                              .header = QColor(0x2a, 0x30, 0x37),
                              .text = QColor(0xe6, 0xea, 0xee),
                              .muted = QColor(0x97, 0xa3, 0xae),
                              .line = QColor(0x3a, 0x42, 0x4a),
                              .accent = QColor(0x6c, 0xb6, 0xff),
                              .accent_soft = QColor(0x24, 0x3b, 0x53),
                              .accent_text = QColor(0x10, 0x14, 0x18),
                              .good = QColor(0x57, 0xc2, 0x6e),
                              .bad = QColor(0xff, 0x8a, 0x7a)};

Theme current = Theme::light;

QPalette paletteOf(const ThemeColors& c)
{
  QPalette p;
  p.setColor(QPalette::Window, c.window);
  p.setColor(QPalette::WindowText, c.text);
  p.setColor(QPalette::Base, c.base);
  p.setColor(QPalette::AlternateBase, c.alternate);
  p.setColor(QPalette::Text, c.text);
  p.setColor(QPalette::Button, c.header);
  p.setColor(QPalette::ButtonText, c.text);
  p.setColor(QPalette::BrightText, c.bad);
  p.setColor(QPalette::ToolTipBase, c.header);
  p.setColor(QPalette::ToolTipText, c.text);
  p.setColor(QPalette::PlaceholderText, c.muted);
  p.setColor(QPalette::Highlight, c.accent_soft);
  p.setColor(QPalette::HighlightedText, c.text);
  p.setColor(QPalette::Link, c.accent);
  p.setColor(QPalette::LinkVisited, c.accent);
  p.setColor(QPalette::Light, c.base);
  p.setColor(QPalette::Midlight, c.header);
  p.setColor(QPalette::Mid, c.line);
  p.setColor(QPalette::Dark, c.line);
  p.setColor(QPalette::Shadow, c.line);
  for (auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
    p.setColor(QPalette::Disabled, role, c.muted);
  return p;
}

QString styleSheetOf(const ThemeColors& c)
{
  return QStringLiteral(
             "QToolBar { border: 0; border-bottom: 1px solid %1; padding: 4px 6px; spacing: 4px; }"
             "QToolButton { border: 1px solid transparent; border-radius: 4px; padding: 4px 8px; }"
             "QToolButton:hover { background: %2; border-color: %1; }"
             "QToolButton:disabled { color: %3; }"
             "QStatusBar { border-top: 1px solid %1; }"
             "QStatusBar::item { border: 0; }"
             "QDockWidget::title { background: %2; padding: 5px 8px; }"
             "QHeaderView::section { background: %2; border: 0; border-right: 1px solid %1;"
             "  border-bottom: 1px solid %1; padding: 5px 8px; }"
             "QTreeView, QTableView, QListView { border: 0; }"
             "QMainWindow::separator { background: %1; width: 1px; height: 1px; }"
             "QToolTip { color: %4; background: %2; border: 1px solid %1; padding: 4px; }")
      .arg(c.line.name(), c.header.name(), c.muted.name(), c.text.name());
}

QPixmap paintIcon(const QByteArray& svg, const QColor& color, int size)
{
  QByteArray colored = svg;
  colored.replace("currentColor", color.name().toLatin1());
  QSvgRenderer renderer(colored);
  QPixmap pixmap(size, size);
  pixmap.fill(Qt::transparent);
  QPainter painter(&pixmap);
  renderer.render(&painter);
  return pixmap;
}

QFont fontOf(const char* family, int points)
{
  QFont font(QString::fromLatin1(family));
  font.setPointSize(points);
  return font;
}

}  // namespace

const ThemeColors& colorsOf(Theme theme) { return theme == Theme::light ? light_colors : dark_colors; }

Theme desktopTheme()
{
  static const Theme at_start = QPalette().color(QPalette::Window).lightness() < 128 ? Theme::dark : Theme::light;
  return at_start;
}

void applyTheme(Theme theme)
{
  initResources();
  (void)desktopTheme();  // judged before our palette hides it
  current = theme;
  const ThemeColors& c = colorsOf(theme);
  QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
  QApplication::setFont(textFont());
  QApplication::setPalette(paletteOf(c));
  qApp->setStyleSheet(styleSheetOf(c));
}

Theme currentTheme() { return current; }

QFont textFont() { return fontOf("DejaVu Sans", 10); }

QFont monoFont()
{
  QFont font = fontOf("DejaVu Sans Mono", 10);
  font.setStyleHint(QFont::Monospace);
  return font;
}

QFont smallFont() { return fontOf("DejaVu Sans", 8); }

QIcon themedIcon(const QString& name)
{
  QFile file(QStringLiteral(":/morselscope/icons/%1.svg").arg(name));
  if (!file.open(QIODevice::ReadOnly)) return {};
  const QByteArray svg = file.readAll();
  QIcon icon;
  for (int size : {16, 24, 32, 48}) {
    icon.addPixmap(paintIcon(svg, colors().text, size), QIcon::Normal);
    icon.addPixmap(paintIcon(svg, colors().muted, size), QIcon::Disabled);
  }
  return icon;
}

}  // namespace morsel::gui
