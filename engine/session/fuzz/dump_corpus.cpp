// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/fuzz/dump_corpus.hpp"

#include "engine/session/tests/dump_builder.hpp"

namespace morsel::session {

namespace {

// Memory in pieces that overlap and leave something out, and the kernel's own note.
std::vector<u8> pieces()
{
  DumpBuilder dump;
  dump.note("QEMU", qemu_note(0x1000, 0x80050033, SmallSpace::root, 0x16f0));
  dump.note("QEMU", qemu_note(0x1000, 0x80050033, SmallSpace::other_root, 0x6f0));
  dump.note("VMCOREINFO",
            "OSRELEASE=6.1.0\nSYMBOL(swapper_pg_dir)=ffffffff80101000\nNUMBER(phys_base)=0\n"
            "NUMBER(pgtable_l5_enabled)=0\n");
  dump.memory(SmallSpace::base + 0x8000, std::vector<u64>(2 * 512, ~u64{0}));
  dump.memory(SmallSpace::base, SmallSpace().words);
  return dump.build([](Elf64_Ehdr&, std::vector<Elf64_Phdr>& all) { all[1].p_memsz += page_bytes; });
}

std::vector<u8> raw()
{
  const std::vector<u64> words = SmallSpace().words;
  const auto* const begin = reinterpret_cast<const u8*>(words.data());
  return {begin, begin + words.size() * sizeof(u64)};
}

}  // namespace

std::vector<DumpSeed> make_dump_corpus() { return {{"small", small_dump()}, {"pieces", pieces()}, {"raw", raw()}}; }

}  // namespace morsel::session
