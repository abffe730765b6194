// SPDX-License-Identifier: GPL-2.0-or-later
//
// An independent, slow decoder of entries, for tests: written from the manuals' tables bit by bit, sharing nothing with
// the format headers. AMD APM volume 2 §5.3, §15.25; Intel SDM volume 3C §29.3.2 and §29.3.3.1; Intel VT-d §9.8; AMD
// IOMMU 48882 §2.2.3; Arm ARM D8.3 and D8.4; RISC-V privileged, Sv39 and the hypervisor extension.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace slow {

// refused: hardware would fault or ignore a reserved bit, or it is something that no tree here uses.
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

// mode_based: bit 10 is the right of user mode to execute, bit 2 that of supervisor mode.
inline Entry decode_ept(std::uint64_t word, int level, bool mode_based)
{
  Entry e;
  e.read = get(word, 0);
  e.write = get(word, 1);
  e.exec = get(word, 2) || (mode_based && get(word, 10));
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

// A device fetches no instructions: a table withholds nothing, a leaf gives no execute.
inline Entry decode_vtd(std::uint64_t word, int level)
{
  Entry e;
  e.read = get(word, 0);
  e.write = get(word, 1);
  if (!e.read && !e.write) return e;
  const bool large = level > 0 && get(word, 7);
  e.kind = level == 0 || large ? Kind::leaf : Kind::table;
  e.exec = e.kind == Kind::table;
  e.address = take(word, large ? 12 + 9 * level : 12, 51);
  if (large && level > 2) e.kind = Kind::refused;                      // bit 7 of a PML4E and PML5E is reserved
  if (large && any(word, 12, 11 + 9 * level)) e.kind = Kind::refused;  // frame not aligned
  if (level > 0 && !large && get(word, 11)) e.kind = Kind::refused;    // snoop control is a leaf's
  if (get(word, 62)) e.kind = Kind::refused;
  return e;
}

inline Entry decode_amd_iommu(std::uint64_t word, int level)
{
  Entry e;
  if (!get(word, 0)) return e;
  e.read = get(word, 61);
  e.write = get(word, 62);
  const int amd_level = level + 1;
  const int next = static_cast<int>(take(word, 9, 11) >> 9);
  if (next == 0) {
    e.kind = level == 3 ? Kind::refused : Kind::leaf;  // 512-GiB pages have an erratum
    if (any(word, 52, 58) || (level > 0 && any(word, 12, 11 + 9 * level))) e.kind = Kind::refused;
    e.address = take(word, 12 + 9 * level, 51);
  } else if (next == amd_level - 1) {
    e.kind = any(word, 52, 60) ? Kind::refused : Kind::table;
    e.exec = true;
    e.address = take(word, 12, 51);
  } else {
    e.kind = Kind::refused;  // 7: an encoded page size; less: a level is skipped; more: not allowed
  }
  return e;
}

inline Entry decode_arm64(std::uint64_t word, int level, int stage)
{
  Entry e;
  if (!get(word, 0)) return e;
  if (level > 0 && get(word, 1)) {
    e.kind = Kind::table;
    e.address = take(word, 12, 47);
    if (any(word, 48, 50)) e.kind = Kind::refused;
    if (stage == 2 && any(word, 59, 63)) e.kind = Kind::refused;
    e.read = stage == 2 || !get(word, 61);
    e.write = stage == 2 || (!get(word, 61) && !get(word, 62));
    e.exec = stage == 2 || !get(word, 60);
    return e;
  }
  const bool block = level > 0;
  e.kind = Kind::leaf;
  if (!block && !get(word, 1)) e.kind = Kind::refused;  // 0b01 is reserved at Arm's level 3
  if (level == 3) e.kind = Kind::refused;               // no 512-GiB blocks without LPA2
  if (any(word, 48, stage == 1 ? 49 : 50)) e.kind = Kind::refused;
  if (block && (any(word, 12, 15) || any(word, 17, 11 + 9 * level))) e.kind = Kind::refused;
  e.address = take(word, 12 + 9 * level, 47);
  if (stage == 1) {
    e.read = get(word, 6);
    e.write = get(word, 6) && !get(word, 7);
    e.exec = !get(word, 54);
  } else {
    e.read = get(word, 6);
    e.write = get(word, 7);
    e.exec = !(get(word, 54) && !get(word, 53));
  }
  return e;
}

inline Entry decode_riscv(std::uint64_t word, int level)
{
  Entry e;
  if (!get(word, 0)) return e;
  const bool r = get(word, 1), w = get(word, 2), x = get(word, 3);
  const std::uint64_t ppn = take(word, 10, 53) / 1024;
  if (any(word, 54, 60) || get(word, 63)) e.kind = Kind::refused;  // reserved; bit 63 without Svnapot
  if (!r && !w && !x) {
    if (e.kind != Kind::refused) e.kind = level > 0 ? Kind::table : Kind::refused;
    if (get(word, 4) || get(word, 6) || get(word, 7)) e.kind = Kind::refused;  // U, A, D of a pointer
    if (any(word, 61, 62)) e.kind = Kind::refused;
    e.address = ppn * 4096;
    e.read = e.write = e.exec = true;
    return e;
  }
  if (e.kind != Kind::refused) e.kind = Kind::leaf;
  if (w && !r) e.kind = Kind::refused;
  if (get(word, 61) && get(word, 62)) e.kind = Kind::refused;
  std::uint64_t pages = 1;
  for (int i = 0; i < level; ++i) pages *= 512;
  if (ppn % pages != 0) e.kind = Kind::refused;  // misaligned superpage
  e.address = ppn / pages * pages * 4096;
  const bool user = get(word, 4);
  e.read = user && r;
  e.write = user && w;
  e.exec = user && x;
  return e;
}

inline bool begins(const std::string& text, const std::string& with) { return text.rfind(with, 0) == 0; }

inline Entry decode(const std::string& format, std::uint64_t word, int level)
{
  if (begins(format, "ept")) return decode_ept(word, level, format == "ept_mbe");
  if (begins(format, "vtd")) return decode_vtd(word, level);
  if (begins(format, "amd_iommu")) return decode_amd_iommu(word, level);
  if (begins(format, "arm64")) return decode_arm64(word, level, format == "arm64_stage1" ? 1 : 2);
  if (begins(format, "riscv")) return decode_riscv(word, level);
  return decode_amd64(word, level);
}

inline int depth(const std::string& format)
{
  if (begins(format, "riscv_sv39")) return 3;
  return format.find("_l5") != std::string::npos || format == "riscv_sv57" ? 5 : 4;
}

inline std::uint64_t entries(const std::string& format, int level)
{
  const bool wide = format == "riscv_sv39x4" || format == "riscv_sv48x4";
  return wide && level == depth(format) - 1 ? 2048 : 512;
}

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
    const Entry e = decode(format, words_at(table, (address / span) % entries(format, level)), level);
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
