// SPDX-License-Identifier: GPL-2.0-or-later
//
// An independent, slow decoder of entries, for tests: written from the manuals' tables bit by bit, sharing nothing with
// the format headers. AMD APM volume 2 §5.3, §15.25; Intel SDM volume 3C §29.3.2 and §29.3.3.1.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace slow {

enum class Kind { not_present, table, leaf, refused };

struct Entry {
  Kind kind = Kind::not_present;
  std::uint64_t address = 0;
  bool read = false, write = false, exec = false;
};

inline bool get(std::uint64_t word, int n) { return (word >> n) % 2 == 1; }

inline bool any(std::uint64_t word, int low, int high)
{
  for (int n = low; n <= high; ++n)
    if (get(word, n)) return true;
  return false;
}

inline std::uint64_t take(std::uint64_t word, int low, int high)
{
  std::uint64_t out = 0;
  for (int n = low; n <= high; ++n)
    if (get(word, n)) out += std::uint64_t{1} << n;
  return out;
}

// levels counted as in the engine: 0 is the page table.
inline Entry decode_amd64(std::uint64_t word, int level)
{
  Entry e;
  if (!get(word, 0)) return e;
  const bool large = level > 0 && get(word, 7);
  if (large && level > 2) {  // no 512-GiB pages: bit 7 must be zero in a PML4E and PML5E
    e.kind = Kind::refused;
    return e;
  }
  e.kind = level == 0 || large ? Kind::leaf : Kind::table;
  const int lowest = large ? 12 + 9 * level : 12;
  if (large && any(word, 13, lowest - 1)) {  // bit 12 is PAT
    e.kind = Kind::refused;
    return e;
  }
  e.address = take(word, lowest, 51);
  const bool user = get(word, 2);
  e.read = user;
  e.write = user && get(word, 1);
  e.exec = user && !get(word, 63);
  return e;
}

inline Entry decode_ept(std::uint64_t word, int level)
{
  Entry e;
  e.read = get(word, 0);
  e.write = get(word, 1);
  e.exec = get(word, 2);
  if (!e.read && !e.write && !e.exec) return e;
  const bool large = level > 0 && get(word, 7);
  e.kind = level == 0 || large ? Kind::leaf : Kind::table;
  if (e.write && !e.read) e.kind = Kind::refused;
  if (large && level > 2) e.kind = Kind::refused;
  if (level == 0 || large) {
    const int type = static_cast<int>(take(word, 3, 5) >> 3);
    if (type == 2 || type == 3 || type == 7) e.kind = Kind::refused;
    if (large && any(word, 12, 11 + 9 * level)) e.kind = Kind::refused;
  } else if (any(word, 3, 6)) {
    e.kind = Kind::refused;
  }
  e.address = take(word, large ? 12 + 9 * level : 12, 51);
  return e;
}

inline Entry decode(const std::string& format, std::uint64_t word, int level)
{
  return format.rfind("ept", 0) == 0 ? decode_ept(word, level) : decode_amd64(word, level);
}

inline int depth(const std::string& format) { return format == "amd64_l5" || format == "ept_l5" ? 5 : 4; }

struct Translation {
  std::uint64_t address;  // of the byte
  bool read, write, exec;
  int level;
};

// `words_at(table, index)` reads one word. Empty: no translation.
template <class WordsAt>
std::optional<Translation> walk(const std::string& format, std::uint64_t root, int root_level, std::uint64_t address,
                                WordsAt words_at)
{
  Translation t{0, true, true, true, 0};
  std::uint64_t table = root;
  for (int level = root_level; level >= 0; --level) {
    std::uint64_t span = 4096;
    for (int i = 0; i < level; ++i) span *= 512;
    const Entry e = decode(format, words_at(table, (address / span) % 512), level);
    if (e.kind == Kind::not_present || e.kind == Kind::refused) return std::nullopt;
    t.read = t.read && e.read;
    t.write = t.write && e.write;
    t.exec = t.exec && e.exec;
    if (e.kind == Kind::leaf) {
      t.address = e.address + address % span;
      t.level = level;
      return t;
    }
    table = e.address;
  }
  return std::nullopt;
}

}  // namespace slow
