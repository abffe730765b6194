// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/state_style.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace morsel::gui {
namespace {

using inspect::DiffState;

constexpr std::array<StateStyle, inspect::diff_state_count> styles{{
    {DiffState::hole, 0, Pattern::none, 0xffffff, 0x1b1f24, false, true, "nothing is mapped here, in neither tree"},
    {DiffState::same, u'=', Pattern::plain, 0xe3e8ed, 0x39434d, false, true,
     "same frame, and the same rights as far as the format can express them"},
    {DiffState::unfilled, u'·', Pattern::dotted_outline, 0xffffff, 0x1b1f24, false, true,
     "the primary maps it, the view not yet: the next access through the view fills it"},
    {DiffState::reserved, u'▒', Pattern::hatch, 0x848f9a, 0xaab6c0, false, false, "a fill of this entry is under way"},
    {DiffState::rights, u'◐', Pattern::half_fill, 0x0a62da, 0x1a78ff, true, false, "same frame, but other rights"},
    {DiffState::format, u'◆', Pattern::corner, 0x59186d, 0xa0678f, true, false,
     "the view's entry is malformed, or its table cannot be read"},
    {DiffState::frame, u'≠', Pattern::thick_border, 0xa52e05, 0xf76403, true, false, "the view maps another frame"},
    {DiffState::stale, u'↻', Pattern::diagonal, 0xe5a905, 0xffe946, false, false,
     "the view still maps what the primary does not map any more"},
}};

consteval bool inOrder()
{
  for (std::size_t n = 0; n < styles.size(); ++n)
    if (static_cast<std::size_t>(styles[n].state) != n) return false;
  return true;
}
static_assert(inOrder(), "styles are looked up by the number of the state");

double channel(double value) { return value <= 0.03928 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4); }

double luminance(const QColor& c)
{
  return 0.2126 * channel(c.redF()) + 0.7152 * channel(c.greenF()) + 0.0722 * channel(c.blueF());
}

}  // namespace

std::span<const StateStyle> stateStyles() { return styles; }

const StateStyle& styleOf(DiffState state) { return styles[static_cast<std::size_t>(state)]; }

QColor stateFill(DiffState state, Theme theme)
{
  const StateStyle& s = styleOf(state);
  return QColor::fromRgb(theme == Theme::light ? s.light : s.dark);
}

QColor stateText(DiffState state, Theme theme)
{
  const StateStyle& s = styleOf(state);
  return (theme == Theme::light ? s.light_text_white : s.dark_text_white) ? Qt::white : Qt::black;
}

QString stateSign(DiffState state)
{
  const char16_t sign = styleOf(state).sign;
  return sign ? QString(QChar(sign)) : QString();
}

QString stateName(DiffState state)
{
  const std::string_view name = inspect::diff_state_name(state);
  return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

double contrastRatio(const QColor& a, const QColor& b)
{
  const double high = std::max(luminance(a), luminance(b));
  const double low = std::min(luminance(a), luminance(b));
  return (high + 0.05) / (low + 0.05);
}

}  // namespace morsel::gui
