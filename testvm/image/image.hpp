// SPDX-License-Identifier: GPL-2.0-or-later
//
// The guest's initramfs: busybox, the virtio modules that the agent's channel needs, morsel.ko, the agent, guest
// programs and whatever else the caller names, under one readable init script (testvm/image/init).
//
// An image is a function of its inputs: the same inputs give the same bytes, and nothing is written while no input's
// size, time or destination has changed. An image is replaced as a whole (temporary file, fsync, rename); when that
// fails, the old one is still there.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace morsel::testvm {

// One file for the guest.
struct ImageFile {
  std::filesystem::path source;
  std::string destination;  // absolute, in the guest
  unsigned mode = 0755;
};

struct ImageInputs {
  std::filesystem::path output;                    // the initramfs; OUTPUT.stamp is written beside it
  std::filesystem::path init;                      // becomes /init
  std::filesystem::path busybox = "/bin/busybox";  // static; becomes /bin/busybox
  std::filesystem::path agent;                     // static; becomes /bin/morsel-agent
  std::filesystem::path modules;                   // lib/modules/RELEASE with modules.dep and modules.builtin
  std::vector<std::string> needed_modules = {"virtio_pci", "virtio_console", "msr"};  // msr: for tests of vCPUs
  std::optional<std::filesystem::path> kernel_module;  // morsel.ko; without it the agent greets with abi 0
  std::vector<std::filesystem::path> programs;         // static; each becomes /bin/NAME
  std::vector<ImageFile> extra;
};

// Builds the image unless it is up to date; returns inputs.output. Throws session::Failure.
std::filesystem::path build_image(const ImageInputs& inputs);

// Throws session::Failure unless the file is there and needs no dynamic linker.
void check_busybox(const std::filesystem::path& busybox);

// True when build_image() would find nothing to do.
bool image_is_current(const ImageInputs& inputs);

// What unpack-kernel left in <build>/kernel.
struct GuestKernel {
  std::string release;
  std::filesystem::path vmlinux, build, modules;
};
GuestKernel guest_kernel_of(const std::filesystem::path& build_folder);

// The image of a build folder: the kernel's modules, kmod/morsel.ko (if built), guest/init and all of guest/bin. With
// more modules of the kernel, which are loaded at start, it is an image of its own beside the usual one.
ImageInputs inputs_of_build(const std::filesystem::path& build_folder, const std::vector<std::string>& modules = {});

// The build folder: MORSEL_BUILD in the environment, else the nearest folder above this program that has guest/init.
std::filesystem::path find_build_folder();

}  // namespace morsel::testvm
