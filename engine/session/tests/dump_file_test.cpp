// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dumps that hold together, and those that do not.
#include "engine/session/dump_file.hpp"

#include <gtest/gtest.h>

#include "engine/inspect/snapshot.hpp"
#include "engine/session/tests/dump_builder.hpp"

namespace morsel::session {
namespace {

using Headers = std::vector<Elf64_Phdr>;

Dump read(const std::vector<u8>& bytes, std::optional<MemoryLayout> layout = {})
{
  return read_dump(std::as_bytes(std::span(bytes)), "file", layout);
}

std::string refusal(const std::vector<u8>& bytes, std::optional<MemoryLayout> layout = {})
{
  try {
    read(bytes, layout);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::usage);
    return failure.found();
  }
  return "accepted";
}

DumpBuilder one_page()
{
  DumpBuilder dump;
  dump.memory(0x1000, std::vector<u64>(512, 7));
  return dump;
}

template <class Change>
std::string refusal_of(Change change)
{
  return refusal(one_page().build(change));
}

TEST(DumpFile, HasItsMemoryItsCpusAndTheTablesThatTheyWalk)
{
  const std::vector<u8> bytes = small_dump();
  const Dump dump = read(bytes);
  ASSERT_EQ(dump.segments.size(), 1u);
  EXPECT_EQ(dump.segments[0].start, SmallSpace::base);
  EXPECT_EQ(dump.segments[0].bytes, 16 * page_bytes);
  ASSERT_EQ(dump.cpus.size(), 1u);
  EXPECT_EQ(dump.cpus[0].rip, 0xffffffff81000010);
  const auto tables = tables_of(dump.cpus[0]);
  ASSERT_TRUE(tables);
  EXPECT_EQ(tables->format, FormatId::amd64);
  EXPECT_EQ(tables->root.value, SmallSpace::root);  // without the PCID
  EXPECT_EQ(tables->root_level, 3);
  EXPECT_EQ(dump.machine, "x86-64");
}

TEST(DumpFile, PointsIntoTheFile)
{
  const std::vector<u8> bytes = small_dump();
  const Dump dump = read(bytes);
  const auto* const file = reinterpret_cast<const std::byte*>(bytes.data());
  EXPECT_GE(dump.segments[0].host, file);
  EXPECT_EQ(dump.segments[0].host + dump.segments[0].bytes, file + bytes.size());
}

TEST(DumpFile, KnowsPagingByTheControlRegisters)
{
  EXPECT_EQ(tables_of({0, 0x80050033, 0x5000, 0x16f0})->format, FormatId::amd64_l5);
  EXPECT_FALSE(tables_of({0, 0x10, 0x5000, 0x6f0}));        // no paging
  EXPECT_FALSE(tables_of({0, 0x80050033, 0x5000, 0x6d0}));  // 32-bit
}

TEST(DumpFile, MayHaveItsMemoryOnAnyBoundary)
{
  for (std::size_t odd = 0; odd < 8; ++odd) {
    DumpBuilder dump;
    dump.memory(SmallSpace::base, SmallSpace().words);
    std::vector<u8> bytes = dump.build([&](Elf64_Ehdr&, Headers& all) { all[1].p_offset += odd; });
    bytes.insert(bytes.end() - static_cast<std::ptrdiff_t>(16 * page_bytes), odd, 0xee);
    const Dump read_back = read(bytes);
    const inspect::PhysicalMemory memory(read_back.segments);
    const inspect::TreeSource source{FormatId::amd64, {SmallSpace::root}, 3, inspect::Maker::foreign};
    const auto tree = inspect::Snapshot::take(memory, source, {0, u64{1} << 48});
    EXPECT_EQ(tree.table_count(), 8u) << odd;
    EXPECT_EQ(tree.entry(SmallSpace::user_page, 0).kind, EntryKind::leaf) << odd;
    EXPECT_EQ(tree.anomaly_count(), 1u) << odd;  // its loop
  }
}

TEST(DumpFile, KeepsTheFirstOfSegmentsThatOverlap)
{
  DumpBuilder dump;
  dump.memory(0x2000, std::vector<u64>(3 * 512, 2));
  dump.memory(0x1000, std::vector<u64>(2 * 512, 1));
  dump.memory(0x3000, std::vector<u64>(512, 3));
  dump.memory(0x4000, std::vector<u64>(2 * 512, 4));
  const std::vector<u8> bytes = dump.build();
  const Dump read_back = read(bytes);
  const inspect::PhysicalMemory memory(read_back.segments);
  EXPECT_EQ(memory.bytes(), 5 * page_bytes);
  const u64 expected[] = {1, 1, 2, 2, 4};
  for (u64 page = 0; page < 5; ++page) {
    const u64 word = *memory.words({(page + 1) * page_bytes}, 512);
    EXPECT_EQ(word, expected[page]) << page;
  }
  EXPECT_EQ(memory.words({0x6000}, 1), nullptr);
  EXPECT_EQ(memory.words({0x0ff8}, 1), nullptr);
}

TEST(DumpFile, TakesWholePagesOnlyAndCountsWhatIsLeftOut)
{
  DumpBuilder dump;
  dump.memory(0x1800, std::vector<u64>(1024, 5));
  const std::vector<u8> bytes = dump.build([](Elf64_Ehdr&, Headers& all) { all[1].p_memsz += 0x3000; });
  const Dump read_back = read(bytes);
  ASSERT_EQ(read_back.segments.size(), 1u);
  EXPECT_EQ(read_back.segments[0].start, 0x2000u);
  EXPECT_EQ(read_back.segments[0].bytes, page_bytes);
  EXPECT_EQ(read_back.left_out, 0x3000u);
}

TEST(DumpFile, JoinsSegmentsThatLieBesideEachOtherInMemoryAndFile)
{
  DumpBuilder dump;
  dump.memory(0x1000, std::vector<u64>(512, 1));
  dump.memory(0x2000, std::vector<u64>(512, 2));
  dump.memory(0x9000, std::vector<u64>(512, 3));
  const std::vector<u8> bytes = dump.build();
  const Dump read_back = read(bytes);
  ASSERT_EQ(read_back.segments.size(), 2u);
  EXPECT_EQ(read_back.segments[0].bytes, 2 * page_bytes);
  EXPECT_EQ(read_back.segments[1].start, 0x9000u);
}

TEST(DumpFile, SaysWhichMachineItIsOf)
{
  const std::pair<Elf64_Half, const char*> machines[] = {
      {EM_X86_64, "x86-64"}, {EM_386, "i386"}, {EM_AARCH64, "arm64"}, {EM_RISCV, "RISC-V"}, {1, "another machine"}};
  for (const auto& [number, name] : machines) {
    const Elf64_Half machine = number;
    const std::vector<u8> bytes = one_page().build([machine](Elf64_Ehdr& h, Headers&) { h.e_machine = machine; });
    EXPECT_EQ(read(bytes).machine, name);
  }
}

TEST(DumpFile, FindsTheKernelsTablesByItsNote)
{
  DumpBuilder dump;
  dump.note("VMCOREINFO",
            "OSRELEASE=6.1.0-56-amd64\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff8320a000\n"
            "NUMBER(phys_base)=-8388608\nNUMBER(pgtable_l5_enabled)=0\nKERNELOFFSET=1000000\n");
  dump.memory(0x1000, std::vector<u64>(512));
  const std::vector<u8> bytes = dump.build();
  const Dump read_back = read(bytes);
  EXPECT_EQ(read_back.release, "6.1.0-56-amd64");
  ASSERT_TRUE(read_back.kernel);
  EXPECT_EQ(read_back.kernel->root.value, 0x320a000u - 0x800000);
  EXPECT_EQ(read_back.kernel->format, FormatId::amd64);
}

TEST(DumpFile, TakesTheNumberOfHeadersFromTheFirstSectionWhereItIsTooLarge)
{
  DumpBuilder dump = one_page();
  u64 sections = 0;
  std::vector<u8> bytes = dump.build([&](Elf64_Ehdr& header, Headers& all) {
    header.e_phnum = PN_XNUM;
    sections = header.e_shoff = all[1].p_offset + page_bytes;
  });
  EXPECT_NE(refusal(bytes).find("the section header"), std::string::npos);
  Elf64_Shdr section{};
  section.sh_info = 2;
  bytes.insert(bytes.end(), reinterpret_cast<u8*>(&section), reinterpret_cast<u8*>(&section + 1));
  EXPECT_EQ(read(bytes).segments.size(), 1u);
  section.sh_info = ~u32{0};
  std::memcpy(bytes.data() + sections, &section, sizeof section);
  EXPECT_NE(refusal(bytes).find("4294967295 program headers"), std::string::npos);
}

TEST(DumpFile, IsRefusedWhereItDoesNotHoldTogether)
{
  using H = Elf64_Ehdr;
  EXPECT_EQ(refusal_of([](H&, Headers&) {}), "accepted");
  EXPECT_NE(refusal_of([](H& h, Headers&) { h.e_phnum = 0xfffe; }).find("65534 program headers"), std::string::npos);
  EXPECT_NE(refusal_of([](H& h, Headers&) { h.e_phoff = ~u64{0} - 8; }).find("program headers"), std::string::npos);
  EXPECT_NE(refusal_of([](H& h, Headers&) { h.e_phentsize = 32; }).find("32 bytes"), std::string::npos);
  EXPECT_NE(refusal_of([](H&, Headers& all) { all[1].p_offset = ~u64{0} - 8; }).find("segment 1"), std::string::npos);
  EXPECT_NE(refusal_of([](H&, Headers& all) { all[1].p_filesz = all[1].p_memsz = ~u64{0}; }).find("cannot be"),
            std::string::npos);
  EXPECT_NE(refusal_of([](H&, Headers& all) { all[1].p_paddr = ~u64{0} - 16; }).find("cannot be"), std::string::npos);
  EXPECT_NE(refusal_of([](H&, Headers& all) { all[1].p_filesz = 2 * page_bytes; }).find("cannot be"),
            std::string::npos);
  EXPECT_NE(refusal_of([](H&, Headers& all) { all[0].p_filesz = ~u64{0}; }).find("notes"), std::string::npos);
  EXPECT_NE(refusal_of([](H&, Headers& all) { all[1].p_type = PT_NULL; }).find("no memory"), std::string::npos);
  EXPECT_NE(refusal_of([](H& h, Headers&) { h.e_type = ET_EXEC; }).find("no core"), std::string::npos);
  EXPECT_NE(refusal_of([](H& h, Headers&) { h.e_ident[EI_CLASS] = ELFCLASS32; }).find("64 bits"), std::string::npos);
}

TEST(DumpFile, IsRefusedWhereverItWasCut)
{
  const std::vector<u8> whole = small_dump();
  for (std::size_t length = 0; length < whole.size(); length += length < 1500 ? 1 : 4093)
    EXPECT_NE(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}), "accepted") << length;
  EXPECT_NE(refusal({whole.begin(), whole.end() - 1}).find("the file ends at"), std::string::npos);
}

