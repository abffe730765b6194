// SPDX-License-Identifier: GPL-2.0-or-later
//
// This machine's own QEMU, to run in the guest: unmodified, with guests of its own.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "testvm/image/image.hpp"

namespace morsel::testvm {

// Where Debian has the parts that a PC without network and screen takes.
struct QemuParts {
  std::filesystem::path program = "/usr/bin/qemu-system-x86_64";
  std::vector<std::filesystem::path> plugins = {"/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"};
  std::vector<std::filesystem::path> firmware = {
      "/usr/share/seabios/bios-256k.bin",  "/usr/share/seabios/vgabios-stdvga.bin", "/usr/share/qemu/kvmvapic.bin",
      "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/multiboot_dma.bin",     "/usr/share/qemu/pvh.bin"};
};

// All files for the guest, each at its place of the host, with the libraries. Throws session::Failure with the package
// to install if a part or a library is missing.
std::vector<ImageFile> qemu_files(const QemuParts& parts = {});

// Makes the image of a build folder one with QEMU, and what the tests run on it, beside the usual one.
void add_qemu(ImageInputs& inputs, const std::filesystem::path& build_folder);

}  // namespace morsel::testvm
