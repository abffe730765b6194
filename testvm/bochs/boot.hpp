// SPDX-License-Identifier: GPL-2.0-or-later
//
// A guest's memory as it is when the machine is switched on: the kernel's segments where its ELF headers want them, the
// initramfs at the end, and the page by which the boot ROM starts the kernel. Nothing about the kernel is known
// beforehand: its entry is in its PVH note (Xen public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY).
//
//   |0 ... hand-over page ... ROM ...|1 MiB ... kernel, its bss ...            initramfs| BIOS' tables, end
#pragma once
#include <filesystem>
#include <span>
#include <string>

namespace morsel::testvm {

struct BootFiles {
  std::filesystem::path kernel;  // an uncompressed ELF file
  std::filesystem::path initramfs;
  std::string command_line;
};

// Fills `memory`, which is zero. Throws session::Failure: a kernel that is none, has no PVH entry, or does not fit.
void load_guest(std::span<std::byte> memory, const BootFiles& files);

// What the machine has at MORSEL_BOOT_ROM_AT.
std::string boot_rom();

}  // namespace morsel::testvm