TEST(DumpFile, IsKnownForWhatItIsInstead)
{
  const auto text = [](const std::string& begin) {
    std::vector<u8> bytes(begin.begin(), begin.end());
    bytes.resize(8192);
    return bytes;
  };
  EXPECT_EQ(refusal({}), "it is empty");
  EXPECT_EQ(refusal(text("KDUMP   ")), "it is a dump in kdump's compressed format");
  EXPECT_EQ(refusal(text("makedumpfile")), "it is a dump in makedumpfile's flattened format");
  EXPECT_EQ(refusal(text("\x1f\x8b")), "it is compressed by gzip");
  EXPECT_EQ(refusal(text("hello")), "it is no ELF core");
  EXPECT_EQ(refusal(std::vector<u8>(3, 0x7f)), "it is no ELF core");
}

TEST(RawImage, LiesAsItsLayoutSays)
{
  const std::vector<u8> bytes(4 * page_bytes);
  EXPECT_EQ(read(bytes, MemoryLayout::q35).segments.size(), 1u);
  EXPECT_EQ(refusal({}, MemoryLayout::flat), "it is empty");
  EXPECT_EQ(refusal(std::vector<u8>(4095), MemoryLayout::flat), "its 4095 bytes are no multiple of 4 KiB");
  constexpr u64 high = 4 * gibibyte;
  using Parts = std::vector<MemoryPart>;
  EXPECT_EQ(memory_parts(MemoryLayout::flat, 5 * gibibyte), (Parts{{0, 0, 5 * gibibyte}}));
  EXPECT_EQ(memory_parts(MemoryLayout::q35, 3 * gibibyte),
            (Parts{{0, 0, 2 * gibibyte}, {high, 2 * gibibyte, gibibyte}}));
  EXPECT_EQ(memory_parts(MemoryLayout::pc, 3 * gibibyte), (Parts{{0, 0, 3 * gibibyte}}));
  EXPECT_EQ(memory_parts(MemoryLayout::pc, 4 * gibibyte),
            (Parts{{0, 0, 3 * gibibyte}, {high, 3 * gibibyte, gibibyte}}));
}

}  // namespace
}  // namespace morsel::session
