// SPDX-License-Identifier: GPL-2.0-or-later
//
// Signs are those of the window; colours are the nearest of the 256 that terminals share, readable on light and dark.
#include "engine/session/style.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace morsel::session {

using inspect::DiffState;

namespace {

struct StateLook {
  std::string_view sign;
  std::string_view escape;  // "select graphic rendition" parameters
};

// In the order of DiffState.
constexpr std::array<StateLook, inspect::diff_state_count> looks{{
    {" ", "2"},           // hole
    {"=", ""},            // same
    {"·", "2"},           // unfilled
    {"▒", "38;5;246"},    // reserved
    {"◐", "38;5;33"},     // rights
    {"◆", "38;5;133"},    // format
    {"≠", "38;5;202"},    // frame
    {"↻", "1;38;5;178"},  // stale
}};

std::string painted(bool color, std::string_view escape, std::string_view text)
{
  if (!color || escape.empty() || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", escape, text);
}

}  // namespace

std::string_view state_sign(DiffState state) { return looks[static_cast<std::size_t>(state)].sign; }

std::optional<DiffState> find_state(std::string_view name)
{
  for (std::size_t n = 0; n < inspect::diff_state_count; ++n)
    if (inspect::diff_state_name(static_cast<DiffState>(n)) == name) return static_cast<DiffState>(n);
  return {};
}

std::string Style::state(DiffState state, std::string_view text) const
{
  return painted(color, looks[static_cast<std::size_t>(state)].escape, text);
}

std::string Style::state(std::string_view name, std::string_view text) const
{
  const std::optional<DiffState> found = find_state(name);
  return found ? state(*found, text) : std::string(text);
}

std::string Style::dim(std::string_view text) const { return painted(color, "2", text); }
std::string Style::bold(std::string_view text) const { return painted(color, "1", text); }
std::string Style::good(std::string_view text) const { return painted(color, "32", text); }
std::string Style::bad(std::string_view text) const { return painted(color, "1;31", text); }

std::size_t shown_width(std::string_view text)
{
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      ++width;
    }
  }
  return width;
}

std::string TextTable::text(std::string_view indent) const
{
  std::vector<std::size_t> widths;
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c >= widths.size()) widths.push_back(0);
      widths[c] = std::max(widths[c], shown_width(row[c]));
    }
  std::string out;
  for (const auto& row : rows_) {
    std::string line(indent);
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string blanks(widths[c] - shown_width(row[c]), ' ');
      const bool right = c < align_.size() && align_[c] == Align::right;
      line += right ? blanks + row[c] : row[c] + blanks;
      if (c + 1 < row.size()) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace morsel::session
