// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dumps as a program would write them, and small machines to put into them.
#pragma once
#include <elf.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/format/all.hpp"

namespace morsel::session {

// QEMU's note of one CPU, version 1.
inline std::string qemu_note(u64 rip, u64 cr0, u64 cr3, u64 cr4)
{
  std::string note(440, '\0');
  const auto put = [&](std::size_t at, u64 value) { std::memcpy(note.data() + at, &value, sizeof value); };
  put(0, u64{1} | u64{440} << 32);
  put(136, rip);
  put(392, cr0);
  put(416, cr3);
  put(424, cr4);
  return note;
}

class DumpBuilder {
 public:
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;

  DumpBuilder()
  {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_CORE;
    header.e_machine = EM_X86_64;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phoff = sizeof(Elf64_Ehdr);
  }

  void note(const std::string& name, const std::string& content)
  {
    const Elf64_Nhdr head{static_cast<Elf64_Word>(name.size() + 1), static_cast<Elf64_Word>(content.size()), 0};
    notes_.append(reinterpret_cast<const char*>(&head), sizeof head);
    for (const std::string& part : {name + '\0', content}) notes_ += part + std::string(-part.size() % 4, '\0');
  }

  void memory(u64 start, const std::vector<u64>& words)
  {
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_paddr = start;
    segment.p_filesz = segment.p_memsz = words.size() * sizeof(u64);
    segments.push_back(segment);
    contents_.emplace_back(reinterpret_cast<const char*>(words.data()), segment.p_filesz);
  }

  // `change` may still lie about headers.
  template <class Change>
  std::vector<u8> build(Change change)
  {
    std::vector<Elf64_Phdr> all(1);
    all[0].p_type = PT_NOTE;
    all[0].p_offset = sizeof(Elf64_Ehdr) + (1 + segments.size()) * sizeof(Elf64_Phdr);
    all[0].p_filesz = notes_.size();
    u64 at = all[0].p_offset + notes_.size();
    std::string memory;
    for (std::size_t n = 0; n < segments.size(); ++n) {
      all.push_back(segments[n]);
      all.back().p_offset = at + memory.size();
      memory += contents_[n];
    }
    header.e_phnum = static_cast<Elf64_Half>(all.size());
    change(header, all);
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    file.append(reinterpret_cast<const char*>(all.data()), all.size() * sizeof(Elf64_Phdr));
    file += notes_ + memory;
    return {file.begin(), file.end()};
  }
  std::vector<u8> build()
  {
    return build([](Elf64_Ehdr&, std::vector<Elf64_Phdr>&) {});
  }

 private:
  std::string notes_;
  std::vector<std::string> contents_;
};

// Sixteen pages of memory from `base` on with a small address space: user page 0x400000 → base+8000, a swapped-out page
// behind it, and the kernel's half with a 2-MiB leaf at 0xffffffff81000000.
struct SmallSpace {
  static constexpr u64 base = 0x100000, root = base + 0x1000, user_page = 0x400000, frame = base + 0x8000;
  static constexpr u64 kernel_page = 0xffffffff81000000, kernel_frame = 0x1000000;
  static constexpr u64 swapped = 0x7ff8'0000'1234'0000 & ~u64{1};
  std::vector<u64> words = std::vector<u64>(16 * 512);

  void put(u64 table, u64 index, u64 word) { words[(table - base) / sizeof(u64) + index] = word; }

  SmallSpace()
  {
    constexpr u64 user_table = 0x67, kernel_table = 0x63;
    put(root, 0, (base + 0x2000) | user_table);
    put(base + 0x2000, 0, (base + 0x3000) | user_table);
    put(base + 0x3000, 2, (base + 0x4000) | user_table);
    put(base + 0x4000, 0, frame | 0x8000'0000'0000'0067);
    put(base + 0x4000, 1, swapped);
    put(root, 511, (base + 0x5000) | kernel_table);
    put(base + 0x5000, 510, (base + 0x6000) | kernel_table);
    put(base + 0x6000, 8, kernel_frame | 0x1e1);
    // One table at several places, as Linux has it for its espfix stacks; and a loop.
    for (const u64 index : {1, 2, 3, 7}) put(base + 0x5000, index, (base + 0xb000) | kernel_table);
    put(base + 0xb000, 5, (base + 0xc000) | kernel_table);
    put(base + 0xc000, 9, 0x2000163);
    put(base + 0x5000, 400, root | kernel_table);
    // Another process with the same kernel.
    put(base + 0x9000, 511, (base + 0x5000) | kernel_table);
    put(base + 0x9000, 0, (base + 0xa000) | user_table);
  }

  static constexpr u64 other_root = base + 0x9000;
};

inline std::vector<u8> small_dump()
{
  DumpBuilder dump;
  dump.note("CORE", std::string(336, '\0'));
  dump.note("QEMU", qemu_note(0xffffffff81000010, 0x80050033, SmallSpace::root | 0x5, 0x6f0));
  dump.memory(SmallSpace::base, SmallSpace().words);
  return dump.build();
}

}  // namespace morsel::session
