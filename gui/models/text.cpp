// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/text.hpp"

#include <algorithm>
#include <string_view>

namespace morsel::gui {

QString groupedHex(u64 value, int digits)
{
  const int groups = std::clamp((digits + 3) / 4, 1, 4);
  QString hex = QString::number(value, 16);
  hex = hex.rightJustified(std::max<qsizetype>(groups * 4, (hex.size() + 3) / 4 * 4), QLatin1Char('0'));
  for (qsizetype at = hex.size() - 4; at > 0; at -= 4) hex.insert(at, QLatin1Char(' '));
  return hex;
}

QString plainHex(u64 value) { return QStringLiteral("0x%1").arg(value, 16, 16, QLatin1Char('0')); }

QString sizeText(u64 bytes)
{
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < 5) {
    bytes /= 1024;
    ++unit;
  }
  return QStringLiteral("%1 %2").arg(bytes).arg(QLatin1String(units[unit]));
}

std::optional<u64> parseOffset(const QString& text)
{
  QString t = text.trimmed().toLower();
  t.remove(QLatin1Char(' ')).remove(QLatin1Char('_'));
  bool ok = false;
  if (t.startsWith(QLatin1String("0x"))) {
    const u64 value = t.mid(2).toULongLong(&ok, 16);
    return ok ? std::optional<u64>(value) : std::nullopt;
  }
  if (t.endsWith(QLatin1Char('h'))) {
    const u64 value = t.chopped(1).toULongLong(&ok, 16);
    return ok ? std::optional<u64>(value) : std::nullopt;
  }
  unsigned shift = 0;
  if (t.endsWith(QLatin1Char('k'))) shift = 10;
  if (t.endsWith(QLatin1Char('m'))) shift = 20;
  if (t.endsWith(QLatin1Char('g'))) shift = 30;
  if (shift) t.chop(1);
  const u64 value = t.toULongLong(&ok, 10);
  if (!ok || value > (~u64{0} >> shift)) return std::nullopt;
  return value << shift;
}

QString fromView(std::string_view text) { return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size())); }

}  // namespace morsel::gui
