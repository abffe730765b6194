// SPDX-License-Identifier: GPL-2.0-or-later
//
// Words of the command language: numbers, sizes, ranges, rights, names, and lines split into words. Everything that
// does not parse throws Failure(Exit::usage) with what was tried, what stood there, and what would be right.
//
//   number   10, 0x1000, 4K, 2M, 1G, 1T   (K, M, G, T are powers of 1024; also KiB, MiB, …)
//   range    START..END   half-open         0..2M
//            START+BYTES                    0x1000+4K
//            START        the 4-KiB page that begins there
//            all          the whole object
//   rights   r, rw, rwx, rx, r--, rw-, r-x
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.hpp"
#include "engine/session/failure.hpp"

namespace morsel::session {

inline constexpr Range whole_object{0, ~u64{0}};

// `what` names the thing in messages: "object create: SIZE".
u64 parse_number(const std::string& what, std::string_view word);
Range parse_range(const std::string& what, std::string_view word);
Rights parse_rights(const std::string& what, std::string_view word);
Level parse_level(const std::string& what, std::string_view word);  // a number, or pte, pmd, pud, pml4, pml5

// The names of levels: Linux' words for 0 to 2, the manuals' above.
std::string_view level_name(Level level);

// Shell-like: blanks separate, '…' and "…" keep together, \ keeps the next character, # begins a comment.
std::vector<std::string> split_line(std::string_view line);

// The candidate closest to `word` by edit distance, if it is close enough to be meant; else empty.
std::string nearest(std::string_view word, std::span<const std::string_view> candidates);
// "Did you mean 'X'?" or, without a near one, "Known: a, b, c".
std::string suggest(std::string_view word, std::span<const std::string_view> candidates);

std::string hex(u64 value);                   // 0x1f000
std::string hex(u64 value, unsigned digits);  // zero-padded
std::string bytes_text(u64 bytes);            // "64 MiB", "4 KiB", "12 B"; exact: the greatest unit that divides
std::string range_text(Range range);          // "0x0..0x200000"; an end of 0 behind another start is 2^64

// Fit for a terminal: what could steer it (control characters but line feed and tab), and what is no UTF-8, becomes �.
// Names and messages may come from a hostile guest.
std::string printable(std::string_view text);
std::string plural(u64 count, std::string_view one);  // "1 page", "2 pages"

}  // namespace morsel::session
