// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/image/qemu.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/session/failure.hpp"
#include "testvm/image/dynamic_program.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

void check_readable(const fs::path& file)
{
  if (access(file.c_str(), R_OK) != 0)
    throw Failure(Exit::skipped, "putting QEMU into the guest's initramfs", file.string() + ": " + std::strerror(errno),
                  "apt-get install qemu-system-x86 qemu-system-common qemu-system-data seabios");
}

}  // namespace

std::vector<ImageFile> qemu_files(const QemuParts& parts)
{
  std::vector<ImageFile> files;
  const auto add = [&files](const fs::path& file, unsigned mode) {
    check_readable(file);
    files.push_back({file, file.string(), mode});
  };
  add(parts.program, 0755);
  for (const fs::path& plugin : parts.plugins) add(plugin, 0644);
  for (const fs::path& file : parts.firmware) add(file, 0644);
  const auto libraries = libraries_of(parts.program, parts.plugins);
  files.insert(files.end(), libraries.begin(), libraries.end());
  return files;
}

void add_qemu(ImageInputs& inputs, const fs::path& build_folder)
{
  const fs::path folder = build_folder / "guest" / "with-qemu";
  inputs.output.replace_filename(inputs.output.stem().string() + "+qemu.cpio");
  const auto files = qemu_files();
  inputs.extra.insert(inputs.extra.end(), files.begin(), files.end());
  inputs.extra.push_back({folder / "morsel-qemu", "/bin/morsel-qemu", 0755});
  inputs.extra.push_back({folder / "inner-guest", "/lib/morsel/inner-guest", 0644});
}

}  // namespace morsel::testvm
