// SPDX-License-Identifier: GPL-2.0-or-later
//
// Replacing a file as a whole: readers see the old bytes or the new ones, also after a crash or on a full disk.
#pragma once
#include <filesystem>
#include <string_view>

namespace morsel::testvm {

// Writes to a temporary file in the same folder, makes it durable, renames it. On failure nothing is left behind, and
// the Failure says how many bytes were needed, where, and how many are free there.
void replace_file(const std::filesystem::path& target, std::string_view bytes);

}  // namespace morsel::testvm
