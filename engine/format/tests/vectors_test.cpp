// SPDX-License-Identifier: GPL-2.0-or-later
//
// Entries as manuals draw them and as real kernels and QEMU write or refuse them, each with where it comes from. They
// hold for the formats and for the slow decoder, so that neither can be wrong alone.
#include <gtest/gtest.h>

#include <optional>

#include "engine/format/all.hpp"
#include "engine/format/tests/slow_decoder.hpp"

namespace morsel {
namespace {

struct Vector {
  const char* format;
  Level level;
  u64 word;
  EntryKind kind;
  u64 address;
  const char* rights;
  const char* source;
};

constexpr auto leaf = EntryKind::leaf, table = EntryKind::table, malformed = EntryKind::malformed;

const Vector vectors[] = {
    {"amd64", 0, 0x8000000012345867, leaf, 0x12345000, "rw-", "Linux x86: _PAGE_TABLE bits, NX, software bit 11"},
    {"amd64", 0, 0x0000000012345025, leaf, 0x12345000, "r-x", "Linux x86: PAGE_READONLY_EXEC"},
    {"amd64", 1, 0x80000000122008e7, leaf, 0x12200000, "rw-", "Linux x86: a huge PMD"},
    {"amd64", 1, 0x0000000012345067, table, 0x12345000, "rwx", "Linux x86: _PAGE_TABLE"},
    {"amd64", 0, 0x8000000012345163, leaf, 0x12345000, "---", "Linux x86: PAGE_KERNEL, not for user mode"},
    {"amd64", 3, 0x00000000000000e7, malformed, 0, "", "APM 2 §5.3: bit 7 of a PML4E must be zero"},
    {"amd64", 1, 0x00000000122020e7, malformed, 0, "", "APM 2 §5.3.4: bits 20:13 of a 2-MiB page must be zero"},
    {"npt", 1, 0x00000000402000e7, leaf, 0x40200000, "rwx", "Linux KVM: a 2-MiB NPT leaf"},

    {"ept", 1, 0x06000001a2c00bf7, leaf, 0x1a2c00000, "rwx",
     "Linux KVM: SPTE with host- and MMU-writable bits, A, D, WB"},
    {"ept", 0, 0x0600000123456b77, leaf, 0x123456000, "rwx", "Linux KVM: the same at 4 KiB"},
    {"ept", 2, 0x0000000123456907, table, 0x123456000, "rwx", "Linux KVM: a non-leaf SPTE"},
    {"ept", 0, 0x0000000000000034, leaf, 0, "--x", "SDM 3C §29.3.2: execute-only"},
    {"ept", 0, 0x0000000fee00006e, malformed, 0, "", "Linux KVM: VMX_EPT_MISCONFIG_WX_VALUE, an MMIO SPTE"},
    {"ept", 0, 0x0000000012345017, malformed, 0, "", "SDM 3C §29.3.3.1: memory type 2 is reserved"},
    {"ept", 0, 0x8000000000000000, malformed, 0, "", "Linux KVM: SHADOW_NONPRESENT_VALUE, suppress #VE; not ours"},
    {"ept_mbe", 0, 0x0000000012345431, leaf, 0x12345000, "r-x", "SDM 3C §29.3.3: XU alone, mode-based execute control"},
    {"ept", 0, 0x0000000012345431, leaf, 0x12345000, "r--", "SDM 3C §29.3.3: XU is ignored without it"},
    {"ept_mbe", 0, 0x0000000012345430, leaf, 0x12345000, "--x", "SDM 3C §29.3.2: present by bit 10 alone"},
    {"ept_no_ad", 1, 0x0000000040200ff7, leaf, 0x40200000, "rwx", "Linux KVM: A/D bits off, bits 8 and 9 ignored"},

    {"vtd_second_stage", 0, 0x0000000123456803, leaf, 0x123456000, "rw-", "Linux vtdss.h: R, W, SNP"},
    {"vtd_second_stage", 0, 0x0000000123456002, leaf, 0x123456000, "-w-", "Linux vtdss.h: IOMMU_WRITE alone"},
    {"vtd_second_stage", 1, 0x0000000140200083, leaf, 0x140200000, "rw-", "Linux vtdss.h: PS at level 1"},
    {"vtd_second_stage", 2, 0x0000000123456003, table, 0x123456000, "rwx", "Linux vtdss.h: install_table"},
    {"vtd_second_stage", 2, 0x0000000123456803, malformed, 0, "", "QEMU VTD_SPTE_PAGE_L3_RSVD_MASK: bit 11"},
    {"vtd_second_stage", 3, 0x0000000123456083, malformed, 0, "", "QEMU VTD_SPTE_PAGE_L4_RSVD_MASK: bit 7"},
    {"vtd_second_stage", 1, 0x0000000140201083, malformed, 0, "", "QEMU VTD_SPTE_LPAGE_L2_RSVD_MASK: bits 20:12"},
    {"vtd_second_stage", 0, 0x4000000123456003, malformed, 0, "",
     "QEMU VTD_SL_IGN_COM: bit 62 is not among the ignored"},
    {"vtd_second_stage", 0, 0xbff0000123456003, leaf, 0x123456000, "rw-", "QEMU VTD_SL_IGN_COM: these are"},
    {"vtd_second_stage_l5", 4, 0x0000000123456003, table, 0x123456000, "rwx", "Linux vtdss.h: SS-PML5E"},

    {"amd_iommu_v1", 0, 0x7000000123456001, leaf, 0x123456000, "rw-", "Linux amdv1.h: PR, FC, IR, IW"},
    {"amd_iommu_v1", 0, 0x2000000123456001, leaf, 0x123456000, "r--", "Linux amdv1.h: IOMMU_READ alone"},
    {"amd_iommu_v1", 1, 0x6000000140200001, leaf, 0x140200000, "rw-",
     "48882 §2.2.3: next level 0, the level's own size"},
    {"amd_iommu_v1", 1, 0x6000000123456201, table, 0x123456000, "rwx", "Linux amdv1.h: install_table, next level 1"},
    {"amd_iommu_v1", 3, 0x6000000123456601, table, 0x123456000, "rwx", "Linux amdv1.h: install_table, next level 3"},
    {"amd_iommu_v1", 3, 0x6000000123456401, malformed, 0, "", "48882 §2.2.3: a level is skipped; not used here"},
    {"amd_iommu_v1", 0, 0x6000000123456e01, malformed, 0, "", "48882 table 14: an 8-KiB page; not used here"},
    {"amd_iommu_v1", 3, 0x6000008000000001, malformed, 0, "", "Linux amdv1.h: no 512-GiB pages, an erratum"},

    {"arm64_stage1", 0, 0x00e8000084ca6f53, leaf, 0x84ca6000, "rw-", "Linux arm64: PAGE_SHARED, dirty, MAIR index 4"},
    {"arm64_stage1", 0, 0x0020000084ca6fd3, leaf, 0x84ca6000, "r-x", "Linux arm64: PAGE_READONLY_EXEC, MAIR index 4"},
    {"arm64_stage1", 0, 0x0020000084ca6f93, leaf, 0x84ca6000, "--x", "Linux arm64: PAGE_EXECONLY"},
    {"arm64_stage1", 1, 0x0068000084c00f41, leaf, 0x84c00000, "rw-", "Linux arm64: a huge PMD, PMD_TYPE_SECT"},
    {"arm64_stage1", 1, 0x080000004a3d6003, table, 0x4a3d6000, "rwx", "Linux arm64: PMD_TYPE_TABLE, PMD_TABLE_PXN"},
    {"arm64_stage1", 2, 0x700000004a3d6003, table, 0x4a3d6000, "---", "Arm ARM D8.4: APTable 0b11 and UXNTable"},
    {"arm64_stage1", 0, 0x0000000084ca6f51, malformed, 0, "", "Arm ARM D8.3: 0b01 is reserved at lookup level 3"},
    {"arm64_stage1", 3, 0x0000000000000741, malformed, 0, "", "Arm ARM D8.3: no blocks at lookup level 0"},
    {"arm64_stage2", 0, 0x00400001234567ff, leaf, 0x123456000, "rw-", "Linux KVM pgtable.c: normal memory, XN"},
    {"arm64_stage2", 1, 0x00000001234007fd, leaf, 0x123400000, "rwx", "Linux KVM pgtable.c: a 2-MiB block"},
    {"arm64_stage2", 2, 0x0000000123456003, table, 0x123456000, "rwx", "Linux KVM pgtable.c: KVM_PTE_TYPE_TABLE"},
    {"arm64_stage2", 0, 0x00400000090404c7, leaf, 0x9040000, "rw-", "Linux KVM pgtable.c: device memory"},
    {"arm64_stage2", 0, 0x0020000123456783, leaf, 0x123456000, "-wx", "Arm ARM D8.4: S2AP write-only, XN 0b01"},

    {"riscv_sv39", 0, 0x00000000200800d7, leaf, 0x80200000, "rw-", "Linux riscv: PAGE_SHARED, A, D"},
    {"riscv_sv39", 0, 0x000000002008005b, leaf, 0x80200000, "r-x", "Linux riscv: PAGE_READ_EXEC, A"},
    {"riscv_sv39", 1, 0x0000000020080001, table, 0x80200000, "rwx", "Linux riscv: _PAGE_TABLE"},
    {"riscv_sv39", 1, 0x00000000200800d7, leaf, 0x80200000, "rw-", "Privileged, Sv39: a megapage"},
    {"riscv_sv48", 3, 0x00002000000000df, leaf, 0x800000000000, "rwx", "Privileged, Sv48: a terapage"},
    {"riscv_sv39", 1, 0x00000000200804d7, malformed, 0, "", "Privileged, Sv32 walk step 6: a misaligned superpage"},
    {"riscv_sv39", 0, 0x00000000200800d5, malformed, 0, "",
     "Privileged, table of R/W/X: write without read is reserved"},
    {"riscv_sv39", 0, 0x0000000020080001, malformed, 0, "", "Privileged, Sv32 walk step 5: a pointer at level 0"},
    {"riscv_sv39", 1, 0x0000000020080041, malformed, 0, "", "QEMU get_physical_address: A in an inner PTE"},
    {"riscv_sv57", 0, 0x40000000200800d7, leaf, 0x80200000, "rw-", "Privileged, Svpbmt: I/O"},
    {"riscv_sv39", 0, 0x60000000200800d7, malformed, 0, "", "Privileged, Svpbmt: 3 is reserved"},
    {"riscv_sv39", 0, 0x80000000200820d7, malformed, 0, "", "Privileged, Svnapot: 64 KiB; not used here"},
    {"riscv_sv39", 0, 0x00400000200800d7, malformed, 0, "", "QEMU PTE_RESERVED: bits 60:54"},
    {"riscv_sv39", 0, 0x00000000200800cf, leaf, 0x80200000, "---", "Linux riscv: PAGE_KERNEL_EXEC, not for U-mode"},
    {"riscv_sv39x4", 2, 0x00000000200000df, leaf, 0x80000000, "rwx", "Linux KVM gstage.c: a gigapage"},
    {"riscv_sv48x4", 0, 0x00000000200800db, leaf, 0x80200000, "r-x", "Linux KVM gstage.c: a read-only page"},
};

std::string text_of(bool r, bool w, bool x) { return {r ? 'r' : '-', w ? 'w' : '-', x ? 'x' : '-'}; }

EntryKind kind_of(slow::Kind kind)
{
  switch (kind) {
    case slow::Kind::table: return table;
    case slow::Kind::leaf: return leaf;
    case slow::Kind::not_present:
    case slow::Kind::refused: return malformed;
  }
  return malformed;
}

TEST(Vectors, AreReadAsTheirSourcesMeanThem)
{
  for (const Vector& v : vectors) {
    SCOPED_TRACE(testing::Message() << v.format << " level " << int{v.level} << " 0x" << std::hex << v.word << ": "
                                    << v.source);
    const FormatInfo* const format = find_format(v.format);
    ASSERT_TRUE(format);
    const slow::Entry expected = slow::decode(v.format, v.word, v.level);
    EXPECT_EQ(format->kind(v.word, v.level), v.kind);
    EXPECT_EQ(kind_of(expected.kind), v.kind) << "the slow decoder";
    if (v.kind == malformed) continue;
    const Rights rights = format->access(v.word, v.level);
    EXPECT_EQ(format->address(v.word, v.level).value, v.address);
    EXPECT_EQ(expected.address, v.address) << "the slow decoder";
    EXPECT_EQ(text_of(rights.read(), rights.write(), rights.exec()), v.rights);
    EXPECT_EQ(text_of(expected.read, expected.write, expected.exec), v.rights) << "the slow decoder";
  }
}

TEST(Vectors, CoverEveryFormatWithAProcessorOfItsOwn)
{
  for (const FormatInfo& format : format_table) {
    if (format.name == "amd64_l5" || format.name == "ept_l5") continue;  // the same entries one level higher
    EXPECT_TRUE(std::any_of(std::begin(vectors), std::end(vectors), [&](const Vector& v) {
      return v.format == format.name;
    })) << format.name;
  }
}

// The words that the formats make are the ones that kernels write, bit for bit.
TEST(Vectors, AreWhatTheFormatsMake)
{
  const LeafAttributes rw{rights_rw, true, true}, rx{right_read | right_exec, true, false};
  const PhysAddr frame{0x123456000}, large{0x140200000};
  EXPECT_EQ(Amd64L4::make_leaf(frame, 0, rw), 0x8000000123456067u);
  EXPECT_EQ(EptL4::make_leaf(large, 1, rw), 0x00000001402003b3u);
  EXPECT_EQ(EptNoAd::make_leaf(large, 1, rw), 0x00000001402000b3u);
  EXPECT_EQ(EptMbe::make_leaf(frame, 0, rx), 0x0000000123456535u);
  EXPECT_EQ(VtdSecondStageL4::make_leaf(large, 1, rw), 0x0000000140200083u);
  EXPECT_EQ(VtdSecondStageL4::make_table(frame, 2), 0x0000000123456003u);
  EXPECT_EQ(AmdIommuV1::make_leaf(frame, 0, rw), 0x6000000123456001u);
  EXPECT_EQ(AmdIommuV1::make_table(frame, 3), 0x6000000123456601u);
  EXPECT_EQ(Arm64Stage1::make_leaf(frame, 0, rw), 0x0060000123456f43u) << "PAGE_SHARED without DBM, MAIR index 0";
  EXPECT_EQ(Arm64Stage1::make_leaf(large, 1, rx), 0x0020000140200fc1u) << "PAGE_READONLY_EXEC, a block";
  EXPECT_EQ(Arm64Stage2::make_leaf(frame, 0, rw), 0x00400001234567ffu);
  EXPECT_EQ(RiscvSv39::make_leaf(frame, 0, rw), 0x0000000048d158d7u);
  EXPECT_EQ(RiscvSv39::make_leaf(frame, 0, rx), 0x0000000048d1585bu);
  EXPECT_EQ(RiscvSv48x4::make_table(frame, 3), 0x0000000048d15801u);
}

}  // namespace
}  // namespace morsel
