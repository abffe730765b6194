/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the boot ROM finds what the host has put into the guest's memory: read by the assembler and by C++.
 *
 * The hand-over page stands where the PC's BIOS keeps nothing and Linux keeps nothing either (all of the first MiB is
 * reserved there), so that it is as the ROM left it when the machine restarts.
 */
#ifndef MORSEL_BOCHS_BOOT_LAYOUT_H
#define MORSEL_BOCHS_BOOT_LAYOUT_H

#define MORSEL_BOOT_ROM_AT 0xd0000 /* the BIOS calls what has a ROM's signature at a multiple of 2 KiB from 0xc8000 */
#define MORSEL_BOOT_ROM_BYTES 512

#define MORSEL_BOOT_PAGE 0x20000
#define MORSEL_BOOT_ENTRY 0x000        /* u32: the kernel's PVH entry; the ROM takes it away: a restart finds 0 */
#define MORSEL_BOOT_START_INFO 0x010   /* struct hvm_start_info; 56 bytes */
#define MORSEL_BOOT_MAP_ENTRIES 0x040  /* its field memmap_entries; filled by the ROM */
#define MORSEL_BOOT_MODULE 0x050       /* struct hvm_modlist_entry: the initramfs */
#define MORSEL_BOOT_MAP 0x080          /* struct hvm_memmap_table_entry[]; filled by the ROM */
#define MORSEL_BOOT_MAP_ENTRY_BYTES 24
#define MORSEL_BOOT_MAP_MAX 32
#define MORSEL_BOOT_COMMAND_LINE 0x400 /* at most 2048 bytes with the 0 */
#define MORSEL_BOOT_PAGE_BYTES 0xc00

#endif
