// SPDX-License-Identifier: GPL-2.0-or-later
//
// Programs of the host that are linked dynamically: what the guest, which has no libraries, needs to run one.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "testvm/image/image.hpp"

namespace morsel::testvm {

// The dynamic linker that an ELF file asks for (its PT_INTERP); nothing if it is linked statically, or is no ELF file.
std::optional<std::string> interpreter_of(const std::filesystem::path& program);

// The program's dynamic linker and all libraries that it and its `plugins` (opened while it runs) need, each once.
// They come to lie beside the C library, where the linker looks without a cache, wherever the host has them. Throws
// session::Failure for a library that this machine lacks.
std::vector<ImageFile> libraries_of(const std::filesystem::path& program,
                                    const std::vector<std::filesystem::path>& plugins);

}  // namespace morsel::testvm
