// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which module files the guest needs, and in which order they are loaded: from the kernel's own modules.dep.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace morsel::testvm {

// As the kernel names what is in the file: it takes '-' and '_' for the same, and a name for its file's.
std::string module_name(const std::filesystem::path& file);

// Files below `modules` (lib/modules/RELEASE), dependencies first, each once. Modules built into the kernel need no
// file. Throws session::Failure for a module that the kernel does not have.
std::vector<std::filesystem::path> load_order(const std::filesystem::path& modules,
                                              const std::vector<std::string>& names);

}  // namespace morsel::testvm
