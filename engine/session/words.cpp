// SPDX-License-Identifier: GPL-2.0-or-later
//
// Parsing and printing of the command language's words.
#include "engine/session/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>

#include "engine/base/bits.hpp"

namespace morsel::session {

namespace {

[[noreturn]] void bad(const std::string& what, std::string_view word, const std::string& found,
                      const std::string& right)
{
  throw Failure(Exit::usage, what, fmt::format("'{}' {}", word, found), right);
}

constexpr std::string_view number_help = "Write a number such as 4096, 0x1000, 4K, 2M or 1G.";
constexpr std::string_view range_help =
    "Write START..END (half-open, 0..2M), START+BYTES (0x1000+4K), START (one 4-KiB page) or 'all'.";

std::optional<unsigned> unit_lg2(std::string_view unit)
{
  if (unit.empty() || unit == "B") return 0;
  constexpr std::string_view letters = "KMGT";
  const std::size_t n = letters.find(static_cast<char>(unit[0] & ~0x20));
  if (n == std::string_view::npos) return {};
  const std::string_view rest = unit.substr(1);
  if (!rest.empty() && rest != "iB" && rest != "B") return {};
  return static_cast<unsigned>(10 * (n + 1));
}

}  // namespace

u64 parse_number(const std::string& what, std::string_view word)
{
  const bool is_hex = word.starts_with("0x") || word.starts_with("0X");
  const std::string_view digits = is_hex ? word.substr(2) : word;
  u64 value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
  if (error == std::errc::result_out_of_range) bad(what, word, "does not fit into 64 bits", {});
  if (error != std::errc()) bad(what, word, "is no number", std::string(number_help));
  const std::optional<unsigned> lg2 = unit_lg2({end, digits.data() + digits.size()});
  if (!lg2) bad(what, word, "has an unknown unit", std::string(number_help));
  if (value > (std::numeric_limits<u64>::max() >> *lg2)) bad(what, word, "does not fit into 64 bits", {});
  return value << *lg2;
}

Range parse_range(const std::string& what, std::string_view word)
{
  if (word == "all") return whole_object;
  Range range;
  if (const std::size_t dots = word.find(".."); dots != std::string_view::npos) {
    range = {parse_number(what, word.substr(0, dots)), parse_number(what, word.substr(dots + 2))};
  } else {
    const std::size_t plus = word.find('+');
    const u64 start = parse_number(what, word.substr(0, plus));
    const u64 bytes = plus == std::string_view::npos ? page_bytes : parse_number(what, word.substr(plus + 1));
    if (start > std::numeric_limits<u64>::max() - bytes) bad(what, word, "ends beyond 64 bits", {});
    range = {start, start + bytes};
  }
  if (range.empty()) bad(what, word, "is an empty range", std::string(range_help));
  return range;
}

Rights parse_rights(const std::string& what, std::string_view word)
{
  u8 bits_seen = 0;
  for (const char c : word) {
    const std::size_t n = std::string_view("rwx").find(c);
    if (n == std::string_view::npos && c != '-') bad(what, word, "are no rights", "Write r, rw, rx or rwx.");
    if (n != std::string_view::npos) bits_seen = static_cast<u8>(bits_seen | 1u << n);
  }
  if (bits_seen == 0) bad(what, word, "allows nothing", "Write r, rw, rx or rwx; 'object unmap' takes pages away.");
  return Rights::from_bits(bits_seen);
}

namespace {
constexpr std::array<std::string_view, 5> level_names{"pte", "pmd", "pud", "pml4", "pml5"};
}

std::string_view level_name(Level level) { return level < level_names.size() ? level_names[level] : "?"; }

Level parse_level(const std::string& what, std::string_view word)
{
  for (std::size_t n = 0; n < level_names.size(); ++n)
    if (word == level_names[n] || (word.size() == 1 && word[0] == static_cast<char>('0' + n)))
      return static_cast<Level>(n);
  bad(what, word, "is no level", "Levels: 0 or pte, 1 or pmd, 2 or pud, 3 or pml4, 4 or pml5.");
}

std::vector<std::string> split_line(std::string_view line)
{
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < line.size()) {
      word += line[++i];
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else if (c == '#' && !in_word) {
      break;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote) throw Failure(Exit::usage, "read a command", fmt::format("no closing {} in: {}", quote, line));
  if (in_word) words.push_back(std::move(word));
  return words;
}

namespace {

// Edit distance with transposition of neighbours (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b)
{
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string_view> candidates)
{
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string_view c : candidates) {
    if (word.size() > 2 * c.size()) continue;  // the distance is more than the candidate has letters
    // An abbreviation is as good as one wrong letter.
    const std::size_t d = !word.empty() && c.starts_with(word) ? 1 : distance(word, c);
    if (d < best_distance && d < c.size()) {
      best_distance = d;
      best = c;
    }
  }
  return best;
}

std::string suggest(std::string_view word, std::span<const std::string_view> candidates)
{
  if (const std::string near = nearest(word, candidates); !near.empty()) return fmt::format("Did you mean '{}'?", near);
  if (candidates.empty()) return {};
  return fmt::format("Known: {}.", fmt::join(candidates, ", "));
}

std::string hex(u64 value) { return fmt::format("{:#x}", value); }

std::string hex(u64 value, unsigned digits) { return fmt::format("0x{:0{}x}", value, digits); }

std::string bytes_text(u64 bytes)
{
  constexpr std::array<std::string_view, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t n = 0;
  while (n + 1 < units.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++n;
  }
  return fmt::format("{} {}", bytes, units[n]);
}

std::string range_text(Range range)
{
  if (range.end == 0 && range.start != 0) return fmt::format("{:#x}..0x10000000000000000", range.start);
  return fmt::format("{:#x}..{:#x}", range.start, range.end);
}

namespace {

// Bytes of the UTF-8 sequence at the text's beginning; 0 if there is none.
std::size_t sequence_bytes(std::string_view text)
{
  const auto byte = [&](std::size_t n) { return static_cast<unsigned char>(text[n]); };
  const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
  if (length > text.size() || (byte(0) >= 0x80 && byte(0) < 0xc2) || byte(0) > 0xf4) return 0;
  for (std::size_t n = 1; n < length; ++n)
    if ((byte(n) & 0xc0) != 0x80) return 0;
  const bool overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
  const bool surrogate_or_beyond = (byte(0) == 0xed && byte(1) > 0x9f) || (byte(0) == 0xf4 && byte(1) > 0x8f);
  return overlong || surrogate_or_beyond ? 0 : length;
}

bool steers_terminal(std::string_view sequence)
{
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;  // the C1 controls
}

}  // namespace

std::string printable(std::string_view text)
{
  std::string out;
  while (!text.empty()) {
    const std::size_t length = sequence_bytes(text);
    if (length == 0 || steers_terminal(text.substr(0, length)))
      out += "\uFFFD";
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string plural(u64 count, std::string_view one)
{
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

}  // namespace morsel::session
