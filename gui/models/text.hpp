// SPDX-License-Identifier: GPL-2.0-or-later
//
// Numbers as the window writes them: hex in groups of four digits, sizes in binary units, offsets as typed by people.
#pragma once
#include <QString>
#include <optional>

#include "engine/base/types.hpp"

namespace morsel::gui {

// "8000 0000 7f3c 5867": groups of four, at least `digits` digits (rounded up to a whole group).
QString groupedHex(u64 value, int digits = 16);

// "0x800000007f3c5867", as other programs want it.
QString plainHex(u64 value);

// "4 KiB", "2 MiB", "508 KiB": the largest unit that leaves an integer.
QString sizeText(u64 bytes);

// What people type into "Go to": 0x1f000, 1f000h, 12288, 4K, 2M, 1G; blanks and underscores between digits are
// allowed, so that what the window shows can be pasted back with 0x before it.
std::optional<u64> parseOffset(const QString& text);

QString fromView(std::string_view text);

}  // namespace morsel::gui
